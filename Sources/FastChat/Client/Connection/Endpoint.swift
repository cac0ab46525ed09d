/// Where a server is: an address of the form `ws://host[:port][/path][?query]`.
struct Endpoint: Sendable, Equatable {
  let host: String
  let port: UInt16
  /// Path and query of the request.
  let target: String

  private static let plainPort: UInt16 = 80

  /// What stands in the `Host` field.
  var authority: String {
    let name = host.contains(":") ? "[\(host)]" : host
    return port == Self.plainPort ? name : "\(name):\(port)"
  }

  init(_ address: String) throws(ClientError) {
    func wrong(_ what: String) -> ClientError {
      ClientError(.configuration, "'\(address)' \(what)", advice: "write it as ws://127.0.0.1:8080/ws")
    }
    if address.lowercased().hasPrefix("wss://") {
      throw ClientError(
        .configuration, "wss:// is not built yet",
        advice: "use ws:// to a proxy on this machine that speaks TLS")
    }
    guard address.lowercased().hasPrefix("ws://") else { throw wrong("is not the address of a WebSocket") }
    let rest = address.dropFirst(5)
    guard rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      throw wrong("has characters that no address has")
    }
    let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    let path = rest.dropFirst(authority.count).prefix { $0 != "#" }
    target = path.isEmpty ? "/ws" : path.hasPrefix("/") ? String(path) : "/" + path
    guard !authority.contains("@") else { throw wrong("names a user, which belongs elsewhere") }
    let name: Substring
    var digits: Substring?
    if authority.hasPrefix("[") {
      guard let end = authority.firstIndex(of: "]") else { throw wrong("lacks a bracket") }
      name = authority[authority.index(after: authority.startIndex)..<end]
      let behind = authority[authority.index(after: end)...]
      guard behind.isEmpty || behind.hasPrefix(":") else { throw wrong("has something behind its bracket") }
      digits = behind.isEmpty ? nil : behind.dropFirst()
    } else {
      let parts = authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      name = parts.first ?? ""
      digits = parts.count > 1 ? parts[1] : nil
    }
    guard !name.isEmpty else { throw wrong("names no host") }
    host = String(name)
    guard let digits else {
      port = Self.plainPort
      return
    }
    guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt16(digits), number > 0
    else {
      throw wrong("has no port from 1 to 65535")
    }
    port = number
  }
}
