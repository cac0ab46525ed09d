import Client
import Glibc

/// One run of `fastchat client`, from its options to its exit code.
final class ClientProgram {
  static let exitFailure: Int32 = 1
  static let exitUsage: Int32 = 2
  /// Milliseconds that a client may take to say goodbye.
  private static let goodbyeMilliseconds: Int64 = 2_000
  /// Milliseconds that `/quit` waits for answers to what was sent, where there is a connection.
  private static let quitMilliseconds: Int64 = 2_000

  private let options: ClientOptions
  private let inbox: Inbox
  private let client: ChatClient
  private let screen: Screen
  private var conversation: Conversation?
  /// Questions and changes that are not answered yet.
  private var underWay = 0
  private var inputHasEnded = false
  private var isConnected = false
  /// By when to end after `/quit`, whatever is still under way.
  private var quitBy: Int64?
  private var isEnding = false
  private var failure: ClientError?

  /// Runs with the words behind the command. To be called on the main thread, before any other is started.
  static func run(_ words: [String]) -> Int32 {
    let options: ClientOptions
    do throws(ClientOptions.Mistake) {
      guard let read = try ClientOptions.read(words) else {
        print(ClientOptions.help, terminator: "")
        return 0
      }
      options = read
    } catch {
      return complain(error.message, exitUsage)
    }
    let inbox = Inbox()
    inbox.takeSignals()
    do throws(ClientError) {
      return try ClientProgram(options, inbox).run()
    } catch {
      return complain(error.description, error.kind == .configuration ? exitUsage : exitFailure)
    }
  }

  private static func complain(_ message: String, _ code: Int32) -> Int32 {
    var line = "fastchat: \(message)\n"
    line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
    return code
  }

  private init(_ options: ClientOptions, _ inbox: Inbox) throws(ClientError) {
    self.options = options
    self.inbox = inbox
    var configuration = ClientConfiguration(
      address: options.address, user: options.user, device: options.device)
    if let path = options.state { configuration.storage = try FileStorage(path: path) }
    if let path = options.tokenFile {
      _ = try TokenFile.read(path)
      configuration.token = { _ in try TokenFile.read(path) }
    }
    client = try ChatClient(configuration)
    screen = Screen(mayEdit: !options.isJSON, prompt: "> ")
    inbox.follow(client)
  }

  // MARK: The loop

  private func run() -> Int32 {
    if !options.isJSON { conversation = Conversation(options, client, inbox, screen) }
    for room in options.rooms { join(options.chat(room)) }
    var endBy: Int64?
    while true {
      if !isEnding, isDone { end() }
      if isEnding, endBy == nil { endBy = milliseconds() + Self.goodbyeMilliseconds }
      if let endBy, milliseconds() >= endBy { break }
      if wait(until: endBy) { break }
    }
    screen.close()
    return farewell()
  }

  /// Waits for input and words, and takes them; true once the client has ended.
  private func wait(until end: Int64?) -> Bool {
    var entries = [pollfd(fd: inbox.descriptor, events: Int16(POLLIN), revents: 0)]
    if !inputHasEnded, !isEnding {
      entries.append(pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0))
    }
    let timeout = end.map { Int32(max(0, $0 - milliseconds())) } ?? (waitsForAnswers ? 50 : -1)
    poll(&entries, nfds_t(entries.count), timeout)
    if entries.count > 1, entries[1].revents != 0 {
      for typed in screen.read() { take(typed) }
    }
    for item in inbox.take() where take(item) { return true }
    return false
  }

  private func milliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
  }

  private var waitsForAnswers: Bool { inputHasEnded || quitBy != nil }

  /// Nothing more comes in, and nothing waits, or has waited for long enough.
  private var isDone: Bool {
    if screen.isGone { return true }
    let isAnswered = underWay == 0 && client.pendingCount == 0
    if let quitBy { return isAnswered || !isConnected || milliseconds() >= quitBy }
    return inputHasEnded && !options.follows && isAnswered
  }

  private func end() {
    isEnding = true
    let client = client
    Task { await client.stop() }
  }

  private func farewell() -> Int32 {
    let pending = client.pendingCount
    if pending > 0 {
      let what = pending == 1 ? "1 message was not sent" : "\(pending) messages were not sent"
      screen.note(
        options.state.map { "\(what); kept in \($0) for the next time" }
          ?? "\(what), and are lost: there is no --state")
    }
    if let failure {
      screen.note(failure.description)
      return Self.exitFailure
    }
    return pending > 0 ? Self.exitFailure : 0
  }

  // MARK: What comes

  /// True once the client has ended.
  private func take(_ item: Inbox.Item) -> Bool {
    switch item {
    case .event(let event, let shown):
      if case .connection(let state) = event { note(state) }
      if case .storage(let error) = event {
        screen.note(error.map { "\($0)" } ?? "what is unsent can be kept again")
      }
      if let conversation {
        conversation.show(event)
      } else {
        if let json = event.json { screen.output(json) }
        if case .connection(let state) = event { noteForScripts(state) }
      }
      shown.resume()
    case .show(let lines): screen.show(lines)
    case .output(let line): screen.output(line)
    case .done: underWay -= 1
    case .ended: return true
    case .signal(let number):
      if number == SIGWINCH {
        screen.resize()
      } else if isEnding {
        return true
      } else {
        end()
      }
    }
    return false
  }

  private func note(_ state: ConnectionState) {
    switch state {
    case .catchingUp, .live: isConnected = true
    case .connecting, .waiting: isConnected = false
    case .ended(let error):
      isConnected = false
      failure = error
    }
  }

  private func noteForScripts(_ state: ConnectionState) {
    if case .waiting(let error, let milliseconds) = state {
      screen.note("\(error); next try in \(milliseconds) ms")
    }
  }

  private func take(_ typed: Screen.Typed) {
    guard case .line(let line) = typed else {
      inputHasEnded = true
      if screen.isInteractive { end() }
      return
    }
    guard let conversation else { return request(line) }
    switch conversation.take(line) {
    case .nothing: break
    case .underWay: underWay += 1
    case .quit: quitBy = milliseconds() + Self.quitMilliseconds
    }
  }

  private func join(_ chat: String) {
    if let conversation {
      if conversation.enter(chat, joins: true) { underWay += 1 }
    } else if chat.hasPrefix("room:") {
      request("{\"type\":\"join\",\"chat\":\"\(chat)\"}")
    }
  }

  /// A frame of a script.
  private func request(_ line: String) {
    guard !line.allSatisfy(\.isWhitespace) else { return }
    underWay += 1
    let inbox = inbox
    do throws(ClientError) {
      try client.submit(json: line) { answer in
        if let answer { inbox.post(.output(answer)) }
        inbox.post(.done)
      }
    } catch {
      underWay -= 1
      screen.output(
        "{\"type\":\"error\",\"code\":\"bad-request\",\"message\":\(Body.quoted(error.description))}")
    }
  }
}

/// The file that holds a token.
enum TokenFile {
  private static let bytesMax = 65_536

  static func read(_ path: String) throws(ClientError) -> String {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else {
      throw ClientError(.configuration, "--token-file \(path): \(String(cString: strerror(errno)))")
    }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: bytesMax)
    let count = Glibc.read(file, &bytes, bytes.count)
    let token = String(decoding: bytes[..<max(0, count)], as: UTF8.self).filter { !$0.isWhitespace }
    guard !token.isEmpty else { throw ClientError(.configuration, "--token-file \(path) is empty") }
    return token
  }
}
