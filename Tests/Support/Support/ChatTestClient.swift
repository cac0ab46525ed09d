/// One frame of the chat as a client got it (PROTOCOL).
public struct ChatFrame: Sendable, CustomStringConvertible {
  /// The bytes, as they came.
  public let text: String
  public let value: JSONValue

  public init(text: String) throws {
    self.text = text
    do { value = try JSONValue(parsing: text) } catch { throw TestFailure("not JSON: \(text)") }
    guard value["type"]?.string != nil else { throw TestFailure("a frame without type: \(text)") }
  }

  public subscript(key: String) -> JSONValue? { value[key] }
  public var type: String { value["type"]?.string ?? "" }
  public var id: String? { value["id"]?.string }
  public var chat: String? { value["chat"]?.string }
  public var seq: Int? { value["seq"]?.int }
  public var prev: Int? { value["prev"]?.int }
  public var code: String? { value["code"]?.string }
  /// The bytes of the body, spaces inside it included.
  public var body: String? { JSONValue.members(of: text)["body"] }
  /// Whether it is an event of a chat's log: what carries a `seq` that a cursor takes.
  public var isEvent: Bool { ["message", "edited", "deleted", "member"].contains(type) }
  public var description: String { String(text.prefix(400)) }
}

/// A chat client on one connection. All frames are kept in the order in which they came; `take` finds the
/// first one that fits and was not taken before, and reads on until there is one.
public final class ChatTestClient {
  public let socket: WebSocketTestClient
  public private(set) var received: [ChatFrame] = []
  /// The frame that answered `hello`.
  public private(set) var welcome: ChatFrame?
  private var untaken: [Int] = []
  private var requests = 0

  /// Connects, and says nothing yet.
  public init(
    port: UInt16, path: String = "/ws", headers: [String: String] = [:], receiveBuffer: Int32? = nil
  ) throws {
    socket = try WebSocketTestClient(
      port: port, path: path, headers: headers, receiveBuffer: receiveBuffer)
  }

  /// Connects, says `hello`, and has seen `welcome` and `live`.
  /// - Parameters:
  ///   - cursors: as JSON, or nil for a device that holds none.
  public static func attached(
    port: UInt16, user: String, device: String? = nil, cursors: String? = nil, log: String? = nil,
    receiveBuffer: Int32? = nil
  ) throws -> ChatTestClient {
    let client = try ChatTestClient(port: port, receiveBuffer: receiveBuffer)
    try client.hello(user: user, device: device, cursors: cursors, log: log)
    try client.take("live")
    return client
  }

  // MARK: Sending

  /// Sends one text frame.
  public func write(_ text: String) throws { try socket.send(text: text) }

  /// Says `hello` and takes `welcome`; an `error` in its place is a failure.
  @discardableResult
  public func hello(
    user: String, device: String? = nil, cursors: String? = nil, log: String? = nil
  ) throws -> ChatFrame {
    var text = "{\"type\":\"hello\",\"user\":\(JSONValue.quoted(user))"
    if let device { text += ",\"device\":\(JSONValue.quoted(device))" }
    if let log { text += ",\"log\":\(JSONValue.quoted(log))" }
    if let cursors { text += ",\"cursors\":\(cursors)" }
    try write(text + "}")
    let frame = try take("welcome or error") { ["welcome", "error"].contains($0.type) }
    guard frame.type == "welcome" else { throw TestFailure("hello of \(user): \(frame)") }
    welcome = frame
    return frame
  }

  /// An id that this object has not used before.
  public func newID() -> String {
    requests += 1
    return "t\(requests)"
  }

  /// Sends a `send` and does not wait.
  /// - Parameter body: JSON, passed as it is.
  /// - Returns: its id.
  @discardableResult
  public func post(
    to: String, id: String? = nil, body: String = "\"hello\"", retry: Bool = false
  ) throws -> String {
    let id = id ?? newID()
    let mark = retry ? ",\"retry\":true" : ""
    try write(
      "{\"type\":\"send\",\"id\":\(JSONValue.quoted(id)),\"to\":\(JSONValue.quoted(to))\(mark),\"body\":\(body)}"
    )
    return id
  }

  /// Sends a `send` and returns its `ack`.
  @discardableResult
  public func say(
    to: String, id: String? = nil, body: String = "\"hello\"", retry: Bool = false
  ) throws -> ChatFrame {
    try answer(to: post(to: to, id: id, body: body, retry: retry), type: "ack")
  }

  /// Sends a request and returns what answers it, an `error` too.
  /// - Parameter fields: of the object beside `id`, as JSON without braces.
  public func ask(_ fields: String, id: String? = nil) throws -> ChatFrame {
    let id = id ?? newID()
    try write("{\(fields),\"id\":\(JSONValue.quoted(id))}")
    return try answer(to: id)
  }

  /// As `ask`, and another type than the expected one is a failure.
  @discardableResult
  public func ask(_ fields: String, id: String? = nil, expecting type: String) throws -> ChatFrame {
    let frame = try ask(fields, id: id)
    guard frame.type == type else { throw TestFailure("\(fields): \(type) expected, not \(frame)") }
    return frame
  }

  // MARK: Waiting

  /// The first frame that fits and was not taken yet.
  @discardableResult
  public func take(
    _ what: String, _ deadline: Deadline = .usual, where fits: (ChatFrame) -> Bool
  ) throws -> ChatFrame {
    if let place = untaken.firstIndex(where: { fits(received[$0]) }) {
      return received[untaken.remove(at: place)]
    }
    do {
      while true {
        let frame = try next(deadline)
        if fits(frame) {
          untaken.removeLast()
          return frame
        }
      }
    } catch let failure as TestFailure {
      let last = received.suffix(5).map { "\n  \($0)" }.joined()
      throw TestFailure("waiting for \(what): \(failure). The last frames:\(last)")
    }
  }

  /// The next frame of this type, whatever else it says.
  @discardableResult
  public func take(_ type: String, chat: String? = nil, id: String? = nil) throws -> ChatFrame {
    try take("\(type) \(chat ?? "") \(id ?? "")") {
      $0.type == type && (chat == nil || $0.chat == chat) && (id == nil || $0.id == id)
    }
  }

  /// What answers the request `id`: messages carry ids too, and are none.
  public func answer(to id: String) throws -> ChatFrame {
    try take("an answer to \(id)") { $0.id == id && !$0.isEvent }
  }

  /// As `answer(to:)`, and another type than the expected one is a failure.
  @discardableResult
  public func answer(to id: String, type: String) throws -> ChatFrame {
    let frame = try answer(to: id)
    guard frame.type == type else { throw TestFailure("\(type) for \(id) expected, not \(frame)") }
    return frame
  }

  /// Asks the server for a `pong`: what it had written to this connection before is in `received` then.
  public func settle() throws { try ask("\"type\":\"ping\"", expecting: "pong") }

  /// Reads one frame more into `received`.
  @discardableResult
  public func next(_ deadline: Deadline = .usual) throws -> ChatFrame {
    let message = try socket.nextMessage(deadline)
    guard let text = String(validating: message, as: UTF8.self) else { throw TestFailure("not UTF-8") }
    let frame = try ChatFrame(text: text)
    untaken.append(received.count)
    received.append(frame)
    return frame
  }

  // MARK: What came

  /// The events of a chat, or of all, in the order in which they came.
  public func events(of chat: String? = nil) -> [ChatFrame] {
    received.filter { $0.isEvent && (chat == nil || $0.chat == chat) }
  }

  /// The ids of the messages of a chat, in the order in which they came.
  public func messageIDs(of chat: String) -> [String] {
    events(of: chat).filter { $0.type == "message" }.map { $0.id ?? "" }
  }

  /// Ends the connection without a word, as a device that lost its network.
  public func drop() { socket.socket.close() }
}
