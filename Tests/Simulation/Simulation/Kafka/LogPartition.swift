import Chat

/// One partition of the simulated log: records at offsets, in the order of their append times.
final class LogPartition {
  struct Record {
    let offset: Int64
    let appended: WallTime
    /// As `AppendCodec` writes it.
    let bytes: [UInt8]
  }

  let number: Int32
  private(set) var records: [Record] = []
  private(set) var nextOffset: Int64 = 0
  /// Where the log begins, as the broker says.
  private(set) var firstOffset: Int64 = 0
  private var lastTime: WallTime = 0
  /// What the broker takes for the log's end just now, where it is wrong.
  var mistakenEnd: Int64? { didSet { wakeReaders() } }
  /// Readers that have read all, to be told when more is there.
  private var waiting: [() -> Void] = []

  init(number: Int32) { self.number = number }

  func append(_ bytes: [UInt8], at time: WallTime) -> Record {
    lastTime = max(lastTime, time)
    let record = Record(offset: nextOffset, appended: lastTime, bytes: bytes)
    records.append(record)
    nextOffset += 1
    wakeReaders()
    return record
  }

  private func wakeReaders() {
    let woken = waiting
    waiting.removeAll(keepingCapacity: true)
    for wake in woken { wake() }
  }

  /// A marker of a transaction, or of nothing: an offset that no reader sees.
  func skipOffset() { nextOffset += 1 }

  func wait(_ wake: @escaping () -> Void) { waiting.append(wake) }

  func forgetReaders() { waiting.removeAll() }

  /// The offset behind the last record that readers get.
  var visibleEnd: Int64 { mistakenEnd ?? nextOffset }

  /// The index of the first record at or above `offset`.
  func index(at offset: Int64) -> Int {
    var low = 0
    var high = records.count
    while low < high {
      let middle = (low + high) / 2
      if records[middle].offset < offset { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The offset of the first record that was taken at that time or later, and of all before it that cannot
  /// be there any more; nil where there is none.
  func offset(since time: WallTime) -> Int64? {
    var low = 0
    var high = records.count
    while low < high {
      let middle = (low + high) / 2
      if records[middle].appended < time { low = middle + 1 } else { high = middle }
    }
    return low < records.count ? (low == 0 ? firstOffset : records[low].offset) : nil
  }

  /// Retention: the oldest records go.
  func removeRecords(below offset: Int64) {
    records.removeSubrange(..<index(at: offset))
    firstOffset = max(firstOffset, offset)
  }

  /// The last records are lost, and their offsets are given again.
  func truncate(to offset: Int64) {
    records.removeSubrange(index(at: offset)...)
    nextOffset = min(nextOffset, offset)
  }
}

extension LogPartition {
  static func seq(_ offset: Int64) -> Seq { SeqSpace.base(generation: 1) + offset }
  static func offset(_ seq: Seq) -> Int64 { seq - SeqSpace.base(generation: 1) }
}
