import Chat
import Kafka
import Redis

extension LogDesk {
  /// Tells the records behind `start` that are the first of their (chat, from, device, id), as an owner that has read
  /// 8 minutes more would take them: repeats mean nothing. In memory: the dedupe table (about 50 bytes a record).
  func firsts(
    _ partition: Int32, after start: Seq, upto: Seq,
    each: (borrowing LogRecord) throws(StartFailure) -> Void
  ) throws(StartFailure) {
    let hash = KeyedHash(seedLow: .random(in: 0 ... .max), seedHigh: .random(in: 0 ... .max))
    var dedupe = DedupeTable()
    try records(partition, after: start, upto: upto) { record throws(StartFailure) in
      let append = record.append
      let name = hash(chat: append.chat, from: append.from, device: append.device, id: append.id)
      dedupe.expire(at: record.appended)
      guard dedupe.first(name, before: record.seq, appended: record.appended) == nil else { return }
      if !dedupe.isFull {
        dedupe.append(
          DedupeTable.Entry(
            key: name, seq: record.seq, outcome: .event, time: append.time, appended: record.appended))
      }
      try each(record)
    }
  }
}

extension RedisDesk {
  /// Whether an event that a history does not have may have been trimmed from it: there are as many later ones as
  /// are kept.
  func hasTrimmed(_ seq: Seq, of history: [UInt8], keeping most: Int) throws(StartFailure) -> Bool {
    let replies = try ask([.eventCount(ofHistory: history), .events(ofHistory: history, from: 0, limit: 1)])
    guard case .integer(let count) = replies[0], let first = StoredEvent.list(reply: replies[1])?.first else {
      return false
    }
    return first.seq > seq && count >= most
  }
}
