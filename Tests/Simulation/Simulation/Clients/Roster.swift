import Chat

/// Everybody and every chat that a run knows, by number: names are looked up once a frame.
///
/// Names are kept within 15 bytes by those who make them, so that a `String` of one needs no memory.
public final class Roster {
  public struct ChatEntry {
    public let name: String
    public let partition: Int
    /// Both users of a direct chat (the same one twice where somebody writes to himself); nil of a room.
    public let pair: (Int, Int)?

    public var isRoom: Bool { pair == nil }
  }

  public let partitions: Int32
  public private(set) var users: [String] = []
  public private(set) var chats: [ChatEntry] = []
  private var userNumbers: [String: Int] = [:]
  private var chatNumbers: [String: Int] = [:]

  public init(partitions: Int32) { self.partitions = partitions }

  public func user(_ name: String) -> Int {
    if let number = userNumbers[name] { return number }
    users.append(name)
    userNumbers[name] = users.count - 1
    return users.count - 1
  }

  public func chat(_ name: String) -> Int {
    if let number = chatNumbers[name] { return number }
    var pair: (Int, Int)?
    if name.hasPrefix("dm:") {
      let both = name.dropFirst(3).split(separator: ":")
      precondition(both.count == 2, "not a chat's id: \(name)")
      pair = (user(String(both[0])), user(String(both[1])))
    }
    var text = name
    let partition = text.withUTF8 { Partition.of(UnsafeRawBufferPointer($0), count: partitions) }
    chats.append(ChatEntry(name: name, partition: Int(partition), pair: pair))
    chatNumbers[name] = chats.count - 1
    return chats.count - 1
  }

  /// The direct chat of two users.
  public func direct(_ a: Int, _ b: Int) -> Int {
    let (first, second) = users[a] <= users[b] ? (a, b) : (b, a)
    return chat("dm:\(users[first]):\(users[second])")
  }

  /// The number of a chat that is known already.
  public func knownChat(_ name: String) -> Int? { chatNumbers[name] }

  public func isDirect(_ chat: Int, of user: Int) -> Bool {
    guard let pair = chats[chat].pair else { return false }
    return pair.0 == user || pair.1 == user
  }
}

extension String {
  /// The text of UTF-8 bytes.
  init(utf8 bytes: UnsafeRawBufferPointer) { self.init(decoding: bytes, as: UTF8.self) }
}
