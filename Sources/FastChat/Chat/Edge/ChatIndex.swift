/// Where a chat stands in the edge's table of chats that it knows right now.
struct ChatIndex: Hashable {
  var raw: Int32
  static let none = ChatIndex(raw: -1)
}
