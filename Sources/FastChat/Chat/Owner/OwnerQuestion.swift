/// A question of one kind that a machine asks again until it is answered: one at a time, and after a
/// failure later and later.
struct Question {
  /// Milliseconds after the first failure, and at most.
  static let shortestDelay: Tick = 100
  static let longestDelay: Tick = 2_000

  private var tag: UInt64 = 0
  private var delay: Tick = 0
  private var notBefore: Tick = .min

  /// Whether it may be asked now.
  func isFree(at tick: Tick) -> Bool { tag == 0 && tick >= notBefore }

  /// It is asked under `tag`, which is never 0.
  mutating func ask(_ tag: UInt64) { self.tag = tag }

  /// Whether an answer is to what is being asked; nothing is asked any more then.
  mutating func takes(_ tag: UInt64) -> Bool {
    guard tag != 0, tag == self.tag else { return false }
    self.tag = 0
    return true
  }

  mutating func succeeded() {
    delay = 0
    notBefore = .min
  }

  mutating func failed(at tick: Tick) {
    delay = min(max(delay * 2, Self.shortestDelay), Self.longestDelay)
    notBefore = tick + delay
  }

  /// The next one not before `tick`.
  mutating func wait(until tick: Tick) { notBefore = tick }

  /// What is under way is not waited for any more.
  mutating func cancel() { self = Question() }
}
