/// The names of PROTOCOL.
public enum Names {
  /// The most bytes of a user id or a room's name.
  public static let longest = 64

  /// Whether the text may be a user id, a device or the name of a room: 1-64 of `A-Z a-z 0-9 . _ - @`.
  public static func isName(_ text: some StringProtocol) -> Bool {
    (1...longest).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2E, 0x5F, 0x2D, 0x40: true
        default: false
        }
      }
  }

  /// The direct chat of two users: the two in byte order.
  public static func direct(_ one: String, _ other: String) -> String {
    one.utf8.lexicographicallyPrecedes(other.utf8) ? "dm:\(one):\(other)" : "dm:\(other):\(one)"
  }

  /// The other user of a direct chat (oneself in the chat with oneself); nil for a room.
  public static func peer(in chat: String, of user: String) -> String? {
    guard chat.hasPrefix("dm:") else { return nil }
    let parts = chat.split(separator: ":")
    guard parts.count == 3 else { return nil }
    return String(parts[1] == user ? parts[2] : parts[1])
  }

  /// The chat that a `to` of PROTOCOL names.
  static func chat(to: String, user: String) -> String {
    to.hasPrefix("user:") ? direct(user, String(to.dropFirst(5))) : to
  }
}
