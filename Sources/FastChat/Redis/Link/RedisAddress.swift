/// Where Redis is, and who we are there: the value of `--redis`.
///
/// ```
/// host:port                                     one primary
/// redis://[user[:password]@]host:port           one primary; a cluster, if it says that it is a node of one
/// redis://[user[:password]@]host:port,...       a Redis Cluster, by some of its nodes (of one: ?cluster behind it)
/// sentinel://[user[:password]@]host:port,.../name  the primary that these sentinels call by that name
/// ```
/// User and password may be percent-encoded (RFC 3986 section 2.1). A password alone stands behind a colon.
/// Sentinels are given the same ones where they ask for any.
public struct RedisAddress: Sendable, Equatable, CustomStringConvertible {
  public enum Kind: Sendable, Equatable {
    case single(RedisHost)
    case cluster([RedisHost])
    case sentinel([RedisHost], primary: String)
  }

  /// Hosts that may be named.
  public static let hostsMax = 64

  public var kind: Kind
  public var user: String?
  public var password: String?

  /// Why a text is no address: one line, without any of the text, which may hold a password.
  public struct Invalid: Error, Equatable, CustomStringConvertible {
    public let description: String
  }

  public init(_ text: String) throws(Invalid) {
    var rest = text[...]
    var isSentinel = false
    if let end = rest.firstRange(of: "://") {
      switch rest[..<end.lowerBound] {
      case "redis": break
      case "sentinel": isSentinel = true
      case "rediss": throw Invalid(description: "TLS to Redis (rediss://) is not supported")
      default: throw Invalid(description: "begins with neither redis:// nor sentinel://")
      }
      rest = rest[end.upperBound...]
    }
    if let at = rest.lastIndex(of: "@") {
      (user, password) = try Self.credentials(rest[..<at])
      rest = rest[rest.index(after: at)...]
    }
    var query = rest[rest.endIndex...]
    if let mark = rest.firstIndex(of: "?") {
      query = rest[rest.index(after: mark)...]
      rest = rest[..<mark]
    }
    var path = rest[rest.endIndex...]
    var hasPath = false
    if let slash = rest.firstIndex(of: "/") {
      hasPath = true
      path = rest[rest.index(after: slash)...]
      rest = rest[..<slash]
    }
    let hosts = try Self.hosts(rest)
    guard text.contains("://") || hosts.count == 1 && rest == text[...] else {
      throw Invalid(description: "what is more than host:port begins with redis:// or sentinel://")
    }
    guard query.isEmpty || query == "cluster" && !isSentinel else {
      throw Invalid(description: "behind the question mark only \"cluster\" may stand, of redis://")
    }
    if isSentinel {
      guard !path.isEmpty, path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") }) else {
        throw Invalid(description: "sentinel:// needs the name of the primary: sentinel://host:port/name")
      }
      kind = .sentinel(hosts, primary: String(path))
      return
    }
    guard !hasPath else {
      throw Invalid(description: "only database 0 is used: nothing stands behind the port")
    }
    kind = hosts.count > 1 || query == "cluster" ? .cluster(hosts) : .single(hosts[0])
  }

  private static func credentials(
    _ text: Substring
  ) throws(Invalid) -> (user: String?, password: String?) {
    guard let colon = text.firstIndex(of: ":") else {
      guard !text.isEmpty else { throw Invalid(description: "nothing stands before the @") }
      return (try decoded(text), nil)
    }
    let password = try decoded(text[text.index(after: colon)...])
    guard !password.isEmpty else { throw Invalid(description: "the password before the @ is empty") }
    return (colon > text.startIndex ? try decoded(text[..<colon]) : nil, password)
  }

  private static func hosts(_ text: Substring) throws(Invalid) -> [RedisHost] {
    var hosts: [RedisHost] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let host = RedisHost(part) else {
        throw Invalid(description: "host \(hosts.count + 1) is not host:port ([...]:port for IPv6)")
      }
      if !hosts.contains(host) { hosts.append(host) }
    }
    guard hosts.count <= hostsMax else { throw Invalid(description: "more than \(hostsMax) hosts") }
    return hosts
  }

  private static func decoded(_ text: Substring) throws(Invalid) -> String {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      let digits = rest.prefix(2)
      guard digits.count == 2, let value = UInt8(Substring(digits), radix: 16) else {
        throw Invalid(description: "a % is not followed by two hexadecimal digits")
      }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    guard let decoded = String(validating: bytes, as: UTF8.self) else {
      throw Invalid(description: "its percent-encoding is not UTF-8")
    }
    return decoded
  }

  /// Without user and password: for logs.
  public var description: String {
    func list(_ hosts: [RedisHost]) -> String { hosts.map(\.description).joined(separator: ",") }
    return switch kind {
    case .single(let host): "redis://\(host)"
    case .cluster(let hosts): "redis://\(list(hosts))\(hosts.count == 1 ? "?cluster" : "")"
    case .sentinel(let hosts, let name): "sentinel://\(list(hosts))/\(name)"
    }
  }
}

extension RedisAddress: CustomReflectable {
  /// Not even a dump of it shows the password.
  public var customMirror: Mirror { Mirror(self, children: ["address": description]) }
}
