/// A server's address as `ws://HOST:PORT/PATH`; the host is numeric.
struct LoadURL: Sendable {
  var host = "127.0.0.1"
  var port: UInt16 = 8080
  var path = "/ws"

  init() {}

  /// Nil: the text is something else.
  init?(_ text: String) {
    let scheme = "ws://"
    guard text.hasPrefix(scheme) else { return nil }
    let rest = text.dropFirst(scheme.utf8.count)
    let authority = rest.prefix { $0 != "/" }
    guard let colon = authority.lastIndex(of: ":"),
      let port = UInt16(authority[authority.index(after: colon)...])
    else { return nil }
    host = String(authority[..<colon].filter { $0 != "[" && $0 != "]" })
    self.port = port
    let path = rest.dropFirst(authority.utf8.count)
    self.path = path.isEmpty ? "/" : String(path)
  }
}
