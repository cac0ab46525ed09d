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
