import Chat

/// What a client asks for, and how it comes to know what became of it.
extension SimulatedClient {
  func act() {
    if let storm {
      self.storm = storm.left > 1 ? (storm.room, storm.left - 1) : nil
      return change(storm.left % 2 == 0 ? .join : .leave, storm.room)
    }
    switch workload.next(user: userNumber, roster: roster, &random) {
    case .send(let chat, let isLarge): send(chat, isLarge: isLarge)
    case .create(let room, let isPublic): change(.create, room, isPublic: isPublic)
    case .join(let room): change(.join, room)
    case .leave(let room): change(.leave, room)
    case .history(let chat): askHistory(chat)
    case .chats: ask(.chats, "\"type\":\"chats\"", chat: -1, after: nil)
    case .members(let room):
      ask(.members, "\"type\":\"members\",\"chat\":\"\(name(room))\"", chat: room, after: nil)
    case .read(let chat):
      transmit("{\"type\":\"read\",\"chat\":\"\(name(chat))\",\"seq\":\(cursor(chat) ?? 0)}")
    case .typing(let chat): transmit("{\"type\":\"typing\",\"chat\":\"\(name(chat))\",\"on\":true}")
    case .storm(let room, let count):
      for left in (1...count).reversed() { change(left % 2 == 0 ? .join : .leave, room) }
    case .move:
      outbox.append(.close(connection))
      comesBackTo = Int.random(in: 0..<workload.profile.instances, using: &random)
      connect()
    case .cut:
      outbox.append(.abandon(connection))
      comeBack(after: Int64.random(in: 0...3_000, using: &random))
    case .overlap: connect()
    case .away(let milliseconds):
      outbox.append(.close(connection))
      comeBack(after: milliseconds)
    case .forget: forget()
    }
  }

  /// Sends a message to a chat now, where it is online.
  func say(in chat: Int, now: Tick) {
    self.now = now
    if phase == .open || phase == .live { send(chat, isLarge: false) }
  }

  /// Leaves a room now, where it is online.
  func leave(room: Int, now: Tick) {
    self.now = now
    if phase == .open || phase == .live { change(.leave, room) }
  }

  private func name(_ chat: Int) -> String { roster.chats[chat].name }

  func cursor(_ chat: Int) -> Seq? { chat < cursors.count ? cursors[chat] : nil }

  /// All that the device kept is gone. Its requests may still come to something; it knows of none.
  private func forget() {
    outbox.append(.close(connection))
    cursors = []
    pending = []
    wasEverWelcomed = false
    ledger.forget()
    comeBack(after: Int64.random(in: 100...5_000, using: &random))
  }

  private func nextID() -> String {
    lastRequest += 1
    return "\(user).\(device).\(lastRequest)"
  }

  // MARK: Requests whose outcome counts

  private func send(_ chat: Int, isLarge: Bool) {
    let id = nextID()
    // Half of the direct messages name the user in place of the chat; a field in it claims to be another's.
    var to = name(chat)
    if let pair = roster.chats[chat].pair, random.chance(0.5) {
      to = "user:\(roster.users[pair.0 == userNumber ? pair.1 : pair.0])"
    }
    let body = "\"\(id)\(isLarge ? String(repeating: "x", count: workload.profile.largeBody) : "")\""
    let claim = random.chance(0.02) ? "\"from\":\"\(roster.users[workload.users[0]])\"," : ""
    submit(
      .message, chat, id, "{\"type\":\"send\",\(claim)\"id\":\"\(id)\",\"to\":\"\(to)\",\"body\":\(body)")
  }

  private func change(_ kind: RecordKind, _ room: Int, isPublic: Bool = true) {
    let id = nextID()
    let common = "\"id\":\"\(id)\",\"chat\":\"\(name(room))\""
    switch kind {
    case .message: preconditionFailure("a message changes no membership")
    case .create:
      submit(kind, room, id, "{\"type\":\"create\",\(common),\"name\":\"R\",\"public\":\(isPublic)")
    case .join: submit(kind, room, id, "{\"type\":\"join\",\(common)")
    case .leave: submit(kind, room, id, "{\"type\":\"leave\",\(common)")
    }
  }

  private func submit(_ kind: RecordKind, _ chat: Int, _ id: String, _ text: String) {
    pending.append(
      Pending(
        id: id, kind: kind, chat: chat, text: text, firstSentAt: now, isUnderWay: true, isDoubtful: false,
        repeatAt: nil))
    sent[id] = Sent(isMarked: false, unanswered: 1)
    transmit(text + "}")
  }

  /// Everything that waits is repeated at once after `live`, if it was not sent in this session.
  func repeatAll() {
    for index in pending.indices where !pending[index].isUnderWay && pending[index].repeatAt == nil {
      pending[index].repeatAt = now
    }
    repeatDue()
  }

  func repeatDue() {
    var gone: [String] = []
    for index in pending.indices {
      guard let at = pending[index].repeatAt, at <= now else { continue }
      guard now - pending[index].firstSentAt <= dedupeMilliseconds else {
        // It was handed what it sent, if there is anything of it: nothing more is asked.
        gone.append(pending[index].id)
        continue
      }
      pending[index].repeatAt = nil
      pending[index].isUnderWay = true
      var record = sent[pending[index].id] ?? Sent(isMarked: true, unanswered: 0)
      record.isMarked = true
      record.unanswered += 1
      sent[pending[index].id] = record
      transmit(pending[index].text + ",\"retry\":true}")
    }
    if !gone.isEmpty { pending.removeAll { gone.contains($0.id) } }
  }

  /// As `limits.dedupe` says.
  private var dedupeMilliseconds: Int64 { Limits().dedupeMilliseconds }

  // MARK: Questions

  private func askHistory(_ chat: Int) {
    var text =
      "\"type\":\"history\",\"chat\":\"\(name(chat))\",\"limit\":\(Int.random(in: 1...10, using: &random))"
    var after: Seq?
    if let cursor = cursor(chat), cursor > 0 {
      switch Int.random(in: 0..<3, using: &random) {
      case 0:
        after = max(0, cursor - Int64.random(in: 0...40, using: &random))
        text += ",\"after\":\(after!)"
      case 1: text += ",\"before\":\(cursor)"
      default: break
      }
    }
    ask(.history, text, chat: chat, after: after)
  }

  func ask(_ kind: ServerFrame.Kind, _ fields: String, chat: Int, after: Seq?) {
    let id = nextID()
    queries.append(Query(id: id, kind: kind, chat: chat, asked: now, after: after))
    sent[id] = Sent(isMarked: false, unanswered: 1)
    transmit("{\(fields),\"id\":\"\(id)\"}")
  }
}
