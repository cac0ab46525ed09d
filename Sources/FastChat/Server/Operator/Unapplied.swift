import Chat
import JSON
import Kafka
import Redis

/// The records of an old log that have not become events of the view, although nothing but the log's loss kept them
/// from it: what a stopped partition has still taken. A new generation of the log takes them over, since messages
/// among them were acknowledged.
///
/// Above what was applied that is every record. At or below it, where the log began anew or has other records than
/// it had, it is every message whose event the view does not have there; joinings and their like were not answered,
/// and their clients ask again.
///
/// In memory: the dedupe table of 8 minutes of log (about 50 bytes a record), and a chunk of records.
struct Unapplied {
  /// What the view has trimmed already, by its owner's clock, may still be in the window by ours.
  private static let marginMilliseconds: WallTime = 120_000
  /// Records that are looked up at once, and bytes of them.
  private static let chunkRecords = 256
  private static let chunkBytes = 1 << 20

  /// A record as it stands in the log.
  struct Found {
    let chat: [UInt8]
    let value: [UInt8]
    fileprivate let seq: Seq
    fileprivate let user: [UInt8]
    fileprivate let time: WallTime
    /// Whether the view may have it.
    fileprivate let isDoubtful: Bool
  }

  private let partition: Int32
  private let redis: RedisDesk
  private let limits: Limits
  private let applied: Seq
  /// Records from before are out of the window.
  private let begin: WallTime
  private var chunk: [Found] = []
  private var chunkTexts = 0

  /// Tells them in the log's order.
  /// - Parameter now: milliseconds since 1970.
  static func walk(
    _ partition: Int32, applied: Seq, _ log: LogDesk, _ redis: RedisDesk, _ limits: Limits, now: WallTime,
    each: (Found) throws(StartFailure) -> Void
  ) throws(StartFailure) {
    let begin = now - limits.windowMilliseconds + marginMilliseconds
    let ends = try log.ends(partition)
    let start = max(try log.first(partition, since: begin - Limits.dedupeSpanMilliseconds), ends.first)
    var unapplied = Unapplied(
      partition: partition, redis: redis, limits: limits, applied: applied, begin: begin)
    try log.firsts(partition, after: start - 1, upto: ends.last) { record throws(StartFailure) in
      try unapplied.take(record, each)
    }
    try unapplied.tell(each)
  }

  private init(partition: Int32, redis: RedisDesk, limits: Limits, applied: Seq, begin: WallTime) {
    (self.partition, self.redis, self.limits) = (partition, redis, limits)
    (self.applied, self.begin) = (applied, begin)
  }

  private mutating func take(
    _ record: borrowing LogRecord, _ each: (Found) throws(StartFailure) -> Void
  ) throws(StartFailure) {
    let append = record.append
    let isDoubtful = record.seq <= applied
    if isDoubtful {
      // A repeat that is said in a room is judged, and answered by its verdict alone.
      let isJudged = append.isRepeat && append.chat.first == UInt8(ascii: "r")
      guard append.kind == .message, !isJudged, record.appended >= begin else { return }
    }
    var value = ByteBuffer()
    LogCodec.encode(append, into: &value)
    chunk.append(
      Found(
        chat: Array(append.chat), value: Array(value.bytes), seq: record.seq, user: Array(append.from),
        time: append.time, isDoubtful: isDoubtful))
    chunkTexts += value.count
    if chunk.count >= Self.chunkRecords || chunkTexts >= Self.chunkBytes { try tell(each) }
  }

  private mutating func tell(_ each: (Found) throws(StartFailure) -> Void) throws(StartFailure) {
    let doubtful = chunk.filter(\.isDoubtful)
    let replies = try redis.ask(
      doubtful.map { .events(ofHistory: history($0.chat), from: $0.seq, upto: $0.seq, limit: 1) })
    var isInView: [Seq: Bool] = [:]
    for (found, reply) in zip(doubtful, replies) {
      guard let events = StoredEvent.list(reply: reply) else { throw RedisDesk.unreadable }
      isInView[found.seq] =
        if let event = events.first {
          event["user"] == found.user && event["time"] == Array("\(found.time)".utf8)
        } else {
          try redis.hasTrimmed(found.seq, of: history(found.chat), keeping: limits.windowEvents)
        }
    }
    for found in chunk where isInView[found.seq] != true { try each(found) }
    chunk.removeAll(keepingCapacity: true)
    chunkTexts = 0
  }

  private func history(_ chat: [UInt8]) -> [UInt8] { PartitionKey.of("h", chat, partition: partition) }
}
