/// What a server says of itself by `INFO`: `name:value` in lines.
public struct RedisInfo {
  private let text: [UInt8]

  /// Nil where the reply is none.
  public init?(reply: RedisReply) {
    guard let text = reply.bytes else { return nil }
    self.text = text
  }

  public subscript(name: String) -> String? {
    for line in text.split(whereSeparator: { $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\n") })
    where line.count > name.utf8.count && line.starts(with: name.utf8) {
      let rest = line.dropFirst(name.utf8.count)
      if rest.first == UInt8(ascii: ":") { return String(decoding: rest.dropFirst(), as: UTF8.self) }
    }
    return nil
  }

  public var isPrimary: Bool { self["role"] == "master" }
  public var isCluster: Bool { self["cluster_enabled"] == "1" }
}
