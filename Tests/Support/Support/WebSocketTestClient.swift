import Foundation

/// One frame as it came (RFC 6455 section 5.2), unmasked.
public struct WebSocketTestFrame: Sendable, Equatable {
  public enum Opcode {
    public static let continuation: UInt8 = 0
    public static let text: UInt8 = 1
    public static let binary: UInt8 = 2
    public static let close: UInt8 = 8
    public static let ping: UInt8 = 9
    public static let pong: UInt8 = 10
  }

  public var isFinal: Bool
  /// The three reserved bits, RSV1 the highest.
  public var reserved: UInt8
  public var opcode: UInt8
  public var payload: [UInt8]
}

/// The server closed the connection; `code` is nil where no close frame came (1005 is one without a code).
public struct WebSocketClosed: Error, Equatable, CustomStringConvertible {
  public let code: Int?
  public let reason: String

  public var description: String { "closed with \(code.map { String($0) } ?? "no close frame") \(reason)" }
}

/// The server answered the upgrade with something else.
public struct UpgradeRefused: Error, CustomStringConvertible {
  public let answer: HTTPAnswer

  public var description: String { "upgrade refused: \(answer.status) \(answer.text)" }
}

/// An independent, blocking RFC 6455 client for tests. It uses nothing of the server's, so that an error on
/// both sides does not cancel out, and it can send any bytes, wrong ones too.
public final class WebSocketTestClient {
  public let socket: TestSocket
  /// The headers of the answer to the upgrade, names in lower case.
  public let headers: [String: String]
  /// Whether pings are answered by themselves.
  public var answersPings = true
  /// How many pings were seen.
  public private(set) var pings = 0
  private var buffer: [UInt8]
  private var start = 0

  /// Connects and upgrades.
  /// - Parameters:
  ///   - headers: override or add; an empty value leaves the header out.
  ///   - behind: bytes sent in the same write as the request.
  ///   - patience: until when the connection must stand and be upgraded.
  public init(
    port: UInt16, path: String = "/ws", headers: [String: String] = [:], behind: [UInt8] = [],
    receiveBuffer: Int32? = nil, patience: Deadline = .usual
  ) throws {
    let key = Data((0..<16).map { _ in UInt8.random(in: 0...255) }).base64EncodedString()
    var all = Self.upgradeHeaders(key: key)
    all.merge(headers) { $1 }
    all = all.filter { !$0.value.isEmpty }
    let http = try HTTPTestClient(port: port, receiveBuffer: receiveBuffer, patience: patience)
    socket = http.socket
    let request = HTTPTestClient.text(of: "GET", path, headers: all, port: port)
    try socket.send(Array(request.utf8) + behind)
    let answer = try http.answer(to: "GET", patience)
    guard answer.status == 101 else { throw UpgradeRefused(answer: answer) }
    let guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    let accept = Data(sha1(Array((all["Sec-WebSocket-Key"]! + guid).utf8))).base64EncodedString()
    guard answer.headers["sec-websocket-accept"] == accept,
      answer.headers["upgrade"]?.lowercased() == "websocket",
      answer.headers["connection"]?.lowercased() == "upgrade"
    else { throw TestFailure("a wrong answer to the upgrade: \(answer.headers)") }
    self.headers = answer.headers
    buffer = http.leftover()
  }

  /// The headers of an upgrade beside `Host`.
  public static func upgradeHeaders(key: String = "dGhlIHNhbXBsZSBub25jZQ==") -> [String: String] {
    [
      "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": key, "Sec-WebSocket-Protocol": "fastchat.v1",
    ]
  }

  // MARK: Sending

  /// The bytes of a frame. `mask` nil sends it unmasked, as a client must not.
  public static func bytes(
    opcode: UInt8, _ payload: [UInt8], isFinal: Bool = true, reserved: UInt8 = 0,
    mask: UInt32? = UInt32.random(in: 0...UInt32.max)
  ) -> [UInt8] {
    var bytes = [(isFinal ? 0x80 : 0) | reserved << 4 | opcode]
    let masked: UInt8 = mask == nil ? 0 : 0x80
    switch payload.count {
    case ..<126: bytes.append(masked | UInt8(payload.count))
    case ..<65_536: bytes += [masked | 126] + bigEndianBytes(UInt16(payload.count))
    default: bytes += [masked | 127] + bigEndianBytes(UInt64(payload.count))
    }
    guard let mask else { return bytes + payload }
    let key = bigEndianBytes(mask)
    bytes += key
    bytes.reserveCapacity(bytes.count + payload.count)
    for (index, byte) in payload.enumerated() { bytes.append(byte ^ key[index & 3]) }
    return bytes
  }

  public func send(opcode: UInt8, _ payload: [UInt8], isFinal: Bool = true) throws {
    try socket.send(Self.bytes(opcode: opcode, payload, isFinal: isFinal))
  }

  public func send(text: String) throws {
    try send(opcode: WebSocketTestFrame.Opcode.text, Array(text.utf8))
  }

  /// Sends a close frame; the caller waits for the answer.
  public func sendClose(code: UInt16 = 1000, reason: String = "") throws {
    try send(opcode: WebSocketTestFrame.Opcode.close, bigEndianBytes(code) + Array(reason.utf8))
  }

  /// Sends all of it, and takes in what the server says only while it does not read.
  public func pump(_ bytes: ArraySlice<UInt8>, _ deadline: Deadline = .usual) throws {
    var rest = bytes
    while !rest.isEmpty {
      rest = rest.dropFirst(try socket.sendSome(rest))
      if !rest.isEmpty, socket.isReadable(.after(.milliseconds(1))) { try more(deadline) }
      guard !deadline.hasPassed else { throw TestFailure("the server stopped reading for good") }
    }
  }

  // MARK: Receiving

  /// The next frame, control frames included, nothing answered.
  /// - Throws: `WebSocketClosed` without a code at the end of the stream.
  public func nextFrame(_ deadline: Deadline = .usual) throws -> WebSocketTestFrame {
    let first = try byte(0, deadline)
    let second = try byte(1, deadline)
    guard second & 0x80 == 0 else { throw TestFailure("a masked frame from the server") }
    var header = 2
    var length = Int(second)
    if length >= 126 {
      let size = length == 126 ? 2 : 8
      length = 0
      for index in 0..<size { length = length << 8 | Int(try byte(2 + index, deadline)) }
      header += size
      guard length >= (size == 2 ? 126 : 65_536) else { throw TestFailure("a length in too long a form") }
    }
    guard length <= 64 << 20 else { throw TestFailure("a frame of \(length) bytes") }
    while buffer.count - start < header + length { try more(deadline) }
    let payload = Array(buffer[(start + header)..<(start + header + length)])
    start += header + length
    if start == buffer.count || start > 1 << 20 {
      buffer.removeSubrange(..<start)
      start = 0
    }
    return WebSocketTestFrame(
      isFinal: first & 0x80 != 0, reserved: first >> 4 & 7, opcode: first & 15, payload: payload)
  }

  /// The next whole text or binary message; pings on the way are answered, pongs passed over.
  /// - Throws: `WebSocketClosed` when the server closed.
  public func nextMessage(_ deadline: Deadline = .usual) throws -> [UInt8] {
    var message: [UInt8] = []
    while true {
      let frame = try nextFrame(deadline)
      switch frame.opcode {
      case WebSocketTestFrame.Opcode.ping:
        pings += 1
        if answersPings { try send(opcode: WebSocketTestFrame.Opcode.pong, frame.payload) }
      case WebSocketTestFrame.Opcode.pong: break
      case WebSocketTestFrame.Opcode.close: throw Self.closed(by: frame)
      default:
        message += frame.payload
        if frame.isFinal { return message }
      }
    }
  }

  /// Whether something was received, or is before the deadline: `nextFrame` may still wait for its rest.
  public func hasInput(_ deadline: Deadline) -> Bool { start < buffer.count || socket.isReadable(deadline) }

  /// Reads until the server closes, and says how; then the connection ends.
  public func close(_ deadline: Deadline = .usual) throws -> WebSocketClosed {
    do {
      while true { _ = try nextMessage(deadline) }
    } catch let closed as WebSocketClosed {
      return closed
    }
  }

  private static func closed(by frame: WebSocketTestFrame) -> WebSocketClosed {
    guard frame.payload.count >= 2 else { return WebSocketClosed(code: 1005, reason: "") }
    return WebSocketClosed(
      code: Int(frame.payload[0]) << 8 | Int(frame.payload[1]),
      reason: String(decoding: frame.payload[2...], as: UTF8.self))
  }

  private func byte(_ offset: Int, _ deadline: Deadline) throws -> UInt8 {
    while buffer.count - start <= offset { try more(deadline) }
    return buffer[start + offset]
  }

  private func more(_ deadline: Deadline) throws {
    let bytes = try socket.receive(atMost: 65_536, deadline)
    guard !bytes.isEmpty else { throw WebSocketClosed(code: nil, reason: "") }
    buffer += bytes
  }
}
