import JSON

/// A request of PROTOCOL, as its frame's JSON.
struct RequestText {
  enum Kind {
    case kept(Pending)
    case question(id: String, text: String)
    case read(chat: String, seq: Int64)
    case typing(chat: String, isOn: Bool)
  }

  let kind: Kind

  private static let changes: Set<String> = [
    "send", "edit", "delete", "create", "join", "leave", "invite", "remove",
  ]
  private static let questions: Set<String> = ["history", "presence", "members", "chats", "refresh", "ping"]

  static func send(_ body: Body, to: String, id: String) -> Pending {
    Pending(
      id: id, chat: to,
      text: "{\"type\":\"send\",\"id\":\"\(id)\",\"to\":\(quoted(to)),\"body\":\(body.json)",
      isMessage: true, firstSent: 0)
  }

  static func change(_ type: String, _ chat: String, id: String, _ fields: String) -> Pending {
    Pending(
      id: id, chat: chat, text: "{\"type\":\"\(type)\",\"id\":\"\(id)\",\"chat\":\(quoted(chat))\(fields)",
      isMessage: false, firstSent: 0)
  }

  /// Reads a frame as a script wrote it.
  init(_ json: String) throws(ClientError) {
    var text = json
    while let last = text.last, last.isWhitespace { text.removeLast() }
    while let first = text.first, first.isWhitespace { text.removeFirst() }
    var copy = text
    guard let fields = copy.withUTF8({ Fields(UnsafeRawBufferPointer($0)) }), let type = fields.type else {
      throw ClientError(.configuration, "it is no JSON object with a type")
    }
    let id = fields.id ?? "\(String(UInt64.random(in: 0...UInt64.max), radix: 16))"
    guard (1...64).contains(id.utf8.count) else {
      throw ClientError(.configuration, "an id has 1 to 64 bytes")
    }
    var open = String(text.dropLast())
    if fields.id == nil { open += "\(fields.isEmpty ? "" : ",")\"id\":\(quoted(id))" }
    if Self.changes.contains(type) {
      guard let chat = type == "send" ? fields.to : fields.chat else {
        throw ClientError(.configuration, "\(type) lacks \(type == "send" ? "to" : "chat")")
      }
      guard !fields.isRetry else {
        throw ClientError(.configuration, "retry is said by the client itself, where it is due")
      }
      let request = Pending(id: id, chat: chat, text: open, isMessage: type == "send", firstSent: 0)
      kind = .kept(request)
    } else if Self.questions.contains(type) || (type == "read" && fields.id != nil) {
      kind = .question(id: id, text: open + "}")
    } else if type == "read", let chat = fields.chat, let seq = fields.seq {
      kind = .read(chat: chat, seq: seq)
    } else if type == "typing", let chat = fields.chat {
      kind = .typing(chat: chat, isOn: fields.isOn)
    } else {
      throw ClientError(
        .configuration, type == "hello" ? "hello is said by the client itself" : "'\(type)' is no request")
    }
  }

  /// What of a frame decides its way.
  private struct Fields {
    var type: String?
    var id: String?
    var chat: String?
    var to: String?
    var seq: Int64?
    var isOn = false
    var isRetry = false
    var isEmpty = true

    init?(_ bytes: UnsafeRawBufferPointer) {
      do throws(JSONError) {
        var reader = JSONReader(bytes)
        try reader.beginObject()
        while let key = try reader.nextKey() {
          isEmpty = false
          switch key.decoded {
          case "type": type = try reader.string().decoded
          case "id": id = try reader.string().decoded
          case "chat": chat = try reader.string().decoded
          case "to": to = try reader.string().decoded
          case "seq": seq = try reader.integer()
          case "on": isOn = try reader.bool()
          case "retry":
            _ = try reader.value()
            isRetry = true
          default: _ = try reader.value()
          }
        }
        try reader.end()
      } catch {
        return nil
      }
    }
  }
}

extension Pending {
  /// The same, in the chat that its `to` names.
  func inLane(of user: String) -> Pending {
    Pending(
      id: id, chat: Names.chat(to: chat, user: user), text: text, isMessage: isMessage, firstSent: firstSent)
  }
}
