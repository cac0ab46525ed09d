import Chat
import JSON

/// Log, owner and view in their plainest form: a list of events that is searched from end to end. What the
/// edge is told from here is right by construction.
final class Backbone {
  struct Event {
    var seq: Seq
    var prev: Seq
    var kind: RecordKind
    var role: Role
    var chat: String
    var from: String
    var device: String
    var id: String
    var time: WallTime
    var origin: Origin
    var json: [UInt8]
  }

  struct Member {
    var role: Role
    var joined: Seq
  }

  let partitions: Int32
  let limits = Limits()
  private(set) var events: [Event] = []
  private(set) var rooms: [String: RoomRow] = [:]
  private(set) var members: [String: [String: Member]] = [:]
  private(set) var reads: [String: Seq] = [:]
  private var outcomes: [String: (outcome: Outcome, seq: Seq, time: WallTime)] = [:]
  private(set) var applied: [Seq]
  /// Events that retention has taken.
  private(set) var retained: Set<String> = []

  init(partitions: Int32) {
    self.partitions = partitions
    applied = (0..<partitions).map { _ in SeqSpace.nothingYet(generation: 1) }
  }

  func partition(_ chat: String) -> Int32 {
    Array(chat.utf8).withUnsafeBytes { Partition.of($0, count: partitions) }
  }

  func events(of chat: String) -> [Event] {
    events.filter { $0.chat == chat && !retained.contains("\(chat) \($0.seq)") }
  }

  func head(_ chat: String) -> Seq { events.last { $0.chat == chat }?.seq ?? 0 }

  /// Takes away the oldest events of a chat.
  func forget(_ count: Int, of chat: String) {
    for event in events(of: chat).prefix(count) { retained.insert("\(chat) \(event.seq)") }
  }

  func hasForgotten(_ chat: String) -> Bool { retained.contains { $0.hasPrefix(chat + " ") } }

  // MARK: Owner

  struct Applied {
    var appended: [Appended] = []
    var verdicts: [Verdict] = []
    var batches: [Batch] = []
  }

  func apply(_ bytes: UnsafeRawBufferPointer) -> Applied {
    var result = Applied()
    var hints: [Int32: ByteBufferBox] = [:]
    let before = applied
    var offset = 0
    while let record = AppendCodec.decode(bytes, at: &offset) {
      apply(record, &result, &hints)
    }
    for (partition, box) in hints.sorted(by: { $0.key < $1.key }) {
      result.batches.append(
        Batch(
          partition: partition, view: 7, directories: [1], since: before[Int(partition)],
          upto: applied[Int(partition)], hints: box.buffer.bytes))
    }
    return result
  }

  private func apply(_ record: Append, _ result: inout Applied, _ hints: inout [Int32: ByteBufferBox]) {
    let chat = String(decoding: record.chat, as: UTF8.self)
    let from = String(decoding: record.from, as: UTF8.self)
    let device = String(decoding: record.device, as: UTF8.self)
    let id = String(decoding: record.id, as: UTF8.self)
    let key = "\(chat) \(from) \(device) \(id)"
    if let first = outcomes[key] {
      result.verdicts.append(
        Verdict(
          origin: record.origin, outcome: .duplicate, first: first.outcome, seq: first.seq, time: first.time))
      return
    }
    var role = Role.none
    if chat.hasPrefix("room:") {
      let state = Judge.State(
        room: rooms[chat], role: members[chat]?[from]?.role ?? .none, members: members[chat]?.count ?? 0,
        rooms: members.values.filter { $0[from] != nil }.count)
      let judged = Judge.outcome(of: record.kind, isRepeat: record.isRepeat, state: state, limits: limits)
      guard judged.outcome == .event else {
        outcomes[key] = (judged.outcome, 0, record.time)
        result.verdicts.append(
          Verdict(origin: record.origin, outcome: judged.outcome, seq: 0, time: record.time))
        return
      }
      role = judged.role
    }
    let p = Int(partition(chat))
    let seq = applied[p] + 1 + Seq(events.count % 3) / 2
    applied[p] = seq
    let prev = head(chat)
    var buffer = ByteBuffer()
    if record.kind == .message {
      EventWriter.message(record, seq: seq, prev: prev, into: &buffer)
    } else {
      EventWriter.member(
        chat: record.chat, seq: seq, prev: prev, user: record.from, role: role, by: record.from, into: &buffer
      )
      if record.kind == .create { rooms[chat] = RoomRow(isPublic: chat != "room:private") }
      members[chat, default: [:]][from] = role == .none ? nil : Member(role: role, joined: seq)
    }
    events.append(
      Event(
        seq: seq, prev: prev, kind: record.kind, role: record.kind == .message ? .none : role, chat: chat,
        from: from, device: device, id: id, time: record.time, origin: record.origin,
        json: Array(buffer.bytes)))
    outcomes[key] = (.event, seq, record.time)
    if hints[Int32(p)] == nil { hints[Int32(p)] = ByteBufferBox() }
    HintCodec.encode(
      Hint(
        kind: record.kind, seq: seq, prev: prev, time: record.time, origin: record.origin,
        role: record.kind == .message ? .none : role, chat: record.chat, user: record.from, json: buffer.bytes
      ),
      into: &hints[Int32(p)]!.buffer)
    if record.kind == .message, !record.isRepeat {
      result.appended.append(Appended(origin: record.origin, seq: seq, time: record.time))
    }
  }

  // MARK: View

  func answer(_ query: ViewQuery) -> ViewAnswer {
    let p = Int(query.partition)
    var answer = ViewAnswer(
      tag: query.tag, partition: query.partition, view: 7, directory: 1, applied: applied[p])
    answer.logEnd = applied[p]
    let chat = String(decoding: query.chat, as: UTF8.self)
    let user = String(decoding: query.user, as: UTF8.self)
    if !chat.isEmpty {
      answer.head = head(chat)
      answer.room = rooms[chat]
      if chat.hasPrefix("dm:") {
        answer.member = MemberRow(role: .member, joined: 0)
      } else if let member = members[chat]?[user] {
        answer.member = MemberRow(role: member.role, joined: member.joined)
      }
    }
    switch query.what {
    case .member: break
    case .chats(let after): list(user, p, String(decoding: after, as: UTF8.self), query, &answer)
    case .eventsAfter(let seq): page(events(of: chat).filter { $0.seq > seq }, query, &answer)
    case .eventsBefore(let seq):
      page(events(of: chat).filter { seq == 0 || $0.seq < seq }.reversed(), query, &answer)
    case .members(let after):
      for (user, member) in (members[chat] ?? [:]).sorted(by: { $0.key < $1.key })
      where user > String(decoding: after, as: UTF8.self) {
        guard answer.hasRoom(for: user.utf8.count, query.limit, query) else { break }
        var row = ViewAnswer.Row()
        row.user = answer.append(user)
        row.role = member.role
        answer.rows.append(row)
      }
    case .recent(let seq):
      let recent = events.filter { partition($0.chat) == query.partition && $0.seq > seq }
      page(recent.sorted { $0.seq < $1.seq }, query, &answer)
    }
    return answer
  }

  private func list(_ user: String, _ p: Int, _ after: String, _ query: ViewQuery, _ answer: inout ViewAnswer)
  {
    var chats: [String: Seq] = [:]
    for event in events where event.chat.hasPrefix("dm:") {
      if event.chat.dropFirst(3).split(separator: ":").contains(Substring(user)) { chats[event.chat] = 0 }
    }
    for (room, members) in members { if let member = members[user] { chats[room] = member.joined } }
    let here = chats.filter { Int(partition($0.key)) == p && $0.key > after }.sorted { $0.key < $1.key }
    for (chat, joined) in here {
      // Small pages here too; a client's own question names its limit, and gets that many.
      let limit = query.limit == Limits.listRows ? 2 : query.limit
      guard answer.hasRoom(for: chat.utf8.count, limit, query) else { return }
      var row = ViewAnswer.Row()
      row.seq = head(chat)
      row.joined = joined
      row.chat = answer.append(chat)
      answer.rows.append(row)
    }
  }

  private func page(_ events: [Event], _ query: ViewQuery, _ answer: inout ViewAnswer) {
    // Small pages, so that catching up takes several.
    let limit = query.limit == 100 ? 3 : query.limit
    for event in events {
      guard answer.hasRoom(for: event.from.utf8.count + event.json.count, limit, query) else { return }
      var row = ViewAnswer.Row()
      row.seq = event.seq
      row.prev = event.prev
      row.kind = event.kind
      row.role = event.role
      row.time = event.time
      row.origin = event.origin
      row.chat = answer.append(event.chat)
      row.user = answer.append(event.from)
      let start = answer.bytes.count
      answer.bytes += event.json
      row.json = start..<answer.bytes.count
      answer.rows.append(row)
    }
  }
}

final class ByteBufferBox {
  var buffer = ByteBuffer()
}

extension ViewAnswer {
  /// As `ViewQuery` says: at least one row, then as many as both bounds let in.
  fileprivate mutating func hasRoom(for size: Int, _ limit: Int, _ query: ViewQuery) -> Bool {
    if rows.count < limit, rows.isEmpty || bytes.count + size <= query.bytes { return true }
    hasMore = true
    return false
  }

  fileprivate mutating func append(_ text: String) -> Range<Int> {
    let start = bytes.count
    bytes += Array(text.utf8)
    return start..<bytes.count
  }
}
