import Chat
import Synchronization

/// The counters of one thread: written by it alone, read by whoever answers `/metrics`.
///
/// A word is changed by a relaxed load and a relaxed store (0.3 ns each; an atomic addition would be
/// 5.5 ns), so two threads must never write one block. The value is a pointer: copying it counts
/// nothing. Its memory belongs to `Metrics`, which lives as long as the process serves.
struct MetricsBlock: @unchecked Sendable {
  /// Words: the counters, a counter for each error code, and for each measure its buckets, the one
  /// without a bound, and the sum of nanoseconds.
  static let refusals = Counter.allCases.count
  static let measures = refusals + ErrorCode.allCases.count
  static let measureWords = TimeBuckets.count + 2
  static let words = measures + Measure.allCases.count * measureWords
  /// Bytes that lie between two threads' words, so that they share no cache line.
  static let alignment = 128

  private let base: UnsafeMutablePointer<Atomic<UInt64>>

  init() {
    let raw = UnsafeMutableRawPointer.allocate(
      byteCount: (Self.words * 8 + Self.alignment - 1) / Self.alignment * Self.alignment,
      alignment: Self.alignment)
    base = raw.bindMemory(to: Atomic<UInt64>.self, capacity: Self.words)
    for i in 0..<Self.words { (base + i).initialize(to: Atomic(0)) }
  }

  func deallocate() {
    base.deinitialize(count: Self.words)
    UnsafeMutableRawPointer(base).deallocate()
  }

  func add(_ counter: Counter, _ n: Int = 1) { add(word: counter.rawValue, n) }

  /// Counts an `error` answer.
  func refused(_ code: ErrorCode) { add(word: Self.refusals + Int(code.rawValue), 1) }

  /// Sets what is known as a whole: connections and sessions of the thread.
  func set(_ counter: Counter, to value: Int) {
    base[counter.rawValue].store(UInt64(bitPattern: Int64(value)), ordering: .relaxed)
  }

  /// Sets how often an error was answered, where somebody else counts.
  func set(refusals code: ErrorCode, to value: Int) {
    base[Self.refusals + Int(code.rawValue)].store(UInt64(bitPattern: Int64(value)), ordering: .relaxed)
  }

  func record(_ measure: Measure, nanoseconds: UInt64) {
    let start = Self.measures + measure.rawValue * Self.measureWords
    add(word: start + TimeBuckets.index(nanoseconds: nanoseconds), 1)
    add(word: start + TimeBuckets.count + 1, Int(truncatingIfNeeded: nanoseconds))
  }

  private func add(word: Int, _ n: Int) {
    let value = base[word].load(ordering: .relaxed)
    base[word].store(value &+ UInt64(bitPattern: Int64(n)), ordering: .relaxed)
  }

  func value(word: Int) -> UInt64 { base[word].load(ordering: .relaxed) }
}
