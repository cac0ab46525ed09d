/// Which pages may connect. A browser tells the page's origin, and the page cannot change it; programs
/// that are no browsers tell none, and are not what this rule is about.
public struct OriginRule: Sendable {
  private let allowed: [String]

  /// Allows the server's own origin, and those listed: each as a browser writes it,
  /// `https://chat.example.com`, with the port where it is not the scheme's own.
  public init(allowed: [String]) { self.allowed = allowed }

  /// Whether the request comes from an allowed page, or from no page at all.
  public func allows(_ request: HTTPRequest) -> Bool {
    let fields = request.fields
    guard fields.count("origin") > 0 else { return true }
    guard let origin = fields.onlyValue("origin") else { return false }
    if OriginRule.isOwn(origin, host: request.host) { return true }
    return allowed.contains { text in
      var text = text
      return text.withUTF8 { isSameToken(origin, UnsafeRawBufferPointer($0)) }
    }
  }

  /// Whether the origin is the host that the request was made to. The scheme is not compared: a proxy in
  /// front of us may speak TLS. A port that is the scheme's own may be named or not.
  private static func isOwn(_ origin: UnsafeRawBufferPointer, host: UnsafeRawBufferPointer) -> Bool {
    for (scheme, port) in [("http://", ":80"), ("https://", ":443")] as [(StaticString, StaticString)] {
      let length = scheme.utf8CodeUnitCount
      guard origin.count > length, isSameToken(UnsafeRawBufferPointer(rebasing: origin[..<length]), scheme)
      else {
        continue
      }
      let authority = UnsafeRawBufferPointer(rebasing: origin[length...])
      return isSameToken(without(port, authority), without(port, host))
    }
    return false
  }

  private static func without(
    _ port: StaticString, _ authority: UnsafeRawBufferPointer
  ) -> UnsafeRawBufferPointer {
    let rest = authority.count - port.utf8CodeUnitCount
    guard rest > 0, isSame(UnsafeRawBufferPointer(rebasing: authority[rest...]), port) else {
      return authority
    }
    return UnsafeRawBufferPointer(rebasing: authority[..<rest])
  }
}

/// Which names a server may be called by that asks nobody who he is: only those of the machine itself.
/// A page of somebody else's can let its own name point to 127.0.0.1, but then that name is the host.
public enum HostRule {
  /// Whether the host, with or without a port, is `localhost`, an address 127.x.x.x, or `[::1]`.
  public static func isLoopback(_ host: UnsafeRawBufferPointer) -> Bool {
    let name: UnsafeRawBufferPointer
    if host.first == UInt8(ascii: "["), let bracket = host.firstIndex(of: UInt8(ascii: "]")) {
      name = UnsafeRawBufferPointer(rebasing: host[...bracket])
    } else {
      name = UnsafeRawBufferPointer(rebasing: host[..<(host.firstIndex(of: UInt8(ascii: ":")) ?? host.count)])
    }
    let rest = UnsafeRawBufferPointer(rebasing: host[name.count...])
    if !rest.isEmpty {
      guard rest[0] == UInt8(ascii: ":"), let port = decimal(UnsafeRawBufferPointer(rebasing: rest[1...])),
        port <= 0xFFFF
      else { return false }
    }
    return isSameToken(name, "localhost") || isSame(name, "[::1]") || isLoopbackAddress(name)
  }

  private static func isLoopbackAddress(_ name: UnsafeRawBufferPointer) -> Bool {
    let numbers = name.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard numbers.count == 4, isSame(UnsafeRawBufferPointer(rebasing: numbers[0]), "127") else {
      return false
    }
    return numbers.allSatisfy { number in
      decimal(UnsafeRawBufferPointer(rebasing: number)).map { $0 <= 255 } ?? false
    }
  }
}
