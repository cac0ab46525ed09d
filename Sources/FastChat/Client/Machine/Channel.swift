import WebSocket

/// One connection's bytes: the upgrade, then frames, as a client (RFC 6455). Pure: it holds no socket.
final class Channel {
  enum Incoming {
    /// The upgrade is accepted; frames follow.
    case opened
    case text(UnsafeRawBufferPointer)
    case ping(UnsafeRawBufferPointer)
    case pong
    /// The server closes; nothing behind it counts.
    case closed(code: UInt16?, reason: String)
    /// It cannot go on. With a code, a close frame is due.
    case broken(ClientError, CloseCode?)
    case needMore
  }

  /// The longest message that is taken: no frame of a server exceeds 512 KiB (PROTOCOL).
  private static let messageBytesMax = 1 << 20
  /// Room that is enough for our request beside its target and host.
  private static let requestBytes = 1_024
  /// The longest beginning of an answer that is shown to people.
  private static let shownBytes = 60

  private let pool = GatherPool(keeping: 1 << 20, lending: 4 << 20)
  private var handshake: ClientHandshake
  private var receiver = Receiver(role: .client, maxMessageBytes: Channel.messageBytesMax)
  private(set) var isOpen = false
  /// The answer to the upgrade, as far as it came.
  private var head: [UInt8] = []

  init(nonce: (UInt64, UInt64)) {
    handshake = ClientHandshake(nonce: nonce, subprotocol: "fastchat.v1")
  }

  deinit { receiver.release(to: pool) }

  /// The request to upgrade.
  func request(_ endpoint: Endpoint) -> [UInt8] {
    let room = Self.requestBytes + endpoint.target.utf8.count + endpoint.host.utf8.count
    return [UInt8](unsafeUninitializedCapacity: room) { bytes, count in
      count =
        handshake.write(
          host: endpoint.authority, target: endpoint.target, into: UnsafeMutableRawBufferPointer(bytes)) ?? 0
    }
  }

  /// A frame with this payload, masked with this key.
  static func frame(_ opcode: FrameHeader.Opcode, _ payload: some Collection<UInt8>, key: UInt32) -> [UInt8] {
    let header = FrameHeader(opcode: opcode, maskKey: key, payloadCount: payload.count)
    let size = FrameHeader.encodedSize(payload: payload.count, masked: true) + payload.count
    return [UInt8](unsafeUninitializedCapacity: size) { bytes, count in
      let start = header.encode(into: UnsafeMutableRawBufferPointer(bytes))
      let room = UnsafeMutableBufferPointer(rebasing: bytes[start..<size])
      _ = room.update(fromContentsOf: payload)
      Mask.apply(key: key, to: UnsafeMutableRawBufferPointer(room))
      count = size
    }
  }

  /// Reads on in `chunk` from `offset`, which moves; call it until it needs more.
  func next(_ chunk: UnsafeMutableRawBufferPointer, _ offset: inout Int) -> Incoming {
    guard isOpen else { return judge(chunk, &offset) }
    switch receiver.next(chunk, &offset, pool: pool) {
    case .text(let bytes): return .text(bytes)
    case .ping(let bytes): return .ping(bytes)
    case .pong: return .pong
    case .binary:
      return .broken(
        ClientError(.brokenProtocol, "the server sent a binary frame, which the protocol has not"),
        .unsupportedData)
    case .close(let code, let reason):
      return .closed(code: code?.rawValue, reason: String(decoding: reason, as: UTF8.self))
    case .violation(let code, let reason):
      return .broken(
        ClientError(
          .brokenProtocol, "the server broke a rule of WebSocket (\(reason))",
          advice: "look for a proxy in between that changes what passes"), code)
    case .needMore: return .needMore
    }
  }

  // MARK: The answer to the upgrade

  private func judge(_ chunk: UnsafeMutableRawBufferPointer, _ offset: inout Int) -> Incoming {
    let before = head.count
    head += chunk[offset...]
    // Told at the first byte that shows it: whoever speaks first and then waits would be taken for silent.
    guard zip(head, "HTTP/".utf8).allSatisfy({ $0 == $1 }) else {
      offset = chunk.count
      return .broken(refusal(nil, ""), nil)
    }
    switch head.withUnsafeBytes({ handshake.judge($0) }) {
    case .needMore:
      offset = chunk.count
      return .needMore
    case .accepted(_, let length):
      offset += length - before
      isOpen = true
      guard handshake.isSubprotocolChosen else {
        return .broken(
          ClientError(
            .notFastChat, "the server speaks WebSocket, but not fastchat.v1", advice: "check address and path"
          ),
          .protocolError)
      }
      head = []
      return .opened
    case .refused(let status, let reason):
      offset = chunk.count
      return .broken(refusal(status, "\(reason)"), nil)
    }
  }

  /// What an answer means that is no upgrade.
  private func refusal(_ status: Int?, _ reason: String) -> ClientError {
    // A TLS record: alert (21) or handshake (22), version 3.x (RFC 8446 section 5.1).
    if head.count >= 2, head[0] == 21 || head[0] == 22, head[1] == 3 {
      return ClientError(
        .notFastChat, "the server speaks TLS on this port",
        advice: "use a port without TLS; wss:// is not built yet")
    }
    guard let status else {
      let shown = head.prefix(Self.shownBytes).map { 0x20..<0x7F ~= $0 ? Character(Unicode.Scalar($0)) : "." }
      return ClientError(
        .notFastChat, "the server does not speak HTTP; it said \"\(String(shown))\"",
        advice: "check host and port")
    }
    let isHTML = holds("text/html")
    switch status {
    case 101:
      return ClientError(.notFastChat, "the upgrade is not valid: \(reason)", advice: "check host and port")
    case 400 where holds("https"):
      return ClientError(
        .notFastChat, "the server wants TLS on this port (HTTP 400)",
        advice: "use a port without TLS; wss:// is not built yet")
    case 403:
      return ClientError(
        .notFastChat, "the server refuses this client (HTTP 403)",
        advice: "with --auth none it takes loopback addresses only, unless it has --insecure")
    case 404:
      return ClientError(
        .notFastChat, "there is nothing of that path (HTTP 404)",
        advice: "the path of a FastChat server is /ws")
    case 300..<400:
      return ClientError(
        .notFastChat, "the server sends us elsewhere (HTTP \(status))",
        advice: "give the address it points to")
    case 429, 500...:
      return ClientError(.network, "the server has no room now (HTTP \(status))")
    default:
      return ClientError(
        .notFastChat,
        isHTML
          ? "a web page answers in place of FastChat (HTTP \(status))"
          : "the server refuses (HTTP \(status))",
        advice: "check host, port and path")
    }
  }

  private func holds(_ words: String) -> Bool {
    String(decoding: head, as: UTF8.self).lowercased().contains(words)
  }
}
