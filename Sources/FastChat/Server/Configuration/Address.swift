import Glibc

/// A numeric address and a port to listen on.
public struct Address: Sendable, Equatable, CustomStringConvertible {
  /// IPv4 in dots, or IPv6 without brackets.
  public let host: String
  /// 0: any free port.
  public let port: UInt16

  init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Reads `127.0.0.1:8080`, `[::1]:8080` or `localhost:8080`; nil for anything else. Other names are not
  /// looked up: what a server listens on should not depend on a resolver.
  public init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"),
      let port = Count.parse(text[text.index(after: colon)...]), port <= 65_535
    else { return nil }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
      guard host.contains(":") else { return nil }
    } else if host.contains(":") {
      return nil
    }
    if host == "localhost" { host = "127.0.0.1" }
    self.init(host: String(host), port: UInt16(port))
    var bytes = in6_addr()
    guard inet_pton(family, self.host, &bytes) == 1 else { return nil }
  }

  /// `AF_INET` or `AF_INET6`.
  public var family: Int32 { host.contains(":") ? AF_INET6 : AF_INET }

  /// Whether only this machine can reach it (127.0.0.0/8, ::1; RFC 5735, RFC 4291).
  public var isLoopback: Bool {
    if family == AF_INET {
      var address = in_addr()
      return inet_pton(AF_INET, host, &address) == 1 && UInt32(bigEndian: address.s_addr) >> 24 == 127
    }
    var address = in6_addr()
    var loopback = in6addr_loopback
    return inet_pton(AF_INET6, host, &address) == 1
      && memcmp(&address, &loopback, MemoryLayout<in6_addr>.size) == 0
  }

  /// As it is written in a flag; with another port if one is given (the one that port 0 became).
  public func description(port: UInt16) -> String {
    family == AF_INET6 ? "[\(host)]:\(port)" : "\(host):\(port)"
  }

  public var description: String { description(port: port) }
}
