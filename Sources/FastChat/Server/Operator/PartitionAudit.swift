import Chat
import JSON
import Redis

/// Compares the view of one partition to the log and the state topic, up to where both are known: what a rebuild
/// would make otherwise. It changes nothing, and servers may go on meanwhile.
///
/// In memory, of one partition at a time: two bits for each record of the window, the dedupe table of 8 minutes
/// of log (about 50 bytes a record), and the rows of members (about 200 bytes each).
struct PartitionAudit {
  /// What the view has trimmed already, by its owner's clock, may still be in the window by ours.
  private static let marginMilliseconds: WallTime = 120_000
  /// Records that are looked up at once, and bytes of their texts.
  private static let chunkRecords = 256
  private static let chunkBytes = 1 << 20
  /// Events of a history that are read at once: one may have 60 KB.
  private static let pageEvents = 64

  private struct Member {
    var row: String
    var seq: Seq
    var isSeen = false
  }

  private struct Expected {
    let chat: [UInt8]
    let seq: Seq
    let kind: RecordKind
    /// The event but for the decimal of its `prev`.
    let head: [UInt8]
    let tail: [UInt8]
  }

  private let partition: Int32
  private let redis: RedisDesk
  private let limits: Limits
  private let upto: Seq
  private var judged: SeqMap
  private var events: SeqMap
  private var members: [[UInt8]: Member] = [:]
  private var chunk: [Expected] = []
  private var chunkTexts = 0
  private var stateChecks: [(row: StateRow, what: String, command: RedisCommand)] = []
  private(set) var found = Differences()
  /// Events of the log that were looked up.
  private(set) var compared = 0

  /// - Parameters:
  ///   - upto: applied and committed.
  ///   - now: milliseconds since 1970.
  static func run(
    _ partition: Int32, upto: Seq, _ log: LogDesk, _ redis: RedisDesk, _ limits: Limits, now: WallTime
  ) throws(StartFailure) -> PartitionAudit {
    let begin = now - limits.windowMilliseconds + marginMilliseconds
    let oldest = try log.ends(partition).first
    let from = max(try log.first(partition, since: begin), oldest)
    let start = max(try log.first(partition, since: begin - Limits.dedupeSpanMilliseconds), oldest)
    var audit = PartitionAudit(partition, redis, limits, from: from, upto: upto)
    try log.rows(partition) { row throws(StartFailure) in try audit.take(row) }
    try audit.checkState()
    try log.firsts(partition, after: start - 1, upto: upto) { record throws(StartFailure) in
      try audit.take(record)
    }
    try audit.checkEvents()
    try audit.walkView()
    return audit
  }

  private init(_ partition: Int32, _ redis: RedisDesk, _ limits: Limits, from: Seq, upto: Seq) {
    self.partition = partition
    self.redis = redis
    self.limits = limits
    self.upto = upto
    judged = SeqMap(from: from, upto: upto)
    events = SeqMap(from: from, upto: upto)
  }

  private func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }

  private func key(_ kind: String, _ name: some Collection<UInt8>) -> [UInt8] {
    PartitionKey.of(kind, name, partition: partition)
  }

  // MARK: The state topic

  private mutating func take(_ row: StateRow) throws(StartFailure) {
    switch row.value {
    case .outcome(let outcome, _): judged[row.seq] = outcome == .event
    case .forgottenOutcome: judged[row.seq] = false
    case .member(let user, let role):
      members[row.chat + [0x0A] + user] =
        Member(row: role == .none ? "" : "\(role.rawValue):\(row.seq)", seq: row.seq)
    case .head: stateChecks.append((row, "head", .field(Array("head".utf8), of: key("k", row.chat))))
    case .chat: stateChecks.append((row, "room", .field(Array("public".utf8), of: key("k", row.chat))))
    }
    if stateChecks.count >= Self.chunkRecords { try checkState() }
  }

  /// Rooms are never deleted and heads only rise, so that each row can be looked at by itself.
  private mutating func checkState() throws(StartFailure) {
    guard !stateChecks.isEmpty else { return }
    let replies = try redis.ask(stateChecks.map(\.command))
    for (check, reply) in zip(stateChecks, replies) where check.row.seq <= upto {
      var value: [UInt8]?
      if case .bytes(let bytes) = reply { value = bytes }
      if let value, check.what == "room" || Seq(text(value)) ?? 0 >= check.row.seq { continue }
      let state = value == nil ? "is missing in the view" : "stands lower in the view"
      found.add("\(text(check.row.chat)): its \(check.what) of \(check.row.seq) \(state)")
    }
    stateChecks.removeAll(keepingCapacity: true)
  }

  // MARK: The log

  private mutating func take(_ record: borrowing LogRecord) throws(StartFailure) {
    let append = record.append
    guard events.covers(record.seq), isEvent(append, record.seq) else { return }
    events[record.seq] = true
    var buffer = ByteBuffer()
    if append.kind == .message {
      EventWriter.message(append, seq: record.seq, prev: 0, into: &buffer)
    } else {
      let role: Role = append.kind == .leave ? .none : append.kind == .create ? .owner : .member
      EventWriter.member(
        chat: append.chat, seq: record.seq, prev: 0, user: append.from, role: role, by: append.from,
        into: &buffer)
    }
    let whole = Array(buffer.bytes)
    // Neither a chat's id nor a seq has a quote in it: the first `"prev":` is the event's own.
    let mark = Array("\"prev\":".utf8)
    guard let place = whole.indices.first(where: { whole[$0...].starts(with: mark) }) else { return }
    let head = Array(whole[..<(place + mark.count)])
    let tail = Array(whole[(place + mark.count + 1)...])
    chunk.append(
      Expected(chat: Array(append.chat), seq: record.seq, kind: append.kind, head: head, tail: tail))
    chunkTexts += whole.count
    if chunk.count >= Self.chunkRecords || chunkTexts >= Self.chunkBytes { try checkEvents() }
  }

  private func isEvent(_ append: Append, _ seq: Seq) -> Bool {
    guard append.chat.first == UInt8(ascii: "r") else { return append.kind == .message }
    let isFirstSend = append.kind == .message && !append.isRepeat
    return isFirstSend ? true : judged[seq]
  }

  private mutating func checkEvents() throws(StartFailure) {
    guard !chunk.isEmpty else { return }
    let replies = try redis.ask(
      chunk.map { .events(ofHistory: key("h", $0.chat), from: $0.seq, upto: $0.seq, limit: 1) })
    compared += chunk.count
    for (expected, reply) in zip(chunk, replies) {
      guard let stored = StoredEvent.list(reply: reply) else { throw RedisDesk.unreadable }
      if let event = stored.first {
        if event["json"] != expected.head + event["prev"] + expected.tail {
          found.add("\(text(expected.chat)) \(expected.seq): the view has it otherwise than the log")
        }
      } else if try !redis.hasTrimmed(
        expected.seq, of: key("h", expected.chat), keeping: limits.windowEvents)
      {
        found.add("\(text(expected.chat)) \(expected.seq): in the log, not in the view")
      }
    }
    chunk.removeAll(keepingCapacity: true)
    chunkTexts = 0
  }

  // MARK: The view

  private mutating func walkView() throws(StartFailure) {
    var copy = self
    try redis.scan(partition, "hm") { keys throws(StartFailure) in
      for key in keys {
        guard let (kind, name) = PartitionKey.parts(key, partition: partition) else { continue }
        if kind == UInt8(ascii: "h") {
          try copy.walk(history: key, of: Array(name))
        } else {
          try copy.walk(members: key, of: Array(name))
        }
      }
      return true
    }
    self = copy
    for (name, member) in members.sorted(by: { $0.value.seq < $1.value.seq })
    where !member.row.isEmpty && !member.isSeen && member.seq <= upto {
      found.add("\(Self.spoken(name)) is a member by the state topic, and not by the view")
    }
  }

  private mutating func walk(history key: [UInt8], of chat: [UInt8]) throws(StartFailure) {
    var from: Seq = max(events.from, 0)
    while from <= upto {
      let reply = try redis.ask(.events(ofHistory: key, from: from, upto: upto, limit: Self.pageEvents))
      guard let page = StoredEvent.list(reply: reply) else { throw RedisDesk.unreadable }
      for event in page where !events[event.seq] {
        found.add("\(text(chat)) \(event.seq): in the view, not in the log")
      }
      guard page.count == Self.pageEvents, let last = page.last else { return }
      from = last.seq + 1
    }
  }

  private mutating func walk(members key: [UInt8], of chat: [UInt8]) throws(StartFailure) {
    var rows: [(user: [UInt8], row: [UInt8])] = []
    try redis.fields(of: key) { rows.append(($0, $1)) }
    for start in stride(from: 0, to: rows.count, by: Self.chunkRecords) {
      let part = rows[start..<min(start + Self.chunkRecords, rows.count)]
      let lists = try redis.ask(part.map { .field(chat, of: self.key("c", $0.user)) })
      for ((user, row), list) in zip(part, lists) {
        let name = chat + [0x0A] + user
        members[name]?.isSeen = true
        let seq = row.firstIndex(of: UInt8(ascii: ":")).flatMap { Seq(text(row[($0 + 1)...])) }
        if let seq, seq > upto { continue }
        if members[name]?.row != text(row) {
          let known = members[name].map { $0.row.isEmpty ? "no member" : $0.row } ?? "unknown"
          found.add(
            "\(Self.spoken(name)) is \(Printable.short(text(row))) by the view, \(known) by the state topic")
        }
        if list != .bytes(row) { found.add("\(Self.spoken(name)): the list of chats says otherwise") }
      }
    }
  }

  /// A key of `members`, for people.
  private static func spoken(_ name: [UInt8]) -> String {
    let parts = name.split(separator: 0x0A).map { String(decoding: $0, as: UTF8.self) }
    return parts.count == 2 ? "\(parts[1]) in \(parts[0])" : ""
  }
}
