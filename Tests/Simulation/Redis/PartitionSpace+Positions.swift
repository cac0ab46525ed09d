import Chat
import Redis

/// `read-view.lua`, `begin-rebuild.lua`, `restore.lua`, `restore-reads.lua`, `raise-read.lua`
extension PartitionSpace {
  func readView(_ texts: CommandTexts) -> RedisReply {
    var reply: [RedisReply] = [
      .text(view.id), .text(view.applied), .text(view.hash), .text(view.appended), .text(view.until),
      .integer(0),
    ]
    let limit = Int(texts.number(2))
    guard limit > 0 else { return .array(reply) }
    let rows = outcomes.above(texts.number(1))
    for row in rows.prefix(limit) {
      reply.append(.text(row.seq))
      reply.append(.text(Int64(row.outcome.rawValue)))
      reply.append(.text(Int64(row.role.rawValue)))
    }
    if rows.count > limit { reply[5] = .integer(1) }
    return .array(reply)
  }

  mutating func beginRebuild(_ texts: CommandTexts) -> RedisReply {
    guard view.id == texts.optionalID(1), view.applied == texts.optionalNumber(2) else { return refusal }
    view = ViewRow(id: texts.id(3), until: texts.number(4), base: view.applied ?? view.base, lacksReads: true)
    return .array([.integer(1)])
  }

  mutating func restore(_ texts: CommandTexts) -> RedisReply {
    guard let id = view.id, id == texts.id(1), view.applied == nil else { return refusal }
    for place in stride(from: 3, to: texts.count, by: 5) {
      let seq = texts.number(place + 2)
      if seq <= view.base ?? 0 { continue }
      let chat = chat(texts.string(place + 1))
      if texts[place].first == UInt8(ascii: "m") {
        let role = Role(rawValue: UInt8(texts.number(place + 4)))!
        restoreMember(texts.string(place + 3), chat, seq, role)
      } else {
        let name = chats[chat].name + "\n"
        if view.base != nil, removals[name] == nil { removals[name] = chats[chat].head ?? 0 }
        chats[chat].head = max(chats[chat].head ?? seq, seq)
        let room = texts[place + 4]
        if !room.isEmpty, chats[chat].isPublic == nil { setRoom(chat, room) }
        enterDirect(chat)
      }
    }
    if let applied = texts.optionalNumber(2) {
      view.applied = applied
      view.hash = 0
      view.appended = 0
      view.begin = applied
    }
    return .array([.integer(1)])
  }

  private mutating func restoreMember(_ user: String, _ chat: Int, _ seq: Seq, _ role: Role) {
    if isSettled(user, chat, seq) { return }
    if role == .none {
      remember(removalOf: user, chat, seq)
      leave(user, chat)
    } else {
      enter(user, chat, MemberRow(role: role, joined: seq))
    }
  }

  mutating func restoreReads(_ texts: CommandTexts) -> RedisReply {
    guard view.applied != nil, view.until == nil, view.lacksReads, let id = view.id,
      texts.optionalID(1) ?? id == id
    else { return .null }
    var raised: Int64 = 0
    for place in stride(from: 3, to: texts.count, by: 3) {
      let (name, seq) = (texts.string(place), texts.number(place + 2))
      guard let user = userPlaces[texts.string(place + 1)], let row = users[user].chats[name],
        row.joined <= seq
      else { continue }
      let mark = min(seq, chatPlaces[name].flatMap { chats[$0].head } ?? 0)
      guard users[user].reads[name] ?? 0 < mark else { continue }
      users[user].reads[name] = mark
      raised += 1
    }
    if texts.number(2) == 1 { view.lacksReads = false }
    return .array([.text(id), .integer(raised)])
  }

  mutating func raiseRead(_ texts: CommandTexts) -> RedisReply {
    let name = texts.string(1)
    guard let user = userPlaces[texts.string(2)], users[user].chats[name] != nil else { return .null }
    let head = chatPlaces[name].flatMap { chats[$0].head } ?? 0
    let seq = min(texts.number(3), head)
    guard users[user].reads[name] ?? 0 < seq else { return .null }
    users[user].reads[name] = seq
    return .integer(seq)
  }
}
