import Chat
import Glibc
import JSON
import Kafka
import Redis

/// Fills one partition of a new log, and the rows of the state topic that it lacks, out of the view.
///
/// In memory: a page of a history, and a seq for each row of the state topic (about 150 bytes each).
struct Refill {
  /// Events of a history that are read at once: one may have 60 KB.
  private static let pageEvents = 64

  let partition: Int32
  let redis: RedisDesk
  let log: TopicWriter
  let state: TopicWriter
  /// Events that the new log got.
  private(set) var events = 0
  /// Rows that the state topic lacked.
  private(set) var rows = 0
  private var known: [[UInt8]: Seq]
  /// Who left, by the events, and when: what `known` does not have.
  private var left: [[UInt8]: StateRow] = [:]

  init(_ partition: Int32, redis: RedisDesk, log: TopicWriter, state: TopicWriter, known: [[UInt8]: Seq]) {
    self.partition = partition
    self.redis = redis
    self.log = log
    self.state = state
    self.known = known
  }

  /// Reads the whole view of the partition. Where it is not whole, what there is of it.
  mutating func run() throws(StartFailure) {
    var copy = self
    try redis.scan(partition, "hkm") { keys throws(StartFailure) in
      for key in keys {
        guard let (kind, name) = PartitionKey.parts(key, partition: copy.partition) else { continue }
        switch kind {
        case UInt8(ascii: "h"): try copy.refill(history: key, of: Array(name))
        case UInt8(ascii: "k"): try copy.tell(chat: key, of: Array(name))
        default: try copy.tell(members: key, of: Array(name))
        }
      }
      return true
    }
    self = copy
    for row in left.values { try tell(row) }
    try writing { () throws(KafkaError) in
      try UnsafeRawBufferPointer(start: RefillCodec.end.utf8Start, count: RefillCodec.end.utf8CodeUnitCount)
        .writeEnd(to: log, partition)
      try log.flush()
      try state.flush()
    }
  }

  private func writing(_ body: () throws(KafkaError) -> Void) throws(StartFailure) {
    do throws(KafkaError) { try body() } catch { throw StartFailure(error.description) }
  }

  // MARK: Events

  /// A key that the scan tells twice is refilled twice: what stands already is passed by when it is read.
  private mutating func refill(history key: [UInt8], of chat: [UInt8]) throws(StartFailure) {
    var from: Seq = 0
    var buffer = ByteBuffer()
    while true {
      let reply = try redis.ask(.events(ofHistory: key, from: from, limit: Self.pageEvents))
      guard let page = StoredEvent.list(reply: reply) else { throw RedisDesk.unreadable }
      for stored in page {
        guard let prev = Seq(String(decoding: stored["prev"], as: UTF8.self)) else {
          throw RedisDesk.unreadable
        }
        let event = RefilledEvent(
          chat: chat, seq: stored.seq, prev: prev, json: stored["json"], kind: stored["kind"],
          role: stored["role"], user: stored["user"], time: stored["time"], origin: stored["origin"])
        buffer.removeAll()
        RefillCodec.encode(event, into: &buffer)
        try writing { () throws(KafkaError) in
          try chat.withUnsafeBytesThrowing { key throws(KafkaError) in
            try log.write(partition, key: key, value: buffer.bytes)
          }
        }
        events += 1
        try note(event)
      }
      guard page.count == Self.pageEvents, let last = page.last else { return }
      from = last.seq + 1
    }
  }

  /// Who created a room, and who left one, after the last row that was committed.
  private mutating func note(_ event: RefilledEvent) throws(StartFailure) {
    let kind = UInt8(String(decoding: event.kind, as: UTF8.self)).flatMap { RecordKind(rawValue: $0) }
    if kind == .create {
      guard (known[event.chat] ?? 0) < event.seq,
        case .bytes(let room) = try redis.ask(
          .field(Array("room".utf8), of: PartitionKey.of("k", event.chat, partition: partition)))
      else { return }
      try tell(StateRow(chat: event.chat, seq: event.seq, value: .chat(room: room)))
    } else if kind == .leave {
      let row = StateRow(chat: event.chat, seq: event.seq, value: .member(user: event.user, role: .none))
      if let key = RowKey.of(row), (known[key] ?? 0) < row.seq { left[key] = row }
    }
  }

  // MARK: Rows

  private mutating func tell(_ row: StateRow) throws(StartFailure) {
    guard let key = RowKey.of(row), (known[key] ?? 0) < row.seq else { return }
    known[key] = row.seq
    rows += 1
    try writing { () throws(KafkaError) in try state.write(row, partition: partition) }
  }

  private mutating func tell(chat key: [UInt8], of chat: [UInt8]) throws(StartFailure) {
    guard case .bytes(let text) = try redis.ask(.field(Array("head".utf8), of: key)),
      let head = Seq(String(decoding: text, as: UTF8.self))
    else { return }
    try tell(StateRow(chat: chat, seq: head, value: .head))
  }

  private mutating func tell(members key: [UInt8], of chat: [UInt8]) throws(StartFailure) {
    var found: [StateRow] = []
    try redis.fields(of: key) { user, text in
      let parts = String(decoding: text, as: UTF8.self).split(separator: ":")
      guard parts.count == 2, let number = UInt8(parts[0]), let role = Role(rawValue: number),
        let seq = Seq(parts[1])
      else { return }
      found.append(StateRow(chat: chat, seq: seq, value: .member(user: user, role: role)))
    }
    for row in found { try tell(row) }
  }
}

extension UnsafeRawBufferPointer {
  /// A record without a key, behind all others of the partition.
  fileprivate func writeEnd(to log: TopicWriter, _ partition: Int32) throws(KafkaError) {
    try log.write(partition, key: UnsafeRawBufferPointer(start: nil, count: 0), value: self)
  }
}

extension [UInt8] {
  fileprivate func withUnsafeBytesThrowing(
    _ body: (UnsafeRawBufferPointer) throws(KafkaError) -> Void
  ) throws(KafkaError) {
    let result = withUnsafeBytes { bytes -> Result<Void, KafkaError> in
      do throws(KafkaError) { return .success(try body(bytes)) } catch { return .failure(error) }
    }
    try result.get()
  }
}
