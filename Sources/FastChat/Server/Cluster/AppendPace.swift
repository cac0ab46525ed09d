import Chat

/// When records go to the log in groups, and when the next group goes.
///
/// A request carries one partition (librdkafka), and one is under way at a time: where there are more records than
/// partitions, they wait for each other, and each request that is not full costs the broker and this server as much
/// as a full one. Then a group goes when the one before it has been answered, and after a rest, so that requests grow
/// with the load and not in number: as long as the answer took where a partition had two records or more, and shorter
/// the less there was to gain, so that what was only a hiccup ends by itself. Where there are fewer, nothing waits.
struct AppendPace {
  /// Milliseconds that a group rests at most.
  static let restMax: Tick = 5
  /// Milliseconds that a group is waited for at most: a partition without a leader answers late.
  static let answerMax: Tick = 10

  /// Records on their way up to which nothing waits: one for each partition.
  let calmRecords: Int
  /// Records go in groups.
  private(set) var isOn = false
  private var handedAt: Tick?
  private var handed = 0
  private var restsUntil: Tick = .min

  init(partitions: Int32) { calmRecords = Int(partitions) }

  /// Whether the next group may go.
  /// - Parameters:
  ///   - pending: records on their way.
  ///   - answered: when the last record was taken.
  mutating func mayHandOver(pending: Int, answered: Tick, now: Tick) -> Bool {
    if let handedAt {
      let isAnswered = pending <= calmRecords
      guard isAnswered || now - handedAt >= Self.answerMax else { return false }
      self.handedAt = nil
      // Who looks later has waited for something else.
      let end = isAnswered ? max(handedAt, min(now, answered)) : now
      let gain = Tick(min(handed - calmRecords, calmRecords))
      restsUntil = end + min((end - handedAt) * gain / Tick(calmRecords), Self.restMax)
    }
    return now >= restsUntil
  }

  /// A group went, with which so many are on their way.
  mutating func handedOver(pending: Int, now: Tick) {
    isOn = pending > calmRecords
    handedAt = isOn ? now : nil
    handed = pending
  }
}
