/// The head of an HTTP/1.1 request (RFC 9112), as views into the bytes that it was read from.
///
/// We serve no request with a body: one that announces a body is refused, so nobody can hide a second
/// request in it.
public struct HTTPRequest {
  public enum Parsed {
    case needMore
    /// What follows the first `length` bytes belongs to whatever comes next on the connection.
    case complete(HTTPRequest, length: Int)
    /// Answer with the status, and close.
    case refused(HTTPStatus)
  }

  public enum Method: Sendable {
    case get, head, post, put, delete, options
    /// A method that we know nothing of.
    case other
  }

  public enum Version: Sendable { case http10, http11 }

  public let method: Method
  /// The path as it came, percent-encoded, beginning with a slash.
  public let path: UnsafeRawBufferPointer
  /// What stands behind the question mark.
  public let query: UnsafeRawBufferPointer?
  public let version: Version
  public let fields: HTTPFields
  /// The host and port that the request was made to; empty only in HTTP/1.0.
  public let host: UnsafeRawBufferPointer

  /// Reads a request from `bytes`, all that was received from its first byte on. `progress` makes that a
  /// head that comes in many pieces is scanned once.
  public static func parse(_ bytes: UnsafeRawBufferPointer, progress: inout HTTPHead) -> Parsed {
    switch progress.scan(bytes) {
    case .needMore: return .needMore
    case .refused(let status): return .refused(status)
    case .complete(let length):
      switch read(UnsafeRawBufferPointer(rebasing: bytes[..<length])) {
      case .request(let request): return .complete(request, length: length)
      case .refused(let status): return .refused(status)
      }
    }
  }

  /// Reads a request whose bytes are at hand.
  public static func parse(_ bytes: UnsafeRawBufferPointer) -> Parsed {
    var progress = HTTPHead()
    return parse(bytes, progress: &progress)
  }

  // MARK: What it says

  public func isPath(_ text: StaticString) -> Bool { isSame(path, text) }

  /// What follows `prefix` in the path.
  public func path(after prefix: StaticString) -> UnsafeRawBufferPointer? {
    let length = prefix.utf8CodeUnitCount
    guard path.count >= length, isSame(UnsafeRawBufferPointer(rebasing: path[..<length]), prefix) else {
      return nil
    }
    return UnsafeRawBufferPointer(rebasing: path[length...])
  }

  /// The value of the first parameter of that name in the query, percent-encoded.
  public func queryValue(_ name: StaticString) -> UnsafeRawBufferPointer? {
    guard let query else { return nil }
    for parameter in query.split(separator: UInt8(ascii: "&")) {
      guard let equals = parameter.firstIndex(of: UInt8(ascii: "=")),
        isSame(UnsafeRawBufferPointer(rebasing: parameter[..<equals]), name)
      else { continue }
      return UnsafeRawBufferPointer(rebasing: parameter[(equals + 1)...])
    }
    return nil
  }

  /// The token of `Authorization: Bearer` (RFC 6750 section 2.1).
  public var bearerToken: UnsafeRawBufferPointer? {
    guard let value = fields.onlyValue("authorization") else { return nil }
    let scheme: StaticString = "Bearer "
    let length = scheme.utf8CodeUnitCount
    guard value.count > length, isSameToken(UnsafeRawBufferPointer(rebasing: value[..<length]), scheme) else {
      return nil
    }
    return UnsafeRawBufferPointer(rebasing: value[length...])
  }

  /// Whether the connection may carry another request after this one.
  public var keepsAlive: Bool { version == .http11 && !fields.contains("close", in: "connection") }

  /// Whether it asks for the WebSocket protocol.
  public var isUpgrade: Bool { fields.contains("websocket", in: "upgrade") }

  /// Whether it asks for a page, as browsers do.
  public var acceptsHTML: Bool {
    let page: StaticString = "text/html"
    let length = page.utf8CodeUnitCount
    for field in fields where field.isNamed("accept") && field.value.count >= length {
      for start in 0...field.value.count - length
      where isSameToken(UnsafeRawBufferPointer(rebasing: field.value[start..<start + length]), page) {
        return true
      }
    }
    return false
  }
}

// MARK: - Parsing

extension HTTPRequest {
  private enum Outcome {
    case request(HTTPRequest)
    case refused(HTTPStatus)
  }

  /// Reads a whole head, whose bytes and line ends have been checked.
  private static func read(_ head: UnsafeRawBufferPointer) -> Outcome {
    let lineEnd = (head.firstIndex(of: 0x0A) ?? head.count) - 1
    let words = head[..<lineEnd].split(separator: 0x20, omittingEmptySubsequences: false)
    guard words.count == 3, !words[0].isEmpty, words[0].allSatisfy(isTokenByte) else {
      return .refused(.badRequest)
    }
    let versionWord = UnsafeRawBufferPointer(rebasing: words[2])
    guard let version = version(versionWord) else {
      return .refused(isVersion(versionWord) ? .httpVersionNotSupported : .badRequest)
    }
    let target = words[1]
    // The form with a scheme and a host is for proxies, which we are none of.
    guard target.first == UInt8(ascii: "/"),
      target.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") })
    else { return .refused(.badRequest) }

    let lines = UnsafeRawBufferPointer(rebasing: head[(lineEnd + 2)..<(head.count - 2)])
    guard let fields = HTTPFields(lines: lines), let host = host(fields, version), hasNoBody(fields) else {
      return .refused(.badRequest)
    }
    let mark = target.firstIndex(of: UInt8(ascii: "?"))
    return .request(
      HTTPRequest(
        method: method(UnsafeRawBufferPointer(rebasing: words[0])),
        path: UnsafeRawBufferPointer(rebasing: target[..<(mark ?? target.endIndex)]),
        query: mark.map { UnsafeRawBufferPointer(rebasing: target[($0 + 1)...]) }, version: version,
        fields: fields, host: host))
  }

  private static func method(_ word: UnsafeRawBufferPointer) -> Method {
    if isSame(word, "GET") { return .get }
    if isSame(word, "HEAD") { return .head }
    if isSame(word, "POST") { return .post }
    if isSame(word, "PUT") { return .put }
    if isSame(word, "DELETE") { return .delete }
    if isSame(word, "OPTIONS") { return .options }
    return .other
  }

  private static func version(_ word: UnsafeRawBufferPointer) -> Version? {
    isSame(word, "HTTP/1.1") ? .http11 : isSame(word, "HTTP/1.0") ? .http10 : nil
  }

  /// Whether the word is a version at all: HTTP/2 announces itself by one.
  private static func isVersion(_ word: UnsafeRawBufferPointer) -> Bool {
    let name: StaticString = "HTTP/"
    let length = name.utf8CodeUnitCount
    guard word.count == length + 3, isSame(UnsafeRawBufferPointer(rebasing: word[..<length]), name) else {
      return false
    }
    return decimal(UnsafeRawBufferPointer(rebasing: word[length..<length + 1])) != nil
      && word[length + 1] == UInt8(ascii: ".")
      && decimal(UnsafeRawBufferPointer(rebasing: word[(length + 2)...])) != nil
  }

  /// The host, which stands there exactly once (RFC 9112 section 3.2); in HTTP/1.0 it may be left out.
  private static func host(_ fields: HTTPFields, _ version: Version) -> UnsafeRawBufferPointer? {
    if version == .http10, fields.count("host") == 0 { return UnsafeRawBufferPointer(start: nil, count: 0) }
    guard let host = fields.onlyValue("host"), !host.isEmpty, host.allSatisfy(isHostByte) else { return nil }
    return host
  }

  /// A letter, digit or mark of a registered name or an address, with a port.
  private static func isHostByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"),
      UInt8(ascii: "~"), UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "%"):
      true
    default: false
    }
  }

  private static func hasNoBody(_ fields: HTTPFields) -> Bool {
    guard fields.count("transfer-encoding") == 0 else { return false }
    switch fields.count("content-length") {
    case 0: return true
    case 1: return fields.value("content-length").flatMap(decimal) == 0
    default: return false
    }
  }
}
