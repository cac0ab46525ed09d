/// `host:port`, as other servers are named: unlike `Address`, names are allowed and port 0 is not.
enum Endpoint {
  /// Hosts of a list at most, so that a file given by mistake is not taken for one.
  static let countMax = 64

  /// Whether the text is `host:port`, with a name, an IPv4 address or an IPv6 one in brackets.
  static func isOne(_ text: some StringProtocol) -> Bool {
    guard let colon = text.lastIndex(of: ":"),
      let port = Count.parse(text[text.index(after: colon)...]), (1...65_535).contains(port)
    else { return false }
    let host = text[..<colon]
    if host.hasPrefix("[") {
      return Address("\(host):\(port)") != nil
    }
    // RFC 952 and 1123, and the underscore that names of containers have.
    return (1...253).contains(host.utf8.count)
      && host.utf8.allSatisfy { byte in
        switch byte {
        case 0x41...0x5A, 0x61...0x7A, 0x30...0x39, 0x2D, 0x2E, 0x5F: true
        default: false
        }
      }
  }

  /// Whether the text is one or several of them with commas between them.
  static func isList(_ text: some StringProtocol) -> Bool {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    return parts.count <= countMax && parts.allSatisfy { isOne($0) }
  }
}

/// The forms in which `--redis` names a Redis: `host:port`, `redis://[user[:password]@]host:port,...` and
/// `sentinel://[user[:password]@]host:port,.../name`.
enum RedisAddress {
  private static let schemes = ["redis://", "sentinel://"]

  static func scheme(of text: String) -> String { schemes.first { text.hasPrefix($0) } ?? "" }

  static func isOne(_ text: String) -> Bool {
    let scheme = scheme(of: text)
    var rest = Substring(text.dropFirst(scheme.count))
    if scheme.isEmpty { return Endpoint.isOne(rest) }
    if let at = rest.lastIndex(of: "@") { rest = rest[rest.index(after: at)...] }
    guard scheme == "sentinel://" else { return Endpoint.isList(rest) }
    guard let slash = rest.firstIndex(of: "/") else { return false }
    let name = rest[rest.index(after: slash)...]
    return Endpoint.isList(rest[..<slash]) && !name.isEmpty && !name.contains("/")
      && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
  }

  /// The password in the address; nil where there is none.
  static func password(of text: String) -> Substring? {
    let rest = text.dropFirst(scheme(of: text).count)
    guard let at = rest.lastIndex(of: "@"), let colon = rest[..<at].firstIndex(of: ":") else { return nil }
    return rest[rest.index(after: colon)..<at]
  }
}
