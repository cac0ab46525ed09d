public import Chat
import JSON

/// What a server sends, taken apart: the fields that any of its frames has.
public struct ServerFrame {
  public enum Kind: Sendable {
    case welcome, live, message, member, ack, ok, error, history, chats, members, reset, read, typing, pong
    case unknown
  }

  public struct ChatRow {
    public var chat = ""
    public var head: Seq = 0
    /// Of `chats` only.
    public var cursor: Seq?
  }

  public struct Message {
    public var seq: Seq = 0
    public var prev: Seq = 0
    public var from = ""
    public var id = ""
    public var body = ""
  }

  public var kind = Kind.unknown
  public var id = ""
  public var chat = ""
  public var seq: Seq = 0
  public var prev: Seq = 0
  public var head: Seq = 0
  public var from = ""
  public var user = ""
  /// Empty where it is null or absent.
  public var role = ""
  public var body = ""
  public var code = ""
  public var log = ""
  /// Milliseconds to wait; 0 where nothing is said.
  public var retry: Int64 = 0
  public var hasMore = false
  public var rows: [ChatRow] = []
  public var messages: [Message] = []
  public var memberNames: [String] = []

  /// Nil where the text is not a frame of the protocol.
  public init?(_ text: UnsafeRawBufferPointer) {
    do throws(JSONError) {
      var reader = JSONReader(text)
      try reader.beginObject()
      while let key = try reader.nextKey() { try take(key, &reader) }
      try reader.end()
    } catch {
      return nil
    }
  }

  private mutating func take(_ key: JSONText, _ reader: inout JSONReader) throws(JSONError) {
    if key.equals("type") {
      kind = Self.kind(try reader.string())
    } else if key.equals("chat") {
      chat = try reader.string().text
    } else if key.equals("seq") {
      seq = try reader.integer()
    } else if key.equals("prev") {
      prev = try reader.integer()
    } else if key.equals("from") {
      from = try reader.string().text
    } else if key.equals("id") {
      id = try reader.string().text
    } else if key.equals("body") {
      body = String(utf8: try reader.value())
    } else if key.equals("user") {
      user = try reader.string().text
    } else if key.equals("role") {
      if try reader.kind() == .string { role = try reader.string().text } else { try reader.null() }
    } else if key.equals("head") {
      head = try reader.integer()
    } else if key.equals("code") {
      code = try reader.string().text
    } else if key.equals("retry") {
      retry = try reader.integer()
    } else if key.equals("more") {
      hasMore = try reader.bool()
    } else if key.equals("log") {
      log = try reader.string().text
    } else if key.equals("chats") {
      try reader.beginArray()
      while try reader.nextElement() { rows.append(try Self.row(&reader)) }
    } else if key.equals("messages") {
      try reader.beginArray()
      while try reader.nextElement() { messages.append(try Self.message(&reader)) }
    } else if key.equals("members") {
      try reader.beginArray()
      while try reader.nextElement() { try takeMember(&reader) }
    } else {
      _ = try reader.value()
    }
  }

  private static func row(_ reader: inout JSONReader) throws(JSONError) -> ChatRow {
    var row = ChatRow()
    try reader.beginObject()
    while let key = try reader.nextKey() {
      if key.equals("chat") {
        row.chat = try reader.string().text
      } else if key.equals("head") {
        row.head = try reader.integer()
      } else if key.equals("cursor") {
        row.cursor = try reader.integer()
      } else {
        _ = try reader.value()
      }
    }
    return row
  }

  private static func message(_ reader: inout JSONReader) throws(JSONError) -> Message {
    var message = Message()
    try reader.beginObject()
    while let key = try reader.nextKey() {
      if key.equals("seq") {
        message.seq = try reader.integer()
      } else if key.equals("prev") {
        message.prev = try reader.integer()
      } else if key.equals("from") {
        message.from = try reader.string().text
      } else if key.equals("id") {
        message.id = try reader.string().text
      } else if key.equals("body") {
        message.body = String(utf8: try reader.value())
      } else {
        _ = try reader.value()
      }
    }
    return message
  }

  private mutating func takeMember(_ reader: inout JSONReader) throws(JSONError) {
    try reader.beginObject()
    while let key = try reader.nextKey() {
      if key.equals("user") {
        memberNames.append(try reader.string().text)
      } else {
        _ = try reader.value()
      }
    }
  }

  private static func kind(_ name: JSONText) -> Kind {
    if name.equals("message") { return .message }
    if name.equals("ack") { return .ack }
    if name.equals("member") { return .member }
    if name.equals("ok") { return .ok }
    if name.equals("error") { return .error }
    if name.equals("welcome") { return .welcome }
    if name.equals("live") { return .live }
    if name.equals("history") { return .history }
    if name.equals("chats") { return .chats }
    if name.equals("members") { return .members }
    if name.equals("reset") { return .reset }
    if name.equals("read") { return .read }
    if name.equals("typing") { return .typing }
    return name.equals("pong") ? .pong : .unknown
  }
}

extension JSONText {
  /// The text; names of the simulation need no escapes.
  fileprivate var text: String { String(utf8: raw) }
}
