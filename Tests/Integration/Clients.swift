import Glibc
import Support

extension ServerProcess {
  /// A client that said `hello` and is `live`.
  func attach(
    _ user: String, _ device: String? = nil, cursors: String? = nil, log: String? = nil,
    receiveBuffer: Int32? = nil
  ) throws -> ChatTestClient {
    try ChatTestClient.attached(
      port: port, user: user, device: device, cursors: cursors, log: log, receiveBuffer: receiveBuffer)
  }

  /// A client that is connected and said nothing.
  func connect() throws -> ChatTestClient { try ChatTestClient(port: port) }
}

extension ChatTestClient {
  /// Makes a public room and is its owner.
  func create(_ room: String, name: String = "A room") throws {
    try ask(
      #""type":"create","chat":"\#(room)","name":\#(JSONValue.quoted(name)),"public":true"#, expecting: "ok")
  }

  func join(_ room: String) throws { try ask(#""type":"join","chat":"\#(room)""#, expecting: "ok") }

  func leave(_ room: String) throws { try ask(#""type":"leave","chat":"\#(room)""#, expecting: "ok") }

  /// One page of `history`.
  func history(_ chat: String, _ fields: String = "") throws -> (messages: [JSONValue], more: Bool) {
    let page = try ask(
      #""type":"history","chat":"\#(chat)"\#(fields.isEmpty ? "" : ",")\#(fields)"#, expecting: "history")
    guard page.chat == chat, let messages = page["messages"]?.array, let more = page["more"]?.bool else {
      throw TestFailure("a history without its fields: \(page)")
    }
    return (messages, more)
  }

  /// Waits until the view has what was acknowledged: in a cluster an ack says that it is in the log, and history,
  /// heads and read marks follow (PROTOCOL).
  func waitUntilStored(_ seq: Int, in chat: String) throws {
    let deadline = Deadline.usual
    while try history(chat, #""after":\#(seq - 1),"limit":1"#).messages.first?.seq != seq {
      guard !deadline.hasPassed else { throw TestFailure("\(seq) of \(chat) is not stored") }
      usleep(30_000)
    }
  }

  /// As `say`, and waits until the view has it too: who attaches behind it is handed it.
  @discardableResult
  func store(to: String, id: String? = nil) throws -> ChatFrame {
    let ack = try say(to: to, id: id)
    try waitUntilStored(ack.seq!, in: ack.chat!)
    return ack
  }

  /// The whole past of a chat, read forward in pages of `limit`.
  func wholeHistory(_ chat: String, limit: Int = 100) throws -> [JSONValue] {
    var all: [JSONValue] = []
    while true {
      let page = try history(chat, #""after":\#(all.last?["seq"]?.int ?? 0),"limit":\#(limit)"#)
      all += page.messages
      if !page.more { return all }
      guard !page.messages.isEmpty else { throw TestFailure("more, and nothing on the page") }
    }
  }

  /// The row of a chat in a list of chats.
  func row(_ chat: String, in list: ChatFrame? = nil) throws -> JSONValue {
    guard let row = (list ?? welcome)?["chats"]?.array?.first(where: { $0["chat"]?.string == chat }) else {
      throw TestFailure("\(chat) is not listed in \(list ?? welcome!)")
    }
    return row
  }

  /// Waits for the message with this id.
  @discardableResult
  func message(_ id: String) throws -> ChatFrame { try take("message", id: id) }

  /// The frame that refuses a request.
  func refusal(_ fields: String) throws -> String? {
    let frame = try ask(fields, expecting: "error")
    guard frame["message"]?.string?.isEmpty == false else { throw TestFailure("no words in \(frame)") }
    return frame.code
  }
}

extension JSONValue {
  var ids: String? { self["id"]?.string }
  var seq: Int? { self["seq"]?.int }
}

/// Every name of the alphabet that a user may have, at its full length of 64.
let longestName = "AZaz09._-@" + String(repeating: "n", count: 54)

/// A chat of two users, the two in byte order.
func direct(_ one: String, _ other: String) -> String {
  one.utf8.lexicographicallyPrecedes(other.utf8) ? "dm:\(one):\(other)" : "dm:\(other):\(one)"
}
