public import Chat

/// What one device was handed and told, and what it is owed: the client says each thing as it happens.
public final class Ledger {
  struct ChatState {
    /// Up to here it is owed nothing: the head of its first welcome, or of a reset.
    var baseline: Seq = 0
    var cursor: Seq = 0
    /// Seqs handed, rising.
    var handed: [Seq] = []
    /// Own messages that were acknowledged.
    var acked: [Seq] = []
    /// What a row of `chats` said that this session has been handed.
    var claim: Seq = 0
    /// The first event in the truth that was not looked at yet.
    var next = 0
  }

  public let user: Int
  public let device: String
  private unowned let checks: Checks
  private var truth: Truth { checks.truth }
  private var chats: [ChatState] = []
  /// By partition, where the log ended when the session was welcomed.
  private var attachedAt: [Seq]
  private var isWelcomed = false
  private var isLive = false
  public private(set) var resets = 0
  public private(set) var handedEvents = 0
  /// Requests that were refused for good the first time: no event may come of them.
  private var refused: [(chat: Int, id: String)] = []

  init(user: Int, device: String, checks: Checks) {
    self.user = user
    self.device = device
    self.checks = checks
    attachedAt = Array(repeating: 0, count: Int(checks.roster.partitions))
  }

  private func state(_ chat: Int) -> Int {
    while chats.count <= chat { chats.append(ChatState()) }
    return chat
  }

  private func name(_ chat: Int) -> String { checks.roster.chats[chat].name }

  private func note(_ invariant: Invariant, _ text: @autoclosure () -> String) {
    checks.note(invariant, "\(checks.roster.users[user])/\(device): \(text())")
  }

  /// A frame that PROTOCOL does not allow there.
  public func wire(_ text: @autoclosure () -> String) { note(.wire, text()) }

  // MARK: Sessions

  /// The device lost all it kept: what comes from now on is another device's to be handed.
  public func forget() {
    for chat in chats.indices { chats[chat] = ChatState() }
  }

  /// A connection was begun: nothing of the session before it counts any more.
  public func connecting() {
    isWelcomed = false
    isLive = false
    for chat in chats.indices { chats[chat].claim = 0 }
  }

  public func welcomed() {
    if isWelcomed { wire("welcome twice") }
    isWelcomed = true
    for p in attachedAt.indices { attachedAt[p] = truth.end(p) }
  }

  public func live() {
    if isLive || !isWelcomed { wire("live out of place") }
    isLive = true
  }

  /// A device that is new takes the head of a row of its welcome as its cursor. `asked`: when it said `hello`.
  public func begin(chat: Int, head: Seq, asked: Tick) {
    let chat = state(chat)
    chats[chat].baseline = head
    chats[chat].cursor = head
    chats[chat].next = truth.index(in: chat, at: head + 1)
    guard !truth.lost.contains(checks.roster.chats[chat].partition) else { return }
    if !checks.mayAsk(user, chat, at: asked) { note(.i10, "\(name(chat)) in the welcome") }
  }

  // MARK: Events

  /// An event was handed over.
  public func handed(_ frame: ServerFrame, chat number: Int) {
    let chat = state(number)
    let seq = frame.seq
    guard !truth.lost.contains(checks.roster.chats[chat].partition) else { return }
    handedEvents += 1
    if !isWelcomed { wire("\(name(chat)) \(seq) before welcome") }
    if seq <= chats[chat].cursor {
      note(
        .i2,
        "\(name(chat)) \(seq) after \(chats[chat].cursor)"
          + (chats[chat].handed.contains(seq) ? ", a second time" : ""))
    } else if seq <= chats[chat].claim {
      note(.i2, "\(name(chat)) \(seq), and its row of chats said \(chats[chat].claim)")
    }
    let index = truth.index(in: chat, at: seq)
    guard let event = truth.event(in: chat, at: seq) else {
      let isDuplicate =
        truth.record(partition: checks.roster.chats[chat].partition, at: seq)?.outcome == .duplicate
      return note(
        isDuplicate ? .i4 : .i5,
        "\(name(chat)) \(seq) is \(isDuplicate ? "a duplicate" : "no event") of the log")
    }
    compare(frame, event, chat)
    if truth.stay(of: user, in: chat, at: seq) == nil {
      note(.i10, "\(name(chat)) \(seq) is not theirs to read")
    }
    guard seq > chats[chat].cursor else { return }
    lookForSkipped(chat, upto: index)
    chats[chat].cursor = seq
    chats[chat].next = index + 1
    chats[chat].handed.append(seq)
  }

  private func compare(_ frame: ServerFrame, _ event: Truth.Event, _ chat: Int) {
    let isSame: Bool
    if event.kind == .message {
      isSame =
        frame.kind == .message && frame.id == event.id && frame.body == event.body
        && frame.from == checks.roster.users[event.author]
    } else {
      isSame =
        frame.kind == .member && frame.user == checks.roster.users[event.author]
        && frame.role == event.role.text
    }
    // Of the oldest event that is stored a view that was rebuilt knows only that another came before it.
    let mayDiffer = truth.index(in: chat, at: event.seq) <= truth.chats[chat].trimmed
    if !isSame || (frame.prev != event.prev && !mayDiffer) {
      note(
        .i5,
        "\(name(chat)) \(event.seq) came as \(frame.kind) \(frame.id) after \(frame.prev), "
          + "and is \(event.kind) \(event.id) after \(event.prev)")
    }
  }

  /// What lies between the cursor and the event that was handed now can never be handed any more.
  private func lookForSkipped(_ chat: Int, upto index: Int) {
    var at = chats[chat].next
    while at < index {
      let event = truth.chats[chat].events[at]
      at += 1
      // Its own ones may have their answers under way.
      guard event.seq > chats[chat].cursor, isOwed(event, chat), !isOwn(event) else { continue }
      note(.i3, "\(name(chat)) \(event.seq) (\(event.id)) was skipped")
    }
  }

  private func isOwn(_ event: Truth.Event) -> Bool {
    event.author == user && event.device == device && event.kind == .message
  }

  /// Whether the device must have been handed the event, once all is told.
  private func isOwed(_ event: Truth.Event, _ chat: Int) -> Bool {
    guard event.seq > chats[chat].baseline, let stay = truth.stay(of: user, in: chat, at: event.seq) else {
      return false
    }
    guard let left = stay.left else { return true }
    // A stay that is over: what came of it while the device was away is not asked for any more, and what
    // retention has taken from beside it cannot be told from what was said while he was not in.
    guard event.seq > attachedAt[checks.roster.chats[chat].partition], truth.chats[chat].trimmed == 0 else {
      return false
    }
    if checks.owesPassedStays { return true }
    return chats[chat].handed.contains { $0 >= stay.joined && $0 <= left }
  }

  /// The chat's cursor is `head` now, since what lay between is not stored any more.
  public func reset(chat number: Int, head: Seq) {
    let chat = state(number)
    resets += 1
    guard !truth.lost.contains(checks.roster.chats[chat].partition) else { return }
    if !truth.wasEverIn(chat, user) { note(.i10, "\(name(chat)) was reset, where they never were") }
    if !mayReset(chat) {
      note(.i3, "\(name(chat)) was reset to \(head) from \(chats[chat].cursor), with all stored")
    }
    if head > 0, truth.event(in: chat, at: head) == nil {
      note(.i5, "\(name(chat)) was reset to \(head), which is no event")
    }
    chats[chat].cursor = head
    chats[chat].baseline = max(chats[chat].baseline, head)
    chats[chat].next = truth.index(in: chat, at: head + 1)
  }

  /// Only where an event may be gone that the device could have been handed.
  private func mayReset(_ chat: Int) -> Bool {
    let state = truth.state(of: chat)
    // What was before the first event of a replay is not known: perhaps nothing lies between.
    if chats[chat].cursor < checks.replayedBehind[checks.roster.chats[chat].partition] { return true }
    guard state.trimmed > 0 else { return false }
    var cursor = chats[chat].cursor
    // One stay that lasts: nothing before it counts.
    if let stays = state.stays[user], stays.count == 1, stays[0].left == nil {
      cursor = max(cursor, stays[0].joined - 1)
    }
    return state.events[state.trimmed - 1].seq > cursor
  }

  // MARK: Answers

  /// A send was acknowledged. `isMarked`: it was a repeat that said so.
  public func acked(id: String, chat number: Int, seq: Seq, isMarked: Bool) {
    let chat = state(number)
    let partition = checks.roster.chats[chat].partition
    guard !truth.lost.contains(partition) else { return }
    chats[chat].acked.append(seq)
    guard let event = truth.event(chat: chat, user: user, device: device, id: id) else {
      return note(.i1, "\(id) was acknowledged as \(name(chat)) \(seq), and is no event of the log")
    }
    guard event != seq else { return }
    // A first send's report may be of a copy of it that came to nothing.
    let isCopy =
      truth.record(partition: partition, at: seq).map { $0.outcome == .duplicate && $0.chat == chat } ?? false
    if isMarked || !isCopy {
      note(
        isCopy ? .i4 : .i1, "\(id) was acknowledged as \(name(chat)) \(seq), and is in the log as \(event)")
    } else {
      chats[chat].acked.append(event)
    }
  }

  /// A join, a leave or a create was answered `ok`.
  public func done(id: String, chat number: Int, isLeave: Bool) {
    let chat = state(number)
    guard !truth.lost.contains(checks.roster.chats[chat].partition) else { return }
    let first = truth.first(chat: chat, user: user, device: device, id: id)
    if first?.outcome != .event && first?.outcome != .unchanged {
      note(.i1, "\(id) in \(name(chat)) was ok, and came to \(first.map { "\($0.outcome)" } ?? "nothing")")
    }
    if isLeave, let first { checks.removalConfirmed(chat: chat, user: user, upto: first.seq) }
  }

  /// A request was refused for good. `isMarked`: it was a repeat that said so; then the owner has judged it.
  public func refused(id: String, chat number: Int, code: String, isMarked: Bool) {
    let chat = state(number)
    guard !truth.lost.contains(checks.roster.chats[chat].partition) else { return }
    let first = truth.first(chat: chat, user: user, device: device, id: id)
    if let first, first.outcome.code != code {
      note(.i4, "\(id) in \(name(chat)) was refused as \(code), and came to \(first.outcome)")
    } else if isMarked, first == nil {
      note(.i4, "the repeat \(id) in \(name(chat)) was refused as \(code) by nobody who may judge")
    }
    refused.append((chat, id))
  }

  /// A page of a chat's messages, asked for at `asked`; `after` where it was asked for forward.
  public func page(_ frame: ServerFrame, chat: Int, asked: Tick, after: Seq?) {
    guard !truth.lost.contains(checks.roster.chats[chat].partition) else { return }
    if !checks.mayAsk(user, chat, at: asked) { note(.i10, "history of \(name(chat)), where they are not") }
    guard let first = frame.messages.first, let last = frame.messages.last else { return }
    let events = truth.state(of: chat).events
    var index = truth.index(in: chat, at: after.map { $0 + 1 } ?? first.seq)
    if after != nil {
      index = max(index, min(truth.state(of: chat).trimmed, truth.index(in: chat, at: first.seq)))
    }
    var at = 0
    while index < events.count, events[index].seq <= last.seq, at < frame.messages.count {
      let event = events[index]
      index += 1
      guard event.kind == .message else { continue }
      let message = frame.messages[at]
      at += 1
      guard message.seq == event.seq, message.id == event.id,
        message.body == event.body
      else {
        return note(
          .i5, "history of \(name(chat)) has \(message.seq) \(message.id) where \(event.seq) belongs")
      }
    }
    if at < frame.messages.count {
      note(.i5, "history of \(name(chat)) has \(frame.messages[at].seq), which is no message of the log")
    }
  }

  public func members(_ frame: ServerFrame, chat: Int, asked: Tick) {
    guard !truth.lost.contains(checks.roster.chats[chat].partition) else { return }
    if !checks.mayAsk(user, chat, at: asked) { note(.i10, "members of \(name(chat)), where they are not") }
    for member in frame.memberNames where !truth.wasEverIn(chat, checks.roster.user(member)) {
      note(.i5, "\(member) is a member of \(name(chat)), who never joined")
    }
  }

  /// A row of `chats`: the server says that this session has been handed all of the chat up to `cursor`.
  public func row(chat number: Int, cursor: Seq, asked: Tick) {
    let chat = state(number)
    guard !truth.lost.contains(checks.roster.chats[chat].partition) else { return }
    if !checks.mayAsk(user, chat, at: asked) { note(.i10, "a row of \(name(chat)), where they are not") }
    chats[chat].claim = max(chats[chat].claim, cursor)
    let end = truth.index(in: chat, at: cursor + 1)
    var index = chats[chat].next
    while index < end {
      let event = truth.chats[chat].events[index]
      index += 1
      guard event.seq > chats[chat].cursor, truth.openStay(of: user, in: chat)?.joined ?? 0 <= event.seq,
        isOwed(event, chat), !isOwn(event)
      else { continue }
      note(.i3, "the cursor of \(name(chat)) is \(cursor), and \(event.seq) was not handed over")
    }
  }

  // MARK: The end

  func finish() {
    for chat in chats.indices { _ = state(chat) }
    for chat in truth.chats.indices {
      _ = state(chat)
      guard !truth.lost.contains(checks.roster.chats[chat].partition) else { continue }
      finish(chat)
    }
    for (chat, id) in refused where !truth.lost.contains(checks.roster.chats[chat].partition) {
      if let seq = truth.event(chat: chat, user: user, device: device, id: id) {
        note(.i4, "\(id) was refused for good, and is \(name(chat)) \(seq)")
      }
    }
  }

  private func finish(_ chat: Int) {
    let state = chats[chat]
    var handed = 0
    for event in truth.chats[chat].events {
      while handed < state.handed.count, state.handed[handed] < event.seq { handed += 1 }
      if handed < state.handed.count, state.handed[handed] == event.seq { continue }
      guard isOwed(event, chat) else { continue }
      if isOwn(event), state.acked.contains(event.seq) { continue }
      note(.i3, "\(name(chat)) \(event.seq) (\(event.kind) \(event.id)) was never handed over")
    }
  }
}

extension Role {
  /// As in a frame; empty where it is null.
  var text: String { name.map { $0.description } ?? "" }
}

extension Outcome {
  /// As in an error; empty where it is none.
  var code: String {
    switch self {
    case .event, .unchanged, .duplicate: ""
    case .forbidden: "forbidden"
    case .notFound: "not-found"
    case .exists: "exists"
    }
  }
}
