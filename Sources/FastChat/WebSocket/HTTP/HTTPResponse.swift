/// Composes the answer to a plain request into room of the caller's.
public struct HTTPResponse {
  /// Room that is enough for any head composed here whose own fields are static.
  public static let mostHeadBytes = 1024

  public var status: HTTPStatus
  /// The media type, valid as long as the answer is written.
  public var contentType: UnsafeRawBufferPointer
  /// Whole lines of further fields, each with its CR LF.
  public var fields: StaticString
  /// Says that the connection ends with this answer.
  public var closes: Bool

  public init(
    _ status: HTTPStatus, contentType: StaticString = "text/plain; charset=utf-8", fields: StaticString = "",
    closes: Bool
  ) {
    self.init(
      status,
      contentType: UnsafeRawBufferPointer(
        start: contentType.utf8Start, count: contentType.utf8CodeUnitCount),
      fields: fields, closes: closes)
  }

  public init(
    _ status: HTTPStatus, contentType: UnsafeRawBufferPointer, fields: StaticString = "", closes: Bool
  ) {
    self.status = status
    self.contentType = contentType
    self.fields = fields
    self.closes = closes
  }

  /// Writes the head of an answer with a body of so many bytes, which the caller sends behind it (or does
  /// not, to a `HEAD`).
  ///
  /// - Returns: the number of bytes written; nil where the room is too small.
  public func writeHead(contentLength: Int, into room: UnsafeMutableRawBufferPointer) -> Int? {
    var writer = HTTPWriter(room)
    writeHead(contentLength, &writer)
    return writer.written
  }

  /// Writes head and body.
  ///
  /// - Returns: the number of bytes written; nil where the room is too small.
  public func write(body: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer) -> Int? {
    var writer = HTTPWriter(room)
    writeHead(body.count, &writer)
    writer.append(body)
    return writer.written
  }

  /// Writes a whole answer that refuses a request and closes the connection, with the fields that go
  /// with the status, and the status in words as its body.
  ///
  /// - Returns: the number of bytes written; nil where the room is too small (`mostHeadBytes` is enough).
  public static func refuse(_ status: HTTPStatus, into room: UnsafeMutableRawBufferPointer) -> Int? {
    let reason = status.reason
    let body = UnsafeRawBufferPointer(start: reason.utf8Start, count: reason.utf8CodeUnitCount)
    return HTTPResponse(status, fields: requiredFields(status), closes: true).write(body: body, into: room)
  }

  /// What a status must or should say beside itself (RFC 9110 section 15, RFC 6455 section 4.4).
  private static func requiredFields(_ status: HTTPStatus) -> StaticString {
    switch status {
    case .methodNotAllowed: "Allow: GET, HEAD\r\n"
    case .upgradeRequired: "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    case .serviceUnavailable: "Retry-After: 1\r\n"
    default: ""
    }
  }

  private func writeHead(_ contentLength: Int, _ writer: inout HTTPWriter) {
    writer.append("HTTP/1.1 ")
    writer.append(decimal: status.rawValue)
    writer.append(" ")
    writer.append(status.reason)
    writer.append("\r\nContent-Length: ")
    writer.append(decimal: contentLength)
    writer.append("\r\nContent-Type: ")
    writer.append(contentType)
    writer.append("\r\n")
    writer.append(fields)
    // The field Upgrade belongs to this connection only, and says so (RFC 9110 section 7.8).
    if status == .upgradeRequired {
      writer.append(closes ? "Connection: close, upgrade\r\n" : "Connection: upgrade\r\n")
    } else if closes {
      writer.append("Connection: close\r\n")
    }
    writer.append("\r\n")
  }
}
