/// A host and a port, as somebody named them: a name, IPv4 in dots, or IPv6 without brackets.
public struct RedisHost: Sendable, Hashable, CustomStringConvertible {
  public var name: String
  public var port: UInt16

  public init(_ name: String, port: UInt16) {
    self.name = name
    self.port = port
  }

  /// Reads `host`, `host:port`, `[::1]` or `[::1]:port`; nil for anything else.
  init?(_ text: some StringProtocol, defaultPort: UInt16) {
    var name = text[...]
    var port = defaultPort
    if text.hasPrefix("[") {
      guard let end = text.lastIndex(of: "]") else { return nil }
      name = text[text.index(after: text.startIndex)..<end]
      guard name.contains(":"), name.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." }) else {
        return nil
      }
      let rest = text[text.index(after: end)...]
      if !rest.isEmpty {
        guard rest.hasPrefix(":"), let given = Self.port(rest.dropFirst()) else { return nil }
        port = given
      }
    } else {
      if let colon = text.firstIndex(of: ":") {
        guard let given = Self.port(text[text.index(after: colon)...]) else { return nil }
        name = text[..<colon]
        port = given
      }
      let isName = name.utf8.allSatisfy {
        switch $0 {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
          true
        default: false
        }
      }
      guard isName, !name.isEmpty, name.utf8.count <= 253 else { return nil }
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
