import WebSocket

/// Connecting, greeting, ending.
extension ClientMachine {
  /// Bytes of the cursors in a `hello`; the server takes 1 MiB. Beyond it the idlest chats are left out.
  static let cursorBytesMax = 900 << 10
  /// Close codes from here on mean: do not come back (PROTOCOL, "Closing").
  private static let finalCodes: ClosedRange<UInt16> = 4500...4999
  /// Tokens that may be refused one after the other before it is the configuration that is wrong.
  private static let refusalsMax = 2

  func begin() {
    lastError = nil
    if configuration.token != nil, token == nil {
      phase = .fetchingToken
      timers[.phase] = nil
      perform(.askToken(lastRefusal))
    } else {
      connect()
    }
  }

  func connect() {
    phase = .connecting
    set(.phase, after: configuration.connectMilliseconds)
    tell(.connection(.connecting))
    perform(.connect)
  }

  func phaseIsOver() {
    switch phase {
    case .waiting: begin()
    case .connecting:
      breakOff(
        ClientError(
          .network, "\(endpoint.authority) does not answer",
          advice: "check the address, and firewalls in between"))
    case .upgrading:
      breakOff(
        ClientError(
          .network, "\(endpoint.authority) takes the connection and says nothing",
          advice: "check that it is a FastChat server, and that its shards are not stuck"))
    case .greeting:
      breakOff(
        ClientError(
          .network, "the server does not answer hello", advice: "look at its log; it may be overloaded"))
    case .idle, .fetchingToken, .catchingUp, .live, .ended: break
    }
  }

  // MARK: Hello and welcome

  /// The upgrade was accepted.
  func greet() {
    phase = .greeting
    set(.phase, after: configuration.welcomeMilliseconds)
    var text = "{\"type\":\"hello\",\"user\":\(quoted(user)),\"device\":\(quoted(device))"
    if let token { text += ",\"token\":\(quoted(token))" }
    if let log { text += ",\"log\":\(quoted(log))" }
    write(text + cursors() + "}")
  }

  private func cursors() -> String {
    unnamed = []
    saidStar = isReturning
    var rows: [String] = []
    var bytes = 0
    let placed = chats.compactMap { chat, state in state.cursor.map { (chat: chat, seq: $0) } }
    for row in placed.sorted(by: { ($0.seq, $1.chat) > ($1.seq, $0.chat) }) {
      let text = "\(quoted(row.chat)):\(row.seq)"
      bytes += text.utf8.count + 1
      if bytes <= Self.cursorBytesMax { rows.append(text) } else { unnamed.insert(row.chat) }
    }
    if !unnamed.isEmpty { saidStar = false }
    if saidStar { rows.append("\"*\":0") }
    return rows.isEmpty ? "" : ",\"cursors\":{\(rows.joined(separator: ","))}"
  }

  func welcomed(_ frame: ServerFrame) {
    phase = .catchingUp
    timers[.phase] = nil
    wasWelcomed = true
    refusals = 0
    lastRefusal = nil
    clockAhead = frame.time - now.wall
    heartbeat = frame.heartbeat * 1_000
    dedupe = frame.dedupe
    frameBytes = frame.frameBytes
    heard()
    let info = SessionInfo(
      user: frame.user, device: frame.device, session: frame.session, server: frame.server, log: frame.log,
      json: frame.text)
    tell(.connection(.catchingUp(info)))
    if let log, log != frame.log { forgetLog() }
    if log != frame.log {
      log = frame.log
      tell(nil, .log(frame.log))
    }
    for row in frame.rows { listed(row, isWelcome: true) }
    tell(.chats(frame.rows, isComplete: !frame.more))
    listedUpTo = frame.rows.last?.chat ?? ""
    if !frame.more { listIsComplete() }
    for id in questions.keys.sorted() { pose(id) }
  }

  /// Another log: nothing that was known of chats counts. What may have been sent is looked for in it.
  private func forgetLog() {
    tell(.otherLog, .forgetAll)
    chats = [:]
    // Each chat of the new log gets a `reset`, as for a device that comes back.
    for chat in lanes.keys { doubtAll(chat) }
  }

  func wentLive() {
    phase = .live
    attempts = 0
    tell(.connection(.live))
    if listedUpTo != listEnd { askList() }
    for chat in lanes.keys.sorted() { pump(chat) }
    for (chat, seq) in reads.sorted(by: { $0.key < $1.key }) { tellRead(chat, seq) }
  }

  // MARK: Silence

  func heard() {
    isPinged = false
    set(.silence, after: heartbeat + Self.silenceMilliseconds)
  }

  func fellSilent() {
    guard isAttached else { return }
    guard !isPinged else { return breakOff(ClientError(.network, "the server fell silent")) }
    isPinged = true
    perform(.write(Channel.frame(.ping, [], key: random.next())))
    set(.silence, after: Self.pongMilliseconds)
  }

  // MARK: Ends

  /// The server closed, with a close frame or after an `error` in place of `welcome`.
  func closed(code: UInt16?, reason: String) {
    let told = lastError.map(\.message) ?? reason
    let retry = Self.retry(in: reason)
    let words = told.isEmpty ? "" : ": \(told)"
    guard let code else { return breakOff(ClientError(.network, "the server closed\(words)"), wait: later()) }
    switch code {
    case 4500, 4501:
      tokenRefused(
        code == 4501
          ? "the token expired"
          : "the server does not accept \(token == nil ? "this user" : "the token")\(words)")
    case 4502: end(ClientError(.ended, "the session was ended by an administrator\(words)"))
    case 4503: end(ClientError(.ended, "the server ended the session for abuse\(words)"))
    case 4504:
      end(
        ClientError(
          .replaced, "a newer session of the device \(device) took this one's place",
          advice: "give each client a device of its own"))
    case Self.finalCodes: end(ClientError(.ended, "the server ended the session (\(code))\(words)"))
    default:
      let kind: ClientError.Kind = (1002...1010).contains(code) ? .brokenProtocol : .network
      breakOff(
        ClientError(kind, "the server closed the connection (\(code))\(words)"), wait: retry ?? later())
    }
  }

  /// A wait that the `error` before asks for.
  private func later() -> Int64? {
    guard let retry = lastError?.retry, retry > 0 else { return nil }
    return max(retry, backOff())
  }

  /// What a reason `retry=<ms>` says.
  private static func retry(in reason: String) -> Int64? {
    guard reason.hasPrefix("retry=") else { return nil }
    return Int64(reason.dropFirst(6).prefix { $0.isASCII && $0.isNumber })
  }

  private func tokenRefused(_ reason: String) {
    refusals += 1
    guard configuration.token != nil, refusals < Self.refusalsMax else {
      return end(
        ClientError(
          .unauthorized, reason,
          advice: configuration.token == nil ? "give a token" : "get a new token; its subject must be \(user)"
        ))
    }
    endSession()
    perform(.disconnect)
    token = nil
    lastRefusal = ClientConfiguration.TokenRefusal(reason: reason)
    begin()
  }

  /// The connection is given up, and made anew later. `code`: with a close frame.
  func breakOff(_ error: ClientError, code: CloseCode? = nil, wait milliseconds: Int64? = nil) {
    if let code { close(code) }
    endSession()
    perform(.disconnect)
    // What never was a FastChat server will not become one by asking again.
    if error.kind == .notFastChat, !wasWelcomed { return end(error) }
    wait(error, milliseconds: milliseconds ?? backOff())
  }

  func wait(_ error: ClientError, milliseconds: Int64) {
    phase = .waiting
    attempts += 1
    set(.phase, after: milliseconds)
    tell(.connection(.waiting(error, milliseconds: milliseconds)))
  }

  /// Full jitter: a random part of a window that doubles, so that a crowd does not come back as one.
  func backOff() -> Int64 {
    let window = configuration.firstBackOffMilliseconds << Int64(min(attempts, 16))
    return Int64.random(in: 0...max(0, min(configuration.longestBackOffMilliseconds, window)), using: &random)
  }

  func end(_ error: ClientError?) {
    guard phase != .ended else { return }
    if channel?.isOpen == true { close(.normal) }
    endSession()
    perform(.disconnect)
    phase = .ended
    timers = [:]
    for id in questions.keys.sorted() { perform(.answered(id: id, .failure(error ?? .stopped))) }
    questions = [:]
    for chat in lanes.keys.sorted() {
      for request in lanes[chat]!.queue { perform(.abandoned(id: request.id, error ?? .stopped)) }
    }
    tell(.connection(.ended(error)))
    perform(.ended)
  }

  private func close(_ code: CloseCode) {
    let payload = [UInt8](unsafeUninitializedCapacity: CloseCode.size) { bytes, count in
      count = code.encode(
        reason: UnsafeRawBufferPointer(start: nil, count: 0), into: UnsafeMutableRawBufferPointer(bytes))
    }
    perform(.write(Channel.frame(.close, payload, key: random.next())))
  }

  /// Forgets what belonged to the connection only.
  private func endSession() {
    channel = nil
    underWay = [:]
    crowded = []
    timers = timers.filter { if case .deadline = $0.key { true } else { false } }
    for (chat, var lane) in lanes {
      if lane.isUnderWay, !lane.queue.isEmpty { lane.queue[lane.queue.startIndex].isDoubtful = true }
      lane.isUnderWay = false
      lane.isWaiting = false
      lane.lookup = nil
      lanes[chat] = lane
    }
    // The next session replays all above the cursors.
    for (chat, var state) in chats {
      state.gap = nil
      state.known = state.cursor ?? 0
      state.isSeen = false
      chats[chat] = state
    }
    for (id, var question) in questions {
      guard question.purpose == .consumer else {
        questions[id] = nil
        continue
      }
      question.isUnderWay = false
      questions[id] = question
    }
  }
}
