public import Chat

/// What `read` and `typing`, which have no id here, may be refused with.
private let codesWithoutID = ["forbidden", "not-found", "unavailable", "rate-limited"]

/// What a server says to a client.
extension SimulatedClient {
  public func received(_ number: ConnectionNumber, frame text: UnsafeRawBufferPointer, now: Tick) {
    self.now = now
    guard number == connection, phase != .offline else { return }
    trace?.append("\(now) < \(String(utf8: text))")
    lastHeard = now
    pingSentAt = nil
    guard let frame = ServerFrame(text) else { return ledger.wire("not a frame: \(String(utf8: text))") }
    guard phase != .connecting else { return ledger.wire("a frame before hello") }
    if phase == .greeting, frame.kind != .welcome, frame.kind != .error {
      ledger.wire("\(frame.kind) before welcome")
    }
    switch frame.kind {
    case .welcome: welcomed(frame)
    case .live:
      ledger.live()
      phase = .live
      failures = 0
      repeatAll()
    case .message, .member: handed(frame)
    case .reset:
      let chat = roster.chat(frame.chat)
      ledger.reset(chat: chat, head: frame.head)
      setCursor(chat, frame.head)
    case .ack, .ok: settled(frame)
    case .error: failed(frame)
    case .history, .chats, .members, .pong: answered(frame)
    case .read, .typing:
      if roster.knownChat(frame.chat) == nil { ledger.wire("\(frame.kind) in an unknown chat") }
    case .unknown: ledger.wire("an unknown frame: \(String(utf8: text))")
    }
  }

  private func setCursor(_ chat: Int, _ seq: Seq) {
    while cursors.count <= chat { cursors.append(nil) }
    cursors[chat] = seq
  }

  private func welcomed(_ frame: ServerFrame) {
    ledger.welcomed()
    phase = .open
    nextIntentAt = max(nextIntentAt, now + 1)
    guard !wasEverWelcomed else { return }
    wasEverWelcomed = true
    log = frame.log
    for row in frame.rows {
      let chat = roster.chat(row.chat)
      ledger.begin(chat: chat, head: row.head, asked: lastHello)
      setCursor(chat, row.head)
    }
  }

  private func handed(_ frame: ServerFrame) {
    let chat = roster.chat(frame.chat)
    ledger.handed(frame, chat: chat)
    setCursor(chat, max(cursor(chat) ?? 0, frame.seq))
    guard frame.kind == .message, frame.from == user else { return }
    if let record = sent[frame.id], !record.isMarked, record.wasAcked || record.unanswered > 0 {
      ledger.wire("\(frame.id) was handed to the session that sent it")
    }
    pending.removeAll { $0.id == frame.id }
  }

  // MARK: Answers

  /// Counts an answer; what this session sent of it, nil where it sent nothing that waits for one.
  private func answer(_ id: String) -> Sent? {
    guard var record = sent[id], record.unanswered > 0 else {
      ledger.wire("an answer to \(id), which waits for none")
      return nil
    }
    record.unanswered -= 1
    sent[id] = record
    return record
  }

  private func settled(_ frame: ServerFrame) {
    guard let record = answer(frame.id) else { return }
    sent[frame.id]!.wasAcked = true
    let index = pending.firstIndex { $0.id == frame.id }
    if frame.kind == .ack {
      ledger.acked(
        id: frame.id, chat: roster.chat(frame.chat), seq: frame.seq, isMarked: record.isMarked)
    } else if let index {
      ledger.done(id: frame.id, chat: pending[index].chat, isLeave: pending[index].kind == .leave)
    }
    if let index { pending.remove(at: index) }
  }

  private func failed(_ frame: ServerFrame) {
    guard !frame.id.isEmpty else {
      // Before `welcome`, and the server closes right after it; or to one of those that have no id.
      let isAllowed = phase == .greeting ? frame.code == "unavailable" : codesWithoutID.contains(frame.code)
      if !isAllowed { ledger.wire("error \(frame.code) of no request") }
      return
    }
    guard let record = answer(frame.id) else { return }
    if let query = queries.firstIndex(where: { $0.id == frame.id }) {
      queries.remove(at: query)
      return
    }
    guard let index = pending.firstIndex(where: { $0.id == frame.id }) else { return }
    switch frame.code {
    case "forbidden", "not-found", "exists":
      ledger.refused(
        id: frame.id, chat: pending[index].chat, code: frame.code, isMarked: record.isMarked)
      pending.remove(at: index)
    case "rate-limited", "busy":
      // The frame changed nothing; but of a repeat that says nothing of what it repeats.
      guard pending[index].isDoubtful else {
        pending.remove(at: index)
        return
      }
      repeatLater(index, after: frame.retry)
    case "unavailable", "internal":
      pending[index].isDoubtful = true
      repeatLater(index, after: frame.retry)
    default: ledger.wire("error \(frame.code) to \(frame.id)")
    }
  }

  private func repeatLater(_ index: Int, after milliseconds: Int64) {
    pending[index].isUnderWay = false
    pending[index].repeatAt =
      now + max(milliseconds, 100) + Int64.random(in: 0...500, using: &random)
  }

  private func answered(_ frame: ServerFrame) {
    guard answer(frame.id) != nil, let index = queries.firstIndex(where: { $0.id == frame.id }) else {
      return
    }
    let query = queries.remove(at: index)
    guard query.kind == frame.kind else { return ledger.wire("\(frame.kind) in answer to \(query.kind)") }
    switch frame.kind {
    case .history: ledger.page(frame, chat: query.chat, asked: query.asked, after: query.after)
    case .members: ledger.members(frame, chat: query.chat, asked: query.asked)
    case .chats:
      for row in frame.rows {
        ledger.row(chat: roster.chat(row.chat), cursor: row.cursor ?? 0, asked: query.asked)
      }
    default: return
    }
  }
}
