import EventLoop

/// What a run is to do.
struct LoadOptions: Sendable {
  enum Command: String, Sendable, CaseIterable { case echo, fanout, pairs, idle }

  /// The body of a chat message holds its number and time, so it has at least so many bytes.
  static let leastBodyBytes = 64

  var command: Command
  var url = LoadURL()
  /// Where the second of each pair connects; nil: where the first does.
  var peerURL: LoadURL?
  var connections = 100
  var pairs = 100
  var depth = 1
  var rate = 0
  var size = 64
  var seconds = 5
  var warmUpSeconds = 1
  var threads = 1
  var isRaw = false
  var isJSON = false
  var serverPID: Int32?
  var backend = LoopConfiguration.BackendChoice.automatic

  init(_ command: Command) { self.command = command }

  /// The flags of all commands. A command takes those that mean something to it.
  static let flags: [LoadFlag] = [
    LoadFlag("url", "ws://HOST:PORT/PATH", "the server; a numeric address") { options, text in
      guard let url = LoadURL(text) else { return false }
      options.url = url
      return true
    },
    LoadFlag("peer-url", "ws://HOST:PORT/PATH", "the server of the second of each pair", of: [.pairs]) {
      options, text in
      options.peerURL = LoadURL(text)
      return options.peerURL != nil
    },
    LoadFlag("connections", "N", "connections, of fanout the listeners", of: [.echo, .fanout, .idle]) {
      $0.set(\.connections, $1, 1...1_000_000)
    },
    LoadFlag("pairs", "N", "pairs of users, the first of whom sends to the second", of: [.pairs]) {
      $0.set(\.pairs, $1, 1...100_000)
    },
    LoadFlag("depth", "N", "messages in flight of a connection", of: [.echo, .fanout, .pairs]) {
      $0.set(\.depth, $1, 1...1_024)
    },
    LoadFlag("rate", "N", "messages a second in place of a depth", of: [.fanout, .pairs]) {
      $0.set(\.rate, $1, 1...1_000_000)
    },
    LoadFlag("size", "BYTES", "of a message, of a chat its body (at least 64)", of: [.echo, .fanout, .pairs])
    {
      $0.set(\.size, $1, 1...1_048_576)
    },
    LoadFlag("seconds", "N", "measured time") { $0.set(\.seconds, $1, 1...86_400) },
    LoadFlag("warmup", "N", "seconds of load before it") { $0.set(\.warmUpSeconds, $1, 0...3_600) },
    LoadFlag("threads", "N", "threads that make load", of: [.echo, .pairs, .idle]) {
      $0.set(\.threads, $1, 1...64)
    },
    LoadFlag("backend", "NAME", "auto, io_uring or epoll, of this program's own loop") { options, text in
      guard let choice = text == "auto" ? .automatic : LoopConfiguration.BackendChoice(rawValue: text) else {
        return false
      }
      options.backend = choice
      return true
    },
    LoadFlag("server-pid", "PID", "process whose CPU time and memory are read") { options, text in
      guard let pid = Int32(text), pid > 0 else { return false }
      options.serverPID = pid
      return true
    },
    LoadFlag("raw", nil, "the server is the floor, which knows no chat", of: [.fanout, .pairs]) {
      options, _ in
      options.isRaw = true
      return true
    },
    LoadFlag("json", nil, "one JSON object in place of the line for people") { options, _ in
      options.isJSON = true
      return true
    },
  ]

  static let help: String = {
    var text = "usage: fastchat-load echo|fanout|pairs|idle [flags]\n\n"
    for flag in flags {
      let name = "--\(flag.name)" + (flag.placeholder.map { " \($0)" } ?? "")
      text += "  \(name)" + String(repeating: " ", count: max(1, 28 - name.utf8.count)) + flag.meaning
      if flag.commands.count < Command.allCases.count {
        text += " (\(flag.commands.map(\.rawValue).joined(separator: ", ")))"
      }
      text += "\n"
    }
    return text
  }()

  private mutating func set(
    _ field: WritableKeyPath<LoadOptions, Int>, _ text: String, _ allowed: ClosedRange<Int>
  ) -> Bool {
    guard let value = Int(text), allowed.contains(value) else { return false }
    self[keyPath: field] = value
    return true
  }
}

/// One flag: what it is called, and what its text does.
struct LoadFlag: Sendable {
  let name: StaticString
  /// What stands for its value in the help; nil for a toggle.
  let placeholder: String?
  let meaning: String
  let commands: [LoadOptions.Command]
  /// False: the text is not allowed.
  let apply: @Sendable (inout LoadOptions, String) -> Bool

  init(
    _ name: StaticString, _ placeholder: String?, _ meaning: String,
    of commands: [LoadOptions.Command] = LoadOptions.Command.allCases,
    _ apply: @escaping @Sendable (inout LoadOptions, String) -> Bool
  ) {
    self.name = name
    self.placeholder = placeholder
    self.meaning = meaning
    self.commands = commands
    self.apply = apply
  }
}
