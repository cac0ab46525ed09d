/// When records go to the log in groups, and when the next group goes.
///
/// A request carries one partition (librdkafka), and one is under way at a time: where there are more records than a
/// request for each partition, they wait for each other, and each request that is not full costs the broker and this
/// server as much as a full one. Then a group goes when the one before it has been answered, and after a rest as long
/// as that took: half of the time at most is spent on requests, and they grow with the load. Where there are fewer,
/// nothing waits.
struct AppendPace {
  /// Nanoseconds that a group rests, and that it is waited for, at most: a partition without a leader answers late.
  static let restMax: UInt64 = 5_000_000
  static let answerMax: UInt64 = 10_000_000

  /// Records on their way up to which nothing waits: one for each partition.
  let calmRecords: Int
  /// Records go in groups.
  private(set) var isOn = false
  private var handedAt: UInt64?
  private var restsUntil: UInt64 = 0

  init(partitions: Int32) { calmRecords = Int(partitions) }

  /// Whether the next group may go, with so many records on their way.
  mutating func mayHandOver(pending: Int, now: UInt64) -> Bool {
    if let handedAt {
      let took = now &- handedAt
      guard pending < calmRecords || took >= Self.answerMax else { return false }
      self.handedAt = nil
      restsUntil = now &+ min(took, Self.restMax)
    }
    return now >= restsUntil
  }

  /// A group went, with which so many are on their way.
  mutating func handedOver(pending: Int, now: UInt64) {
    isOn = pending > calmRecords
    handedAt = isOn ? now : nil
  }
}
