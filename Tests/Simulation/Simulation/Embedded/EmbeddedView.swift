import Chat

/// What the view of a server that stands alone answers: read off the truth as it is now.
extension EmbeddedStore {
  /// Rows of a page, where the edge would take many: catching up takes several pages.
  static let pageRows = 3
  static let listRows = 2

  func answer(_ query: ViewQuery) -> ViewAnswer {
    var answer = ViewAnswer(
      tag: query.tag, partition: query.partition, view: Self.view, directory: Self.directory, applied: applied
    )
    answer.logEnd = applied
    let user = query.user.withUnsafeBytes { $0.isEmpty ? -1 : truth.roster.user(String(utf8: $0)) }
    var chat = -1
    if !query.chat.isEmpty {
      chat = query.chat.withUnsafeBytes { truth.roster.chat(String(utf8: $0)) }
      fillHead(of: chat, user, &answer)
    }
    switch query.what {
    case .member: break
    case .chats(let after): fillChats(user, after, query, &answer)
    case .eventsAfter(let seq): fillEvents(chat, after: seq, query, &answer)
    case .eventsBefore(let seq): fillEvents(chat, before: seq, query, &answer)
    case .members(let after): fillMembers(chat, after, query, &answer)
    case .recent(let seq): fillRecent(after: seq, query, &answer)
    }
    return answer
  }

  private func fillHead(of chat: Int, _ user: Int, _ answer: inout ViewAnswer) {
    answer.head = head(chat)
    answer.room = truth.state(of: chat).isPublic.map(RoomRow.init)
    if truth.roster.isDirect(chat, of: user) {
      answer.member = MemberRow(role: .member, joined: 0)
    } else if let stay = truth.openStay(of: user, in: chat) {
      answer.member = MemberRow(role: stay.role, joined: stay.joined)
    }
  }

  private func fillChats(_ user: Int, _ after: [UInt8], _ query: ViewQuery, _ answer: inout ViewAnswer) {
    var found: [(name: String, chat: Int, joined: Seq)] = []
    for chat in truth.chats.indices {
      let entry = truth.roster.chats[chat]
      if entry.isRoom {
        if let stay = truth.openStay(of: user, in: chat) { found.append((entry.name, chat, stay.joined)) }
      } else if truth.roster.isDirect(chat, of: user), head(chat) > 0 {
        found.append((entry.name, chat, 0))
      }
    }
    let start = String(decoding: after, as: UTF8.self)
    let limit = query.limit == Limits.listRows ? Self.listRows : query.limit
    for (name, chat, joined) in found.sorted(by: { $0.name < $1.name }) where name > start {
      guard answer.hasRoom(for: name.utf8.count, limit, query) else { return }
      var row = ViewAnswer.Row()
      row.seq = head(chat)
      row.joined = joined
      row.read = read(user, chat)
      row.chat = answer.append(name)
      answer.rows.append(row)
    }
  }

  private func fillEvents(_ chat: Int, after seq: Seq, _ query: ViewQuery, _ answer: inout ViewAnswer) {
    let state = truth.state(of: chat)
    for index in max(
      state.trimmed, truth.index(in: chat, at: seq + 1))..<max(state.trimmed, state.events.count)
    {
      guard append(index, of: chat, query, &answer) else { return }
    }
  }

  private func fillEvents(_ chat: Int, before seq: Seq, _ query: ViewQuery, _ answer: inout ViewAnswer) {
    let state = truth.state(of: chat)
    let end = seq == 0 ? state.events.count : truth.index(in: chat, at: seq)
    for index in (state.trimmed..<max(state.trimmed, end)).reversed() {
      guard append(index, of: chat, query, &answer) else { return }
    }
  }

  private func append(_ index: Int, of chat: Int, _ query: ViewQuery, _ answer: inout ViewAnswer) -> Bool {
    let event = truth.chats[chat].events[index]
    let bytes = json[chat][index]
    let limit = query.limit == Limits.pageRows ? Self.pageRows : query.limit
    guard answer.hasRoom(for: bytes.count, limit, query) else { return false }
    var row = ViewAnswer.Row()
    row.seq = event.seq
    row.prev = event.prev
    row.kind = event.kind
    row.role = event.role
    row.time = event.time
    row.origin = event.origin
    row.user = answer.append(truth.roster.users[event.author])
    row.json = answer.append(bytes)
    answer.rows.append(row)
    return true
  }

  private func fillMembers(_ chat: Int, _ after: [UInt8], _ query: ViewQuery, _ answer: inout ViewAnswer) {
    let start = String(decoding: after, as: UTF8.self)
    let names = truth.state(of: chat).stays.compactMap { user, stays in
      stays.last?.left == nil ? (name: truth.roster.users[user], role: stays.last!.role) : nil
    }
    for (name, role) in names.sorted(by: { $0.name < $1.name }) where name > start {
      guard answer.hasRoom(for: name.utf8.count, query.limit, query) else { return }
      var row = ViewAnswer.Row()
      row.user = answer.append(name)
      row.role = role
      answer.rows.append(row)
    }
  }

  /// The recent list is the log itself.
  private func fillRecent(after seq: Seq, _ query: ViewQuery, _ answer: inout ViewAnswer) {
    let records = truth.records[0]
    var index = records.count
    while index > 0, records[index - 1].seq > seq { index -= 1 }
    for record in records[index...] where record.outcome == .event {
      guard answer.hasRoom(for: 0, query.limit, query) else { return }
      let event = truth.event(in: record.chat, at: record.seq)!
      var row = ViewAnswer.Row()
      row.seq = record.seq
      row.kind = event.kind
      row.role = event.role
      row.chat = answer.append(truth.roster.chats[record.chat].name)
      row.user = answer.append(truth.roster.users[event.author])
      answer.rows.append(row)
    }
  }
}

extension ViewAnswer {
  /// As `ViewQuery` says: at least one row, then as many as both bounds let in.
  fileprivate mutating func hasRoom(for size: Int, _ limit: Int, _ query: ViewQuery) -> Bool {
    if rows.count < limit, rows.isEmpty || bytes.count + size <= query.bytes { return true }
    hasMore = true
    return false
  }

  fileprivate mutating func append(_ text: String) -> Range<Int> { append(Array(text.utf8)) }

  fileprivate mutating func append(_ text: [UInt8]) -> Range<Int> {
    let start = bytes.count
    bytes += text
    return start..<bytes.count
  }
}
