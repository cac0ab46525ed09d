import Client
import Glibc

/// What a person types and sees: the chat he is in, his commands, what others say.
final class Conversation {
  enum Taken { case nothing, underWay, quit }

  /// Messages that are shown when a chat is entered, and by `/history` without a number.
  private static let historyCount = 20
  private static let historyMax = 100

  private let options: ClientOptions
  private let client: ChatClient
  private let inbox: Inbox
  private let screen: Screen
  private var chat: String?
  private var rows: [String: ChatRow] = [:]
  /// Messages that were told to wait: id -> text.
  private var waiting: [String: String] = [:]
  private var isConnected = false
  /// What was said last of the connection.
  private var said = ""
  private var last: Task<Void, Never>?

  init(_ options: ClientOptions, _ client: ChatClient, _ inbox: Inbox, _ screen: Screen) {
    self.options = options
    self.client = client
    self.inbox = inbox
    self.screen = screen
    if screen.isInteractive {
      screen.note("you are \(client.user) on \(options.address); /help says what can be typed")
    }
  }

  // MARK: What is typed

  func take(_ line: String) -> Taken {
    let text = String(line.drop { $0.isWhitespace })
    guard !text.isEmpty else { return .nothing }
    guard text.hasPrefix("/"), !text.hasPrefix("//") else {
      return say(text.hasPrefix("//") ? String(text.dropFirst()) : line)
    }
    let words = text.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
    let argument = words.count > 1 ? words[1] : nil
    switch words[0] {
    case "/help": return help()
    case "/quit", "/exit": return .quit
    case "/rooms": return rooms()
    case "/join", "/dm", "/create":
      guard let argument else { return tell("\(words[0]) needs a name") }
      return words[0] == "/create" ? create(options.chat(argument)) : enterNamed(argument, words[0])
    case "/leave": return argument.map { leave(options.chat($0)) } ?? here { leave($0) }
    case "/who": return here { who($0) }
    case "/history":
      let count = argument.flatMap { Int($0) } ?? Self.historyCount
      guard (1...Self.historyMax).contains(count) else {
        return tell("/history takes a number from 1 to \(Self.historyMax)")
      }
      return here { self.history($0, count) }
    default:
      return tell(
        "there is no \(words[0]); /help says what there is. For a text that begins with /, write //")
    }
  }

  private func tell(_ line: String) -> Taken {
    screen.note(line)
    return .nothing
  }

  private func here(_ body: (String) -> Taken) -> Taken {
    guard let chat else { return tell("you are in no chat: /join ROOM, /dm USER or /create NAME") }
    return body(chat)
  }

  private func say(_ text: String) -> Taken {
    here { chat in
      do throws(ClientError) {
        let id = try client.enqueue(Body(text: text), to: chat)
        // While it connects for the first time there is nothing to tell yet.
        if !client.isLive, !said.isEmpty {
          waiting[id] = text
          screen.note("waits for a connection: \(text)")
        }
        return .nothing
      } catch {
        return tell(error.description)
      }
    }
  }

  private func help() -> Taken {
    screen.show([
      "  /join ROOM     join a public room and enter it", "  /dm USER       talk to somebody",
      "  /create NAME   make a public room and enter it", "  /leave [ROOM]  leave the room",
      "  /history [N]   the last messages of this chat", "  /who           its members",
      "  /rooms         all your chats", "  /quit          end",
    ])
    return .nothing
  }

  // MARK: Chats

  /// Goes into a chat; true where something is under way.
  func enter(_ chat: String, joins: Bool) -> Bool {
    self.chat = chat
    screen.setPrompt("\(name(chat))> ")
    let isRoom = chat.hasPrefix("room:")
    let (client, inbox, title, user) = (client, inbox, name(chat), options.user)
    run(isChange: joins && isRoom) {
      if joins, isRoom { try await client.join(chat) }
      let page = try await client.history(of: chat, .newest, limit: Self.historyCount)
      let lines = page.messages.map { Self.line($0, user) }
      inbox.post(.show(["--- \(title)\(page.messages.isEmpty ? ": nothing was said yet" : "")"] + lines))
    }
    return true
  }

  private func enterNamed(_ word: String, _ command: String) -> Taken {
    let chat = options.chat(
      command == "/dm" && !word.contains(":") && !word.hasPrefix("@") ? "@" + word : word)
    guard let bare = chat.split(separator: ":").last, Names.isName(bare) else {
      return tell("'\(word)' is no name")
    }
    return enter(chat, joins: command == "/join") ? .underWay : .nothing
  }

  private func create(_ room: String) -> Taken {
    guard room.hasPrefix("room:"), Names.isName(room.dropFirst(5)) else {
      return tell("that is no name of a room")
    }
    chat = room
    screen.setPrompt("\(name(room))> ")
    let (client, inbox, title) = (client, inbox, name(room))
    run(isChange: true) {
      try await client.create(room, name: String(room.dropFirst(5)), isPublic: true)
      inbox.post(.show(["--- \(title) is made, and you are in it"]))
    }
    return .underWay
  }

  private func leave(_ room: String) -> Taken {
    guard room.hasPrefix("room:") else { return tell("only a room can be left") }
    if chat == room {
      chat = nil
      screen.setPrompt("> ")
    }
    let (client, inbox, title) = (client, inbox, name(room))
    run(isChange: true) {
      try await client.leave(room)
      inbox.post(.show(["--- you left \(title)"]))
    }
    return .underWay
  }

  private func who(_ chat: String) -> Taken {
    guard chat.hasPrefix("room:") else {
      return tell("\(options.user) and \(Names.peer(in: chat, of: options.user) ?? "")")
    }
    let (client, inbox, title) = (client, inbox, name(chat))
    run {
      let page = try await client.members(of: chat)
      let names = page.members.map { $0.role == "member" ? $0.user : "\($0.user) (\($0.role))" }
      inbox.post(
        .show(["--- in \(title): " + names.joined(separator: ", ") + (page.hasMore ? ", and more" : "")]))
    }
    return .underWay
  }

  private func rooms() -> Taken {
    guard !rows.isEmpty else { return tell("you are in no chat yet") }
    screen.show(
      rows.values.sorted { $0.chat < $1.chat }.map { row in
        "  \(name(row.chat))\(row.head > row.read ? "  (unread)" : "")"
      })
    return .nothing
  }

  private func history(_ chat: String, _ count: Int) -> Taken {
    let (client, inbox, title, user) = (client, inbox, name(chat), options.user)
    run {
      let page = try await client.history(of: chat, .newest, limit: count)
      inbox.post(
        .show(["--- \(title), the last \(page.messages.count)"] + page.messages.map { Self.line($0, user) }))
    }
    return .underWay
  }

  /// Runs a question beside the keyboard, and says what became of it.
  private func run(isChange: Bool = false, _ body: @escaping @Sendable () async throws -> Void) {
    let inbox = inbox
    let before = isChange ? nil : last
    // What changes something is handed to the client before the next line is read: what is said in a room
    // comes behind the joining. A question waits for the changes before it.
    last = Task.immediate {
      if let before { await before.value }
      do {
        try await body()
      } catch {
        inbox.post(.show(["* " + ((error as? ClientError)?.description ?? "\(error)")]))
      }
      inbox.post(.done)
    }
  }

  // MARK: What comes

  func show(_ event: ClientEvent) {
    switch event {
    case .connection(let state): show(state)
    case .message(let message):
      note(message.chat, message.seq)
      screen.show([prefix(message.chat) + Self.line(message, options.user)])
    case .edited(let edit):
      screen.show([prefix(edit.chat) + "\(edit.from) changed a message to: \(Self.text(edit.body))"])
    case .deleted(let deletion): screen.show([prefix(deletion.chat) + "\(deletion.from) deleted a message"])
    case .member(let change):
      note(change.chat, change.seq)
      guard change.user != options.user else {
        if change.role == nil { rows[change.chat] = nil }
        return
      }
      screen.show([prefix(change.chat) + "\(change.user) \(change.role == nil ? "left" : "is here")"])
    case .sent(let receipt):
      note(receipt.chat, receipt.seq)
      if let text = waiting.removeValue(forKey: receipt.id) { screen.note("sent: \(text)") }
    case .refused(let refusal):
      waiting[refusal.id] = nil
      screen.note("refused: \(refusal.error)")
    case .chats(let list, _): for row in list { rows[row.chat] = row }
    case .left(let chat): rows[chat] = nil
    case .reset(let chat, _, _):
      screen.show([prefix(chat) + "too much happened meanwhile; /history shows the newest of it"])
    case .otherLog: screen.note("the server's data is another than last time")
    case .read, .typing, .presence, .storage: break
    }
  }

  /// A chat that has an event is one of ours.
  private func note(_ chat: String, _ seq: Int64) {
    guard seq > 0 else { return }
    rows[chat] = rows[chat]?.with(head: seq) ?? ChatRow(chat: chat, head: seq, read: 0)
  }

  private func show(_ state: ConnectionState) {
    switch state {
    case .connecting, .catchingUp, .ended: break
    case .live:
      if !isConnected { screen.note("connected") }
      isConnected = true
      said = ""
    case .waiting(let error, let milliseconds):
      isConnected = false
      // Once, not at each try.
      guard said != error.message else { return }
      said = error.message
      let pending = client.pendingCount
      let kept = pending == 0 ? "" : "; \(pending) \(pending == 1 ? "message waits" : "messages wait")"
      screen.note("not connected: \(error); trying again in \((milliseconds + 999) / 1_000) s\(kept)")
    }
  }

  private func name(_ chat: String) -> String {
    chat.hasPrefix("room:") ? "#" + chat.dropFirst(5) : "@" + (Names.peer(in: chat, of: options.user) ?? chat)
  }

  /// Where it was said, unless it is here.
  private func prefix(_ chat: String) -> String { chat == self.chat ? "" : "[\(name(chat))] " }

  private static func text(_ body: Body?) -> String { body.map { $0.text ?? $0.json } ?? "(deleted)" }

  private static func line(_ message: Message, _ user: String) -> String {
    "\(clock(message.time)) \(message.from): \(text(message.body))"
  }

  /// Hours and minutes of a time in milliseconds since 1970, here.
  private static func clock(_ time: Int64) -> String {
    var seconds = time_t(time / 1_000)
    var parts = tm()
    localtime_r(&seconds, &parts)
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(two(parts.tm_hour)):\(two(parts.tm_min))"
  }
}
