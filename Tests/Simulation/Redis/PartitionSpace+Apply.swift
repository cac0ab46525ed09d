import Chat
import Redis

/// `apply.lua`
extension PartitionSpace {
  /// What one call is told beside its records.
  private struct Run {
    let from, upto: Seq
    let windowFloor: Seq
    let windowEvents: Int
    let roomMembers, userRooms: Int
    let isReplay: Bool
    let lastRecent, lastOutcome: Seq
    let now: WallTime
  }

  private struct Record {
    let seq: Seq
    let kind: RecordKind
    let isRepeat: Bool
    let forced: (outcome: Outcome, role: Role)?
    let chat, author: String
    let isRoom: Bool
    /// The place of its first text.
    let place: Int

    init(_ texts: CommandTexts, at place: Int) {
      self.place = place
      seq = texts.number(place)
      kind = RecordKind(rawValue: UInt8(texts.number(place + 1)))!
      let judgement = texts[place + 2]
      if judgement.count == 3 {
        forced = (
          Outcome(rawValue: judgement[0] - UInt8(ascii: "0"))!,
          Role(rawValue: judgement[2] - UInt8(ascii: "0"))!
        )
        isRepeat = false
      } else {
        forced = nil
        isRepeat = judgement.first == UInt8(ascii: "r")
      }
      chat = texts.string(place + 5)
      author = texts.string(place + 6)
      isRoom = texts[place + 5].first == UInt8(ascii: "r")
    }

    var isMembership: Bool { isRoom && kind != .message }
    var isJudged: Bool { isMembership || isRoom && (isRepeat || forced != nil) }
  }

  mutating func apply(_ texts: CommandTexts, now: WallTime) -> RedisReply {
    let isReplay = texts.flag(13)
    guard let id = view.id, id == texts.id(1), let applied = view.applied, applied == texts.number(2),
      view.until == nil || isReplay
    else { return refusal }
    let run = Run(
      from: applied, upto: texts.number(3), windowFloor: texts.number(8), windowEvents: Int(texts.number(9)),
      roomMembers: Int(texts.number(11)), userRooms: Int(texts.number(12)), isReplay: isReplay,
      lastRecent: isReplay ? recent.newest ?? 0 : 0, lastOutcome: isReplay ? outcomes.newest ?? 0 : 0,
      now: now)
    let start = 1 + RedisCommand.applyArguments
    let count = (texts.count - start) / RedisCommand.recordArguments
    var reply: [RedisReply] = []
    reply.reserveCapacity(1 + 3 * count)
    reply.append(.integer(1))
    var touched: [Int] = []
    touched.reserveCapacity(count)
    for place in stride(from: start, to: texts.count, by: RedisCommand.recordArguments) {
      let record = Record(texts, at: place)
      let row: ApplyAnswer.Row
      do throws(StreamOrderError) { row = try apply(record, texts, run, &touched) } catch {
        return error.reply
      }
      reply.append(.integer(Int64(row.outcome.rawValue)))
      reply.append(.integer(row.prev))
      reply.append(.integer(Int64(row.role.rawValue)))
    }
    if run.upto != run.from {
      let milliseconds = texts.number(10)
      for chat in touched {
        if run.windowFloor != 0, isReplay || chats[chat].floor != run.windowFloor {
          chats[chat].history.trim(below: run.windowFloor)
          chats[chat].floor = run.windowFloor
        }
        chats[chat].historyExpires = chats[chat].history.isEmpty ? .max : now + milliseconds
      }
      recent.trim(below: texts.number(6))
      outcomes.trim(below: texts.number(7))
      view.applied = run.upto
      view.hash = texts.id(4)
      view.appended = texts.number(5)
    }
    if texts.flag(14) {
      view.until = nil
      view.begin = nil
      view.base = nil
      removals = [:]
    }
    return .array(reply)
  }

  /// 0, then the positions.
  var refusal: RedisReply {
    .array([
      .integer(0), .text(view.id), .text(view.applied), .text(view.hash), .text(view.appended),
      .text(view.until),
    ])
  }

  private mutating func apply(
    _ record: Record, _ texts: CommandTexts, _ run: Run, _ touched: inout [Int]
  ) throws(StreamOrderError) -> ApplyAnswer.Row {
    var row = ApplyAnswer.Row(outcome: .event, prev: 0, role: .none)
    if let forced = record.forced {
      row.outcome = forced.outcome
      row.role = record.isMembership && forced.outcome == .event ? forced.role : .none
    } else if record.isJudged {
      (row.outcome, row.role) = judge(record, run)
    }
    if record.isJudged, record.seq > run.lastOutcome {
      try outcomes.append(
        StoredOutcome(seq: record.seq, chat: record.chat, outcome: row.outcome, role: row.role))
    }
    guard row.outcome == .event else { return row }
    let chat = chat(record.chat)
    touched.append(chat)
    expireHistory(chat, now: run.now)
    if record.isMembership { change(record, chat, row.role, texts, run) }
    row.prev = try store(record, chat, row.role, texts, run)
    return row
  }

  private func rooms(of user: String, atMost limit: Int) -> Int {
    guard let place = userPlaces[user] else { return 0 }
    let chats = users[place].chats
    return chats.count < limit ? chats.count : chats.keys.count { $0.hasPrefix("room:") }
  }

  /// The rules of `Judge`, from what is stored; the role of who only wrote did not change.
  private func judge(_ record: Record, _ run: Run) -> (Outcome, Role) {
    let chat = chatPlaces[record.chat].map { chats[$0] }
    let isPublic = chat?.isPublic
    var limits = Limits()
    limits.roomMembers = run.roomMembers
    limits.userRooms = run.userRooms
    let state = Judge.State(
      room: isPublic.map { RoomRow(isPublic: $0) },
      role: isPublic == nil ? .none : chat?.members[record.author]?.role ?? .none,
      members: chat?.members.count ?? 0,
      rooms: record.kind == .message ? 0 : rooms(of: record.author, atMost: run.userRooms))
    let (outcome, role) = Judge.outcome(
      of: record.kind, isRepeat: record.isRepeat, state: state, limits: limits)
    return (outcome, record.kind != .message && outcome == .event ? role : .none)
  }

  private mutating func change(
    _ record: Record, _ chat: Int, _ role: Role, _ texts: CommandTexts, _ run: Run
  ) {
    let room = texts[record.place + 9]
    if record.kind == .create, !room.isEmpty, chats[chat].isPublic == nil { setRoom(chat, room) }
    if run.isReplay, isSettled(record.author, chat, record.seq) { return }
    if record.kind == .leave {
      leave(record.author, chat)
      if run.isReplay { remember(removalOf: record.author, chat, record.seq) }
    } else {
      enter(record.author, chat, MemberRow(role: role, joined: record.seq))
    }
  }

  mutating func setRoom(_ chat: Int, _ text: UnsafeRawBufferPointer) {
    chats[chat].isPublic = text[0] == UInt8(ascii: "1")
    chats[chat].room = Array(text.dropFirst())
  }

  /// The event before this one, whether this one is stored already, and whether it is the chat's last.
  private func place(_ record: Record, _ chat: Int, _ run: Run) -> (prev: Seq, isStored: Bool, isHead: Bool) {
    let head = chats[chat].head ?? 0
    if !run.isReplay || record.seq > head { return (head, false, true) }
    guard let last = chats[chat].history.newest else {
      if let base = view.base, view.begin ?? run.from <= base, let known = removals[chats[chat].name + "\n"] {
        return (known, false, false)
      }
      let prev = max(view.begin ?? run.from, run.windowFloor - 1)
      if record.kind == .create || prev < SeqSpace.base(generation: 1) { return (0, false, false) }
      return (min(prev, record.seq - 1), false, false)
    }
    if last < record.seq { return (last, false, false) }
    return (chats[chat].history[record.seq]?.prev ?? 0, true, false)
  }

  private mutating func store(
    _ record: Record, _ chat: Int, _ role: Role, _ texts: CommandTexts, _ run: Run
  ) throws(StreamOrderError) -> Seq {
    let (prev, isStored, isHead) = place(record, chat, run)
    if !isStored {
      let (head, tail) = (texts[record.place + 7], texts[record.place + 8])
      var json = TextBuilder(capacity: head.count + tail.count + 20)
      json.append(head)
      json.append(prev)
      json.append(tail)
      try chats[chat].history.append(
        StoredEvent(
          seq: record.seq, prev: prev, kind: record.kind, role: role, user: record.author,
          time: texts.number(record.place + 4), origin: texts.array(record.place + 3), json: json.bytes))
      chats[chat].history.trim(toCount: run.windowEvents)
    }
    if isHead {
      chats[chat].head = record.seq
      if prev == 0, !record.isRoom { enterDirect(chat) }
    }
    if record.seq > run.lastRecent {
      try recent.append(
        RecentRow(seq: record.seq, chat: record.chat, user: record.author, kind: record.kind, role: role))
    }
    return prev
  }
}
