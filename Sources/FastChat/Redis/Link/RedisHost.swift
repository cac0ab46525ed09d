/// A host and a port, as somebody named them: a name, IPv4 in dots, or IPv6 without brackets.
public struct RedisHost: Sendable, Hashable, CustomStringConvertible {
  public var name: String
  public var port: UInt16

  public init(_ name: String, port: UInt16) {
    self.name = name
    self.port = port
  }

  /// Reads `host:port` or `[::1]:port`; nil for anything else.
  init?(_ text: some StringProtocol) {
    guard let colon = text.lastIndex(of: ":"), let port = Self.port(text[text.index(after: colon)...]) else {
      return nil
    }
    var name = text[..<colon]
    if name.hasPrefix("["), name.hasSuffix("]") {
      name = name.dropFirst().dropLast()
      guard name.contains(":"), name.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." }) else {
        return nil
      }
    } else {
      // RFC 952 and 1123, and the underscore that names of containers have.
      let isName = name.utf8.allSatisfy {
        switch $0 {
        case 0x41...0x5A, 0x61...0x7A, 0x30...0x39, 0x2D, 0x2E, 0x5F: true
        default: false
        }
      }
      guard isName, (1...253).contains(name.utf8.count) else { return nil }
    }
    self.init(String(name), port: port)
  }

  /// Reads what stands in `-MOVED` and `-ASK`: `127.0.0.1:7001`, `::1:7001`, or `:7001` for the host asked,
  /// whose name is left empty.
  init?(redirection text: some StringProtocol) {
    guard let colon = text.lastIndex(of: ":"), let port = Self.port(text[text.index(after: colon)...]) else {
      return nil
    }
    self.init(String(text[..<colon]), port: port)
  }

  private static func port(_ text: some StringProtocol) -> UInt16? {
    guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
      let port = UInt16(text), port > 0
    else { return nil }
    return port
  }

  public var description: String { name.contains(":") ? "[\(name)]:\(port)" : "\(name):\(port)" }
}
