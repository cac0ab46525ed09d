import JSON

/// A request whose outcome counts: it keeps its id until it is settled, over broken connections and
/// restarts, so that it happens once however often it is sent.
struct Pending: Equatable {
  let id: String
  /// Whose order it keeps.
  let chat: String
  /// The frame without its closing brace.
  let text: String
  /// A message, which can be looked for in the history; all else is a change of members, a room or a message.
  let isMessage: Bool
  /// When it was first sent, before that when it was made: the server's time, in milliseconds since 1970.
  var firstSent: Int64
  /// It may have happened: it was sent, and what became of it is not known.
  var isDoubtful = false
  /// It is looked for in the chat's history before it is sent again.
  var needsLookup = false
  /// Refused by the server's edge although it is doubtful: whether it happened, the history says.
  var refusal: ClientError?
  /// Answers that said "not now".
  var tries = 0
}

/// One thing that a consumer's confirmation changes in what is kept.
enum Mark: Equatable {
  case log(String)
  /// Cursors stand for all chats of the user: the device is one that comes back.
  case returning
  case cursor(chat: String, seq: Int64)
  /// An own message at `seq`, above the cursor, that the consumer knows of.
  case own(chat: String, seq: Int64)
  case settled(id: String)
  case forget(chat: String)
  /// All chats.
  case forgetAll
}

/// What a client keeps for its next start, as the consumer has confirmed it: never ahead of that.
struct KeptState: Equatable {
  /// A file of another format is refused, not guessed at.
  private static let version: Int64 = 1

  var user: String
  var device: String
  var log: String?
  var isReturning = false
  var cursors: [String: Int64] = [:]
  var own: [String: OwnSeqs] = [:]
  /// In the order in which they were made.
  var pending: [Pending] = []

  init(user: String, device: String) {
    self.user = user
    self.device = device
  }

  mutating func apply(_ mark: Mark) {
    switch mark {
    case .log(let id): log = id
    case .returning: isReturning = true
    case .cursor(let chat, let seq):
      cursors[chat] = seq
      own[chat]?.drop(upTo: seq)
      if own[chat]?.isEmpty == true { own[chat] = nil }
    case .own(let chat, let seq): own[chat, default: OwnSeqs()].insert(seq)
    case .settled(let id):
      if let place = pending.firstIndex(where: { $0.id == id }) { pending.remove(at: place) }
    case .forget(let chat):
      cursors[chat] = nil
      own[chat] = nil
    case .forgetAll:
      cursors = [:]
      own = [:]
    }
  }

  // MARK: As bytes

  func encoded() -> [UInt8] {
    var text = "{\"fastchat\":\(Self.version),\"user\":\(quoted(user)),\"device\":\(quoted(device))"
    if let log { text += ",\"log\":\(quoted(log))" }
    text += ",\"returning\":\(isReturning),\"chats\":["
    let chats = Set(cursors.keys).union(own.keys).sorted()
    text += chats.map { chat in
      let cursor = cursors[chat].map { ",\"cursor\":\($0)" } ?? ""
      let seqs = own[chat].map { ",\"own\":[\($0.seqs.map(String.init).joined(separator: ","))]" } ?? ""
      return "{\"chat\":\(quoted(chat))\(cursor)\(seqs)}"
    }.joined(separator: ",")
    text += "],\"pending\":["
    text += pending.map { request in
      "\n{\"id\":\(quoted(request.id)),\"chat\":\(quoted(request.chat)),\"since\":\(request.firstSent)"
        + ",\"message\":\(request.isMessage),\"request\":\(request.text)}}"
    }.joined(separator: ",")
    return Array((text + "]}\n").utf8)
  }

  /// - Throws: `storage` where the bytes are no state of ours.
  init(_ bytes: [UInt8]) throws(ClientError) {
    self.init(user: "", device: "")
    var version: Int64 = 0
    guard bytes.withUnsafeBytes({ read($0, version: &version) }) else {
      throw ClientError(
        .storage, "what is kept is damaged, or not of this program",
        advice: "move the file away to begin as a new device")
    }
    guard version == Self.version else {
      throw ClientError(
        .storage, "what is kept is of another version (\(version))", advice: "use the program that wrote it")
    }
  }

  private mutating func read(_ bytes: UnsafeRawBufferPointer, version: inout Int64) -> Bool {
    do throws(JSONError) {
      version = try read(bytes)
      return true
    } catch {
      return false
    }
  }

  private mutating func read(_ bytes: UnsafeRawBufferPointer) throws(JSONError) -> Int64 {
    var version: Int64 = 0
    var reader = JSONReader(bytes, maxDepth: JSONReader.deepest)
    try reader.beginObject()
    while let key = try reader.nextKey() {
      switch key.decoded {
      case "fastchat": version = try reader.integer()
      case "user": user = try reader.string().decoded
      case "device": device = try reader.string().decoded
      case "log": log = try reader.string().decoded
      case "returning": isReturning = try reader.bool()
      case "chats":
        try reader.beginArray()
        while try reader.nextElement() { try readChat(&reader) }
      case "pending":
        try reader.beginArray()
        while try reader.nextElement() { pending.append(try Self.request(&reader)) }
      default: _ = try reader.value()
      }
    }
    try reader.end()
    return version
  }

  private mutating func readChat(_ reader: inout JSONReader) throws(JSONError) {
    var chat = ""
    var cursor: Int64?
    var seqs = OwnSeqs()
    try reader.beginObject()
    while let key = try reader.nextKey() {
      switch key.decoded {
      case "chat": chat = try reader.string().decoded
      case "cursor": cursor = try reader.integer()
      case "own":
        try reader.beginArray()
        while try reader.nextElement() { seqs.insert(try reader.integer()) }
      default: _ = try reader.value()
      }
    }
    cursors[chat] = cursor
    if !seqs.isEmpty { own[chat] = seqs }
  }

  private static func request(_ reader: inout JSONReader) throws(JSONError) -> Pending {
    var id = ""
    var chat = ""
    var since: Int64 = 0
    var isMessage = true
    var text = ""
    try reader.beginObject()
    while let key = try reader.nextKey() {
      switch key.decoded {
      case "id": id = try reader.string().decoded
      case "chat": chat = try reader.string().decoded
      case "since": since = try reader.integer()
      case "message": isMessage = try reader.bool()
      case "request": text = String(decoding: try reader.value().dropLast(), as: UTF8.self)
      default: _ = try reader.value()
      }
    }
    // It may have been sent before the program ended: nobody wrote that down, and a repeat does no harm.
    return Pending(
      id: id, chat: chat, text: text, isMessage: isMessage, firstSent: since, isDoubtful: true)
  }
}
