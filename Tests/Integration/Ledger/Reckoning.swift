import Support

/// Compares what the devices were told with what the server stored, and says every difference.
struct Reckoning {
  private(set) var differences: [String] = []
  /// By chat: all its events in the log's order, as a new device is handed them.
  private let events: [String: [ChatFrame]]

  /// - Parameters:
  ///   - histories: by chat, as `history` pages it.
  init(accounts: [LedgerAccount], events: [String: [ChatFrame]], histories: [String: [JSONValue]]) {
    self.events = events
    for (chat, rows) in histories { compareHistory(of: chat, rows) }
    for (chat, list) in events { checkChain(of: chat, list) }
    for account in accounts { compare(account) }
  }

  private mutating func note(_ difference: String) {
    if differences.count < 40 { differences.append(difference) }
  }

  /// History and replay are the same messages, each once and in order.
  private mutating func compareHistory(of chat: String, _ rows: [JSONValue]) {
    let messages = (events[chat] ?? []).filter { $0.type == "message" }
    let paged = rows.map { "\($0["seq"]?.int ?? -1) \($0["from"]?.string ?? "") \($0["id"]?.string ?? "")" }
    let replayed = messages.map { "\($0.seq ?? -1) \($0["from"]?.string ?? "") \($0.id ?? "")" }
    for difference in paged.difference(from: replayed) {
      switch difference {
      case .insert(_, let row, _): note("\(chat): only in history: \(row)")
      case .remove(_, let row, _): note("\(chat): only in the replay: \(row)")
      }
    }
    var seen: Set<String> = []
    for message in messages where !seen.insert("\(message["from"]!) \(message.id ?? "")").inserted {
      note("\(chat): doubled: \(message)")
    }
  }

  private mutating func checkChain(of chat: String, _ list: [ChatFrame]) {
    for (event, next) in zip(list, list.dropFirst()) {
      if next.seq! <= event.seq! { note("\(chat): \(next.seq!) comes after \(event.seq!)") }
      if next.prev != event.seq {
        note("\(chat): the prev of \(next.seq!) is \(next.prev ?? -1), not \(event.seq!)")
      }
    }
  }

  private mutating func compare(_ account: LedgerAccount) {
    for reset in account.resets { note("\(account.name): \(reset)") }
    // Every message of its own is stored once, where the ack said, as it was sent.
    for message in account.sent {
      let stored = (events[message.chat] ?? []).filter {
        $0.id == message.id && $0["from"]?.string == account.user
      }
      guard let event = stored.first, stored.count == 1 else {
        note("\(account.name): \(message.id) is stored \(stored.count) times in \(message.chat)")
        continue
      }
      if account.acknowledged[message.id] != [event.seq!] {
        note(
          "\(account.name): \(message.id) has seq \(event.seq!), and was told \(account.acknowledged[message.id] ?? [])"
        )
      }
      if event.body != message.body { note("\(account.name): \(message.id) has another body: \(event)") }
    }
    // It was handed, or acknowledged, every event of its chats, each once.
    for (chat, list) in events where account.isIn(chat) {
      let handed = account.handed[chat] ?? []
      let own = Set(
        account.sent.filter { $0.chat == chat }.flatMap { account.acknowledged[$0.id] ?? [] })
      let known = Set(handed.map { $0.seq! })
      if known.count != handed.count { note("\(account.name): handed something twice in \(chat)") }
      // A room's events concern a user from his joining on.
      let joined = list.last { $0.type == "member" && $0["user"]?.string == account.user }?.seq ?? 0
      for event in list
      where event.seq! > joined && !known.contains(event.seq!) && !own.contains(event.seq!) {
        note("\(account.name): never handed \(event)")
      }
      checkMembership(account, chat, list)
      let texts = Dictionary(uniqueKeysWithValues: list.map { ($0.seq!, $0.text) })
      for event in handed where event.type == "message" && texts[event.seq!] != event.text {
        note("\(account.name): handed \(event), stored is \(texts[event.seq!] ?? "nothing")")
      }
    }
    for chat in account.handed.keys where events[chat] == nil || !account.isIn(chat) {
      note("\(account.name): handed events of \(chat)")
    }
  }

  /// Of a room nothing was handed from before the user's joining, or from behind his leaving.
  private mutating func checkMembership(_ account: LedgerAccount, _ chat: String, _ list: [ChatFrame]) {
    guard chat.hasPrefix("room:") else { return }
    let turns = list.filter { $0.type == "member" && $0["user"]?.string == account.user }
    // Whoever made the room was in it before there was an event to say so.
    guard let first = turns.first, first["role"] != .null, first["by"]?.string == account.user else { return }
    for event in account.handed[chat] ?? [] {
      let last = turns.last { $0.seq! <= event.seq! }
      let isInside = last.map { $0["role"] != .null || $0.seq == event.seq } ?? false
      if !isInside { note("\(account.name): handed to a non-member: \(event)") }
    }
  }
}
