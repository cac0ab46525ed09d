/// The client's side of an opening handshake (RFC 6455 section 4.1).
public struct ClientHandshake {
  public enum Judged {
    case needMore
    /// What follows the first `length` bytes are frames.
    case accepted(deflate: DeflateParameters?, length: Int)
    /// The connection must be given up. The status is nil where the answer is not HTTP.
    case refused(status: Int?, StaticString)
  }

  private let key: [25 of UInt8]
  private let subprotocol: StaticString?
  private let deflate: Bool
  private var progress = HTTPHead()
  /// Whether the server took the subprotocol that was offered; it may pass it over (RFC 6455 section 4.2.2).
  public private(set) var isSubprotocolChosen = false

  /// Begins a handshake. The nonce is random, and another one each time.
  public init(nonce: (UInt64, UInt64), subprotocol: StaticString? = nil, deflate: Bool = false) {
    key = HandshakeKey.encode(nonce)
    self.subprotocol = subprotocol
    self.deflate = deflate
  }

  /// Writes the request. `fields` are whole lines of further fields, each with its CR LF.
  ///
  /// - Returns: the number of bytes written; nil where the room is too small.
  public func write(
    host: String, target: String, fields: String = "", into room: UnsafeMutableRawBufferPointer
  ) -> Int? {
    var writer = HTTPWriter(room)
    writer.append("GET ")
    writer.append(target)
    writer.append(" HTTP/1.1\r\nHost: ")
    writer.append(host)
    writer.append("\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n")
    writer.append("Sec-WebSocket-Key: ")
    withKey { writer.append($0) }
    writer.append("\r\n")
    if let subprotocol {
      writer.append("Sec-WebSocket-Protocol: ")
      writer.append(subprotocol)
      writer.append("\r\n")
    }
    if deflate {
      writer.append("Sec-WebSocket-Extensions: ")
      writer.append(DeflateParameters.offer)
      writer.append("\r\n")
    }
    writer.append(fields)
    writer.append("\r\n")
    return writer.written
  }

  /// Judges the answer from `bytes`, all that was received from its first byte on.
  public mutating func judge(_ bytes: UnsafeRawBufferPointer) -> Judged {
    switch progress.scan(bytes) {
    case .needMore: return .needMore
    case .refused: return .refused(status: nil, "not an HTTP answer")
    case .complete(let length):
      return judge(head: UnsafeRawBufferPointer(rebasing: bytes[..<length]))
    }
  }

  private mutating func judge(head: UnsafeRawBufferPointer) -> Judged {
    let lineEnd = (head.firstIndex(of: 0x0A) ?? head.count) - 1
    let words = head[..<lineEnd].split(separator: 0x20, maxSplits: 2, omittingEmptySubsequences: false)
    guard words.count >= 2, isSame(UnsafeRawBufferPointer(rebasing: words[0]), "HTTP/1.1"),
      words[1].count == 3, let status = decimal(UnsafeRawBufferPointer(rebasing: words[1])),
      let fields = HTTPFields(
        lines: UnsafeRawBufferPointer(rebasing: head[(lineEnd + 2)..<(head.count - 2)]))
    else { return .refused(status: nil, "not an HTTP answer") }
    guard status == HTTPStatus.switchingProtocols.rawValue else {
      return .refused(status: status, "the server refused the upgrade")
    }
    guard fields.contains("websocket", in: "upgrade"), fields.contains("upgrade", in: "connection") else {
      return .refused(status: status, "another protocol than websocket")
    }
    guard let accept = fields.onlyValue("sec-websocket-accept"), isAnswer(accept) else {
      return .refused(status: status, "no valid Sec-WebSocket-Accept")
    }
    let chosen = fields.value("sec-websocket-protocol")
    guard fields.count("sec-websocket-protocol") <= 1,
      chosen == nil || subprotocol.map({ isSame(chosen!, $0) }) == true
    else { return .refused(status: status, "a subprotocol that was not offered") }
    guard let agreed = DeflateParameters.agreed(answer: fields), deflate || agreed == nil else {
      return .refused(status: status, "an extension that was not offered")
    }
    isSubprotocolChosen = chosen != nil
    return .accepted(deflate: agreed, length: head.count)
  }

  private func withKey<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    withUnsafeBytes(of: key) { body(UnsafeRawBufferPointer(rebasing: $0[..<HandshakeKey.size])) }
  }

  private func isAnswer(_ accept: UnsafeRawBufferPointer) -> Bool {
    let wanted = withKey { HandshakeKey.accept($0) }
    return withUnsafeBytes(of: wanted) { accept.elementsEqual($0[..<HandshakeKey.acceptSize]) }
  }
}
