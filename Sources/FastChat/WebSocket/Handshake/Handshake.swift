/// The server's side of an opening handshake (RFC 6455 section 4.2), judged from a request whose head is
/// still there.
public struct Handshake {
  public enum Judged {
    case accepted(Handshake)
    /// Answer with the status, and close; the text is for the log.
    case refused(HTTPStatus, StaticString)
  }

  /// Room that is enough for any answer.
  public static let mostBytes = 512

  /// What was agreed on for compression; nil: messages are not compressed.
  public let deflate: DeflateParameters?

  private let key: UnsafeRawBufferPointer
  private let subprotocol: StaticString?

  /// Judges a request to a path that speaks WebSocket.
  ///
  /// - Parameters:
  ///   - subprotocol: the one spoken there. A client that offers none is served without the header, one
  ///     that offers only others is refused. Nil: whatever is offered is passed over.
  ///   - deflate: accept permessage-deflate where it is offered.
  public static func judge(_ request: HTTPRequest, subprotocol: StaticString?, deflate: Bool) -> Judged {
    let fields = request.fields
    guard request.method == .get else { return .refused(.methodNotAllowed, "upgrade by another method") }
    guard request.version == .http11 else { return .refused(.badRequest, "upgrade in HTTP/1.0") }
    guard request.isUpgrade, fields.contains("upgrade", in: "connection") else {
      return .refused(.upgradeRequired, "not an upgrade to websocket")
    }
    guard fields.count("sec-websocket-version") <= 1 else {
      return .refused(.badRequest, "more than one Sec-WebSocket-Version")
    }
    guard let version = fields.value("sec-websocket-version"), isSame(version, "13") else {
      return .refused(.upgradeRequired, "another Sec-WebSocket-Version")
    }
    guard let key = fields.onlyValue("sec-websocket-key"), HandshakeKey.isValid(key) else {
      return .refused(.badRequest, "no valid Sec-WebSocket-Key")
    }
    var chosen: StaticString?
    if let subprotocol, fields.count("sec-websocket-protocol") > 0 {
      guard offers(subprotocol, fields) else { return .refused(.badRequest, "only other subprotocols") }
      chosen = subprotocol
    }
    return .accepted(
      Handshake(
        deflate: deflate ? DeflateParameters.accept(offers: fields) : nil, key: key, subprotocol: chosen))
  }

  /// Writes the answer that switches protocols. The request's head must still be there.
  ///
  /// - Returns: the number of bytes written; nil where the room is too small (`mostBytes` is enough).
  public func write(into room: UnsafeMutableRawBufferPointer) -> Int? {
    var writer = HTTPWriter(room)
    writer.append("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
    writer.append("Sec-WebSocket-Accept: ")
    withUnsafeBytes(of: HandshakeKey.accept(key)) { accept in
      writer.append(UnsafeRawBufferPointer(rebasing: accept[..<HandshakeKey.acceptSize]))
    }
    writer.append("\r\n")
    if let subprotocol {
      writer.append("Sec-WebSocket-Protocol: ")
      writer.append(subprotocol)
      writer.append("\r\n")
    }
    if let deflate {
      writer.append("Sec-WebSocket-Extensions: ")
      deflate.write(to: &writer)
      writer.append("\r\n")
    }
    writer.append("\r\n")
    return writer.written
  }

  /// Whether the subprotocol is among those offered; here the case of letters counts.
  private static func offers(_ subprotocol: StaticString, _ fields: HTTPFields) -> Bool {
    for field in fields where field.isNamed("sec-websocket-protocol") {
      var list = HTTPScanner(field.value)
      while !list.isAtEnd {
        if let offer = list.token(), list.isAtEndOfElement, isSame(offer, subprotocol) { return true }
        list.skipToNextElement()
      }
    }
    return false
  }
}
