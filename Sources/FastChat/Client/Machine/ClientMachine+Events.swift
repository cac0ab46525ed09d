/// The chats: cursors, order, gaps, resets.
extension ClientMachine {
  /// An event of a chat's log.
  func logged(_ frame: ServerFrame) {
    var state = chats[frame.chat] ?? ChatState(cursor: isReturning ? 0 : nil)
    state.isSeen = true
    // A new device, whose list is still under way, begins where this event does.
    if state.cursor == nil {
      state.cursor = frame.prev ?? 0
      state.known = max(state.known, frame.prev ?? 0)
    }
    guard frame.seq > state.cursor ?? 0 else {
      chats[frame.chat] = state
      return
    }
    if state.gap != nil {
      state.gap?.held.append(frame)
      chats[frame.chat] = state
      if state.gap?.held.count ?? 0 > ChatState.heldMax { tooMuchHeld() }
      return
    }
    if showsGap(frame, state) {
      state.gap = ChatState.Gap(upTo: frame.prev ?? 0, held: [frame])
      chats[frame.chat] = state
      return closeGap(frame.chat)
    }
    chats[frame.chat] = state
    hand(frame)
  }

  private func showsGap(_ frame: ServerFrame, _ state: ChatState) -> Bool {
    // What was before the own joining is none.
    let isOwnJoin = frame.kind == .member && frame.user == user && frame.role != nil
    return !isOwnJoin && frame.prev ?? 0 > state.known
  }

  private func tooMuchHeld() {
    breakOff(ClientError(.network, "too much came before a gap was closed"))
  }

  /// Hands over what is next in its chat.
  private func hand(_ frame: ServerFrame) {
    let chat = frame.chat
    guard var state = chats[chat] else { return }
    state.cursor = frame.seq
    state.known = max(state.known, frame.seq)
    let isOwn = frame.from == user
    let isKnown = isOwn && state.own.contains(frame.seq)
    state.own.drop(upTo: frame.seq)
    chats[chat] = state
    let cursor = Mark.cursor(chat: chat, seq: frame.seq)
    if isKnown { return tell(nil, cursor) }
    if isOwn, frame.kind == .message, let id = frame.id, let request = take(id, of: chat) {
      settle(request, cursor, seq: frame.seq, time: frame.time, json: nil)
      return pump(chat)
    }
    if frame.kind == .member, frame.user == user, frame.role == nil {
      chats[chat] = nil
      return perform(.hand(frame.logEvent, [cursor, .forget(chat: chat)]))
    }
    tell(frame.logEvent, cursor)
  }

  func reset(_ frame: ServerFrame) {
    var state = ChatState(cursor: frame.head, own: chats[frame.chat]?.own ?? OwnSeqs())
    state.own.drop(upTo: frame.head)
    state.isSeen = true
    chats[frame.chat] = state
    tell(
      .reset(chat: frame.chat, head: frame.head, json: frame.text), .cursor(chat: frame.chat, seq: frame.head)
    )
    doubtAll(frame.chat)
  }

  // MARK: Gaps

  /// Asks for what lies in a gap, once the answers that may explain it are there.
  func closeGap(_ chat: String) {
    guard isAttached, let state = chats[chat], let gap = state.gap, !gap.isAsking else { return }
    if state.known >= gap.upTo { return gapIsClosed(chat) }
    guard lanes[chat]?.isUnderWay != true else { return }
    chats[chat]?.gap?.isAsking = true
    askHistory(.gap(chat), chat, ",\"after\":\(state.cursor ?? 0)")
  }

  func gapPage(_ chat: String, _ page: ServerFrame) {
    guard let gap = chats[chat]?.gap else { return }
    for row in page.messages where row.seq > chats[chat]?.cursor ?? 0 && row.seq <= gap.upTo {
      hand(row.asFrame(in: chat))
    }
    chats[chat]?.gap?.isAsking = false
    // A history holds messages only: one whole answer, and the gap counts as closed.
    guard page.more, let last = page.messages.last, last.seq < gap.upTo else { return gapIsClosed(chat) }
    chats[chat]?.gap?.isAsking = true
    askHistory(.gap(chat), chat, ",\"after\":\(last.seq)")
  }

  func gapRefused(_ chat: String, isFinal: Bool, wait: Int64) {
    chats[chat]?.gap?.isAsking = false
    if isFinal { gapIsClosed(chat) } else { set(.gap(chat), after: wait) }
  }

  private func gapIsClosed(_ chat: String) {
    guard var state = chats[chat], let gap = state.gap else { return }
    state.known = max(state.known, gap.upTo)
    state.gap = nil
    // Without an event behind it, what was asked for is all up to there.
    let isWhole = gap.held.isEmpty && gap.upTo > state.cursor ?? 0
    if isWhole { state.cursor = gap.upTo }
    chats[chat] = state
    if isWhole { tell(nil, .cursor(chat: chat, seq: gap.upTo)) }
    for frame in gap.held { logged(frame) }
    pump(chat)
  }

  // MARK: The list

  /// What `listedUpTo` is when all of the list came: no chat's id.
  var listEnd: String { "\u{7F}" }

  /// A row of the server's list.
  func listed(_ row: ChatRow, isWelcome: Bool) {
    if var state = chats[row.chat] {
      state.isSeen = true
      chats[row.chat] = state
      if state.cursor == nil { return place(row.chat, at: row.cursor ?? row.head) }
      // The hello did not name it, so that nothing of it is replayed.
      if unnamed.remove(row.chat) != nil, row.head > state.cursor ?? 0 { missing(row.chat, row.head) }
      return
    }
    var state = ChatState(cursor: nil)
    state.isSeen = true
    if !isReturning {
      chats[row.chat] = state
      return place(row.chat, at: isWelcome ? row.head : row.cursor ?? row.head)
    }
    if saidStar || row.chat.hasPrefix("dm:") {
      state.cursor = 0
      chats[row.chat] = state
      if !saidStar, row.head > 0 { missing(row.chat, row.head) }
      return
    }
    // A room that was joined while the device was away, and a hello without room for "*".
    chats[row.chat] = state
    place(row.chat, at: row.cursor ?? row.head)
    tell(
      .reset(
        chat: row.chat, head: row.head,
        json: "{\"type\":\"reset\",\"chat\":\(quoted(row.chat)),\"head\":\(row.head)}"))
  }

  private func place(_ chat: String, at cursor: Int64) {
    guard var state = chats[chat] else { return }
    state.cursor = cursor
    state.known = max(state.known, cursor)
    chats[chat] = state
    tell(nil, .cursor(chat: chat, seq: cursor))
  }

  /// The server will not hand over what lies between the cursor and `head`; what comes meanwhile is held.
  private func missing(_ chat: String, _ head: Int64) {
    guard var state = chats[chat] else { return }
    var gap = state.gap ?? ChatState.Gap(upTo: head)
    gap.upTo = max(head, gap.upTo)
    state.gap = gap
    chats[chat] = state
    closeGap(chat)
  }

  func listIsComplete() {
    listedUpTo = listEnd
    for (chat, state) in chats.sorted(by: { $0.key < $1.key }) where !state.isSeen {
      chats[chat] = nil
      tell(.left(chat: chat), .forget(chat: chat))
    }
    guard !isReturning else { return }
    isReturning = true
    for chat in chats.keys where chats[chat]?.cursor == nil { chats[chat]?.cursor = 0 }
    tell(nil, .returning)
  }
}
