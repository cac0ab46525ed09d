public import Chat
import JSON

/// What the topics of one cluster of servers are called (DESIGN section 6).
public struct TopicNames: Sendable, Equatable {
  /// What all of them begin with: two clusters on the same brokers have two.
  public let prefix: String

  public init(prefix: String = "fastchat") { self.prefix = prefix }

  public func log(generation: Int64) -> String { "\(prefix).log.\(generation)" }
  /// The generation that a topic of this name has the log of; nil for a topic that has none.
  public func generation(ofLog topic: String) -> Int64? {
    guard topic.hasPrefix("\(prefix).log."), let generation = Int64(topic.dropFirst(prefix.utf8.count + 5)),
      generation > 0, log(generation: generation) == topic
    else { return nil }
    return generation
  }

  /// An empty topic: the log of this generation, above the first, is complete. Servers take no other one.
  public func mark(generation: Int64) -> String { "\(prefix).generation.\(generation)" }

  public var state: String { "\(prefix).state" }
  public var reads: String { "\(prefix).reads" }
  /// The group of all routers.
  public var routerGroup: String { "\(prefix).router" }

  public func inbox(_ server: ServerEpoch) -> String {
    inboxPrefix + "\(server.server).\(Self.hex(server.epoch))"
  }

  /// Whose inbox a topic of this name is; nil for a topic that is none.
  public func inboxOwner(of topic: String) -> ServerEpoch? {
    guard topic.hasPrefix(inboxPrefix) else { return nil }
    let rest = topic.dropFirst(inboxPrefix.count)
    guard let dot = rest.lastIndex(of: "."), dot > rest.startIndex else { return nil }
    var digits = String(rest[rest.index(after: dot)...])
    guard let epoch = digits.withUTF8({ hexadecimal(UnsafeRawBufferPointer($0)) }) else { return nil }
    return ServerEpoch(server: String(rest[..<dot]), epoch: epoch)
  }

  private var inboxPrefix: String { "\(prefix).inbox." }

  private static func hex(_ epoch: Epoch) -> String {
    var buffer = ByteBuffer(capacity: 16)
    buffer.append(hex: epoch)
    return String(decoding: buffer.bytes, as: UTF8.self)
  }
}
