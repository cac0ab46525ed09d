import JSON

/// A frame of the server, read. Fields that a frame lacks are at their defaults.
struct ServerFrame {
  enum Kind {
    case welcome, live, message, edited, deleted, member, reset, read, typing, presence
    case ack, ok, error, history, members, chats, pong
    /// A word of a newer server.
    case unknown
  }

  var kind = Kind.unknown
  var id: String?
  var chat = ""
  var seq: Int64 = 0
  var prev: Int64?
  var of: Int64 = 0
  var head: Int64 = 0
  var time: Int64 = 0
  var from = ""
  var user = ""
  var by = ""
  var role: String?
  var body: String?
  var edited: Int64?
  var isDeleted = false
  var isOn = false
  var code = ""
  var message = ""
  var retry: Int64 = 0
  var log = ""
  var session = ""
  var device = ""
  var server = ""
  var heartbeat: Int64 = 25
  var frameBytes = 65_536
  var dedupe: Int64 = 300_000
  var rows: [ChatRow] = []
  var messages: [ServerFrame] = []
  var memberRows: [MembersPage.Member] = []
  var more = false
  /// As it came.
  var text: String

  /// Nil where the bytes are no object with a `type`, or a field is not what PROTOCOL says.
  init?(_ bytes: UnsafeRawBufferPointer) {
    text = String(decoding: bytes, as: UTF8.self)
    do throws(JSONError) {
      var reader = JSONReader(bytes, maxDepth: JSONReader.deepest)
      var type: String?
      try read(&reader, type: &type)
      try reader.end()
      guard let type else { return nil }
      kind = Self.kinds[type] ?? .unknown
    } catch {
      return nil
    }
  }

  /// A row of a history, which has neither type nor chat.
  private init(row bytes: UnsafeRawBufferPointer) throws(JSONError) {
    text = String(decoding: bytes, as: UTF8.self)
    var reader = JSONReader(bytes, maxDepth: JSONReader.deepest)
    var type: String?
    try read(&reader, type: &type)
    kind = .message
  }

  private static let kinds: [String: Kind] = [
    "welcome": .welcome, "live": .live, "message": .message, "edited": .edited, "deleted": .deleted,
    "member": .member, "reset": .reset, "read": .read, "typing": .typing, "presence": .presence, "ack": .ack,
    "ok": .ok, "error": .error, "history": .history, "members": .members, "chats": .chats, "pong": .pong,
  ]

  private mutating func read(_ reader: inout JSONReader, type: inout String?) throws(JSONError) {
    try reader.beginObject()
    while let key = try reader.nextKey() {
      switch key.decoded {
      case "type": type = try reader.string().decoded
      case "id": id = try reader.string().decoded
      case "chat": chat = try reader.string().decoded
      case "seq": seq = try reader.integer()
      case "prev": prev = try reader.integer()
      case "of": of = try reader.integer()
      case "head": head = try reader.integer()
      case "time": time = try reader.integer()
      case "from": from = try reader.string().decoded
      case "user": user = try reader.string().decoded
      case "by": by = try reader.string().decoded
      case "role": role = try Self.optionalString(&reader)
      case "body": body = String(decoding: try reader.value(), as: UTF8.self)
      case "edited": edited = try reader.integer()
      case "deleted": isDeleted = try reader.bool()
      case "on": isOn = try reader.bool()
      case "code": code = try reader.string().decoded
      case "message": message = try reader.string().decoded
      case "retry": retry = try reader.integer()
      case "log": log = try reader.string().decoded
      case "session": session = try reader.string().decoded
      case "device": device = try reader.string().decoded
      case "server": server = try reader.string().decoded
      case "heartbeat": heartbeat = try reader.integer()
      case "more": more = try reader.bool()
      case "limits": try readLimits(&reader)
      case "chats": try readRows(&reader)
      case "messages":
        try reader.beginArray()
        while try reader.nextElement() { messages.append(try ServerFrame(row: try reader.value())) }
      case "members":
        try reader.beginArray()
        while try reader.nextElement() { memberRows.append(try Self.member(&reader)) }
      default: _ = try reader.value()
      }
    }
  }

  private static func optionalString(_ reader: inout JSONReader) throws(JSONError) -> String? {
    if try reader.kind() == .null {
      try reader.null()
      return nil
    }
    return try reader.string().decoded
  }

  private mutating func readLimits(_ reader: inout JSONReader) throws(JSONError) {
    try reader.beginObject()
    while let key = try reader.nextKey() {
      if key.equals("frame") {
        frameBytes = Int(try reader.integer())
      } else if key.equals("dedupe") {
        dedupe = try reader.integer()
      } else {
        _ = try reader.value()
      }
    }
  }

  private mutating func readRows(_ reader: inout JSONReader) throws(JSONError) {
    try reader.beginArray()
    while try reader.nextElement() {
      try reader.beginObject()
      var chat = ""
      var head: Int64 = 0
      var read: Int64 = 0
      var cursor: Int64?
      while let key = try reader.nextKey() {
        switch key.decoded {
        case "chat": chat = try reader.string().decoded
        case "head": head = try reader.integer()
        case "read": read = try reader.integer()
        case "cursor": cursor = try reader.integer()
        default: _ = try reader.value()
        }
      }
      rows.append(ChatRow(chat: chat, head: head, read: read, cursor: cursor))
    }
  }

  private static func member(_ reader: inout JSONReader) throws(JSONError) -> MembersPage.Member {
    try reader.beginObject()
    var user = ""
    var role = ""
    while let key = try reader.nextKey() {
      switch key.decoded {
      case "user": user = try reader.string().decoded
      case "role": role = try reader.string().decoded
      default: _ = try reader.value()
      }
    }
    return MembersPage.Member(user: user, role: role)
  }
}

// MARK: - What the consumer is told of it

extension ServerFrame {
  /// The message that it is, a row of a history of `chat` too.
  func asMessage(in chat: String) -> Message {
    Message(
      chat: chat, seq: seq, from: from, id: id, time: time, body: body.map { Body(unchecked: $0) },
      edited: edited,
      isDeleted: isDeleted, json: text)
  }

  /// A row of a history as the frame that it would have been.
  func asFrame(in chat: String) -> ServerFrame {
    var frame = self
    frame.chat = chat
    frame.text = "{\"type\":\"message\",\"chat\":\(quoted(chat))," + text.dropFirst()
    return frame
  }

  /// The event of a chat's log that it is; nil for any other frame.
  var logEvent: ClientEvent? {
    switch kind {
    case .message: .message(asMessage(in: chat))
    case .edited:
      .edited(
        Edit(
          chat: chat, seq: seq, of: of, from: from, time: time, body: Body(unchecked: body ?? "null"),
          json: text))
    case .deleted: .deleted(Deletion(chat: chat, seq: seq, of: of, from: from, time: time, json: text))
    case .member: .member(MemberChange(chat: chat, seq: seq, user: user, role: role, by: by, json: text))
    default: nil
    }
  }
}
