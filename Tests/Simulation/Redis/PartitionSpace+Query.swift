import Chat
import Redis

/// `query.lua`
extension PartitionSpace {
  /// An answer under way.
  private struct Answer {
    var reply: [RedisReply]
    let limit, bytes: Int
    private var used = 0
    private var count = 0

    init(_ reply: [RedisReply], limit: Int, bytes: Int) {
      self.reply = reply
      self.limit = limit
      self.bytes = bytes
    }

    /// Adds a row, at least one whatever its size; false, and that there are more, where it does not fit.
    mutating func add(_ size: Int, _ figures: @autoclosure () -> [UInt8], _ first: [UInt8], _ second: [UInt8])
      -> Bool
    {
      guard count < limit, count == 0 || used + size <= bytes else {
        reply[7] = .integer(1)
        return false
      }
      count += 1
      used += size
      reply.append(.bytes(figures()))
      reply.append(.bytes(first))
      reply.append(.bytes(second))
      return true
    }
  }

  mutating func query(_ texts: CommandTexts, primary: [UInt8], now: WallTime) -> RedisReply {
    var reply: [RedisReply] = [.text(view.id), .text(view.applied), .text(view.until), .bytes(primary)]
    guard view.id != nil, let applied = view.applied, view.until == nil else { return .array(reply) }
    let chat = texts.isEmpty(2) ? nil : chatPlaces[texts.string(2)]
    if let chat { expireHistory(chat, now: now) }
    reply.append(.text(chat.flatMap { chats[$0].head } ?? 0))
    let member = texts.isEmpty(3) ? nil : chat.flatMap { chats[$0].members[texts.string(3)] }
    reply.append(member.map { .bytes(Self.text(of: $0)) } ?? .null)
    reply.append(chat.flatMap { chats[$0].isPublic }.map { .text($0 ? "1" : "0") } ?? .null)
    reply.append(.integer(0))
    reply.append(.integer(1))
    var answer = Answer(reply, limit: Int(texts.number(4)), bytes: Int(texts.number(5)))
    switch texts.string(1) {
    case "after": if let chat { addEvents(chats[chat].history.above(texts.number(6)), &answer) }
    case "before":
      let seq = texts.number(6)
      if let chat { addEvents(chats[chat].history.below(seq == 0 ? .max : seq).reversed(), &answer) }
    case "recent": addRecent(after: texts.number(6), applied: applied, &answer)
    case "chats": addChats(of: texts.string(3), after: texts.string(6), &answer)
    case "members": if let chat { addMembers(of: chat, after: texts.string(6), &answer) }
    default: break
    }
    return .array(answer.reply)
  }

  private static func text(of row: MemberRow) -> [UInt8] {
    var text = TextBuilder()
    text.append(Int64(row.role.rawValue))
    text.append(":".utf8)
    text.append(row.joined)
    return text.bytes
  }

  private func addEvents(_ events: some Sequence<StoredEvent>, _ answer: inout Answer) {
    for event in events {
      let user = Array(event.user.utf8)
      guard answer.add(event.json.count + user.count, figures(event), user, event.json) else { return }
    }
  }

  private func figures(_ event: StoredEvent) -> [UInt8] {
    var figures = TextBuilder(capacity: 96)
    for number in [event.seq, event.prev, Int64(event.kind.rawValue), Int64(event.role.rawValue), event.time]
    {
      figures.append(number)
      figures.append(" ".utf8)
    }
    figures.append(event.origin)
    return figures.bytes
  }

  private func addRecent(after seq: Seq, applied: Seq, _ answer: inout Answer) {
    for row in recent.above(seq) {
      let (chat, user) = (Array(row.chat.utf8), Array(row.user.utf8))
      let figures = TextBuilder.figures(row.seq, Int64(row.kind.rawValue), Int64(row.role.rawValue))
      guard answer.add(chat.count + user.count, figures, chat, user) else { break }
    }
    let reaches = applied <= seq || recent.oldest.map { $0 <= seq } ?? false
    answer.reply[8] = .integer(reaches ? 1 : 0)
  }

  private func addChats(of user: String, after: String, _ answer: inout Answer) {
    guard let place = userPlaces[user] else { return }
    for name in users[place].chats.keys.filter({ $0 > after }).sorted() {
      let row = users[place].chats[name]!
      let head = chatPlaces[name].flatMap { chats[$0].head } ?? 0
      var figures = TextBuilder()
      figures.append(Self.text(of: row))
      for number in [head, users[place].reads[name] ?? 0] {
        figures.append(" ".utf8)
        figures.append(number)
      }
      guard answer.add(name.utf8.count, figures.bytes, Array(name.utf8), []) else { return }
    }
  }

  private func addMembers(of chat: Int, after: String, _ answer: inout Answer) {
    for name in chats[chat].members.keys.filter({ $0 > after }).sorted() {
      let row = Self.text(of: chats[chat].members[name]!)
      guard answer.add(name.utf8.count, row, Array(name.utf8), []) else { return }
    }
  }
}
