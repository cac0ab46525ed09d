import WebSocket

/// What the server says.
extension ClientMachine {
  /// Bytes came. They are changed in place.
  func received(_ bytes: UnsafeMutableRawBufferPointer, _ moment: Moment) {
    now = moment
    guard let channel else { return }
    if isAttached { heard() }
    var offset = 0
    // What a frame leads to may end the connection: nothing behind it counts then.
    while self.channel === channel {
      switch channel.next(bytes, &offset) {
      case .opened: greet()
      case .text(let text): read(text)
      case .ping(let payload): perform(.write(Channel.frame(.pong, payload, key: random.next())))
      case .pong: break
      case .closed(let code, let reason): closed(code: code, reason: reason)
      case .broken(let error, let code): breakOff(error, code: code)
      case .needMore: return
      }
    }
  }

  private func read(_ text: UnsafeRawBufferPointer) {
    guard let frame = ServerFrame(text) else {
      let shown = String(decoding: text.prefix(60), as: UTF8.self)
      return breakOff(
        ClientError(
          .brokenProtocol, "the server sent what is no frame of the protocol: \(shown)",
          advice: "check that it is a FastChat server of this version"), code: .policyViolation)
    }
    if phase == .greeting {
      switch frame.kind {
      case .welcome: return welcomed(frame)
      case .error:
        lastError = frame
        return
      default:
        return breakOff(
          ClientError(
            .brokenProtocol, "the server says something before welcome",
            advice: "check that it is a FastChat server"),
          code: .policyViolation)
      }
    }
    switch frame.kind {
    case .live: if phase == .catchingUp { wentLive() }
    case .message, .edited, .deleted, .member: logged(frame)
    case .reset: reset(frame)
    case .read: tell(.read(chat: frame.chat, user: frame.user, seq: frame.seq, json: frame.text))
    case .typing: tell(.typing(chat: frame.chat, user: frame.user, isOn: frame.isOn, json: frame.text))
    case .presence where frame.id == nil: tell(.presence(json: frame.text))
    case .ack, .ok:
      if let id = frame.id, questions[id] != nil { answered(frame, id) } else { acknowledged(frame) }
    case .error: failed(frame)
    case .history, .members, .chats, .pong, .presence: if let id = frame.id { answered(frame, id) }
    case .welcome, .unknown: break
    }
  }

  private func failed(_ frame: ServerFrame) {
    guard let id = frame.id else {
      // No request of ours: what a session without one is told comes before its end.
      if frame.code == "unauthorized" { lastError = frame }
      return
    }
    if questions[id] != nil { return refusedQuestion(frame, id) }
    refusedRequest(frame, id)
  }
}
