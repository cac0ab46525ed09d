/// One kind of question of which one is under way at a time: it is given up after a while, and asked again
/// after a pause that doubles with each failure.
struct Lane {
  /// Milliseconds after which an answer is not waited for any more. A lease is renewed three times in its
  /// lifetime, and a directory that takes this long to answer is as good as down.
  static let answerMilliseconds: Int64 = 2_000
  /// Of a question to a broker, which is several requests one after the other, behind others that wait.
  static let brokerMilliseconds: Int64 = 30_000
  /// Milliseconds between two attempts: the first pause, and the longest.
  static let firstPauseMilliseconds: Int64 = 100
  static let longestPauseMilliseconds: Int64 = 1_000

  /// The question under way; 0: none.
  private(set) var tag: UInt64 = 0
  private(set) var askedAt: Tick = 0
  /// The next question is asked at this tick or later.
  var nextAt: Tick = .min
  private var failures = 0

  func mayAsk(at tick: Tick) -> Bool { tag == 0 && tick >= nextAt }

  mutating func ask(_ tag: UInt64, at tick: Tick) {
    self.tag = tag
    askedAt = tick
  }

  /// Whether this answers the question under way, which is over then.
  mutating func isAnswered(by tag: UInt64) -> Bool {
    guard tag != 0, tag == self.tag else { return false }
    self.tag = 0
    return true
  }

  mutating func succeeded(next tick: Tick) {
    failures = 0
    nextAt = tick
  }

  mutating func failed(at tick: Tick) {
    nextAt = tick + min(Self.firstPauseMilliseconds << Int64(min(failures, 8)), Self.longestPauseMilliseconds)
    failures += 1
  }

  /// Whether the question under way has waited too long; it is over then.
  mutating func isGivenUp(at tick: Tick, after patience: Int64 = Self.answerMilliseconds) -> Bool {
    guard tag != 0, tick - askedAt >= patience else { return false }
    tag = 0
    failed(at: tick)
    return true
  }

  /// Whatever is under way is not waited for, and the next question may be asked at once.
  mutating func reset() { self = Lane() }
}
