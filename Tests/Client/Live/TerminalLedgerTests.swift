import Foundation
import Support
import Testing

/// `fastchat client --json` against the real server, its connections cut at random moments, and ended and
/// begun again in between: none lost, none doubled, in order.
@Suite struct TerminalLedgerTests {
  /// Messages of the whole run.
  private static let count = 10_000
  private static let users = ["alice", "bob"]
  private static let seed =
    ProcessInfo.processInfo.environment["FASTCHAT_SEED"].flatMap { UInt64($0) }
    ?? UInt64.random(in: 0...UInt64.max)

  /// One user's program over its lives, with what it printed in all of them.
  private final class Script {
    let user: String
    private let directory: String
    private let port: UInt16
    private var lives = 0
    private var process: Process?

    init(user: String, directory: String, port: UInt16) {
      self.user = user
      self.directory = directory
      self.port = port
    }

    deinit { process?.terminate() }

    private func file(_ name: String) -> String { "\(directory)/\(user).\(name)" }

    /// Begins a life that is given these lines.
    func begin(_ lines: [String], follows: Bool = true) throws {
      lives += 1
      let input = file("in\(lives)")
      let output = file("out\(lives)")
      try lines.map { $0 + "\n" }.joined().write(toFile: input, atomically: true, encoding: .utf8)
      try Data().write(to: URL(fileURLWithPath: output))
      let process = Process()
      process.executableURL = URL(fileURLWithPath: ServerProcess.binary)
      process.arguments =
        [
          "client", "ws://127.0.0.1:\(port)/ws", "--user", user, "--json", "--state", file("state"),
        ] + (follows ? ["--follow"] : [])
      process.standardInput = FileHandle(forReadingAtPath: input)
      process.standardOutput = FileHandle(forWritingAtPath: output)
      process.standardError = FileHandle.nullDevice
      try process.run()
      self.process = process
    }

    /// Waits for the end of a life; `interrupt` asks for it.
    func end(interrupt: Bool = true) -> Int32 {
      guard let process else { return -1 }
      if interrupt { process.interrupt() }
      process.waitUntilExit()
      self.process = nil
      return process.terminationStatus
    }

    /// What it printed so far.
    func frames() throws -> [ChatFrame] {
      try (1...max(1, lives)).flatMap { life in
        try String(contentsOfFile: file("out\(life)"), encoding: .utf8).split(
          separator: "\n", omittingEmptySubsequences: true
        ).map { try ChatFrame(text: String($0)) }
      }
    }

    /// How many lines of a kind it printed, without reading them all as frames.
    func count(_ type: String) -> Int {
      let marks = "\"type\":\"\(type)\""
      return (1...max(1, lives)).map { life in
        let text = (try? String(contentsOfFile: file("out\(life)"), encoding: .utf8)) ?? ""
        return text.split(separator: "\n").count { $0.contains(marks) }
      }.reduce(0, +)
    }
  }

  @Test func nothingIsLostOrDoubledByCutConnectionsAndNewLives() throws {
    print("terminal ledger: seed \(Self.seed)")
    try withServer(["--shards", "2", "--limits-rate", "1000000", "--log-level", "error"]) { server in
      let proxy = try CuttingProxy(to: server.port, bytesPerCut: 200_000, seed: Self.seed)
      defer { proxy.stop() }
      let directory = try TemporaryDirectory()
      try ChatTestClient.attached(port: server.port, user: "alice").ask(
        #""type":"create","chat":"room:ledger","name":"L","public":true"#, expecting: "ok")
      try ChatTestClient.attached(port: server.port, user: "bob").ask(
        #""type":"join","chat":"room:ledger""#, expecting: "ok")
      let scripts = Self.users.map { Script(user: $0, directory: directory.path, port: proxy.port) }
      // Each knows where it stands before anything is sent.
      for script in scripts {
        try script.begin([#"{"type":"chats","id":"first"}"#], follows: false)
        #expect(script.end(interrupt: false) == 0)
      }
      let share = Self.count / scripts.count
      // The first life ends with its input, the second one stays for what the other sends.
      for script in scripts { try script.begin(lines(script.user, 0..<(share / 2)), follows: false) }
      for script in scripts { #expect(script.end(interrupt: false) == 0) }
      for script in scripts { try script.begin(lines(script.user, (share / 2)..<share)) }
      let deadline = Deadline.after(.seconds(60))
      // A third of what each sends is for itself alone.
      let fromOther = (0..<share).count { $0 % 3 != 2 }
      while !scripts.allSatisfy({ $0.count("ack") >= share && $0.count("message") >= fromOther }) {
        guard !deadline.hasPassed else {
          throw TestFailure("no progress: \(scripts.map { ($0.count("ack"), $0.count("message")) })")
        }
        usleep(100_000)
      }
      for script in scripts { #expect(script.end() == 0) }
      let differences = try reckon(scripts, server)
      #expect(differences.isEmpty, "seed \(Self.seed): \(differences.joined(separator: "\n"))")
      #expect(proxy.cuts > 10, "the connections were hardly ever cut")
      print("terminal ledger: \(Self.count) messages, \(proxy.cuts) cuts")
      withExtendedLifetime(directory) {}
    }
  }

  private func lines(_ user: String, _ numbers: Range<Int>) -> [String] {
    let other = user == "alice" ? "bob" : "alice"
    let targets = ["user:\(other)", "room:ledger", "user:\(user)"]
    return numbers.map {
      #"{"type":"send","id":"n\#($0)","to":"\#(targets[$0 % 3])","body":\#($0)}"#
    }
  }

  /// Compares what each printed with what the server has.
  private func reckon(_ scripts: [Script], _ server: ServerProcess) throws -> [String] {
    var differences: [String] = []
    for script in scripts {
      let reader = try ChatTestClient.attached(
        port: server.port, user: script.user, device: "reader", cursors: #"{"*":0}"#)
      let stored = Dictionary(grouping: reader.events().filter { $0.type == "message" }, by: { $0.chat! })
      let frames = try script.frames()
      differences += frames.filter { ["error", "reset"].contains($0.type) }.map { "\(script.user): \($0)" }
      for (chat, list) in stored {
        let acked = frames.filter { $0.type == "ack" && $0.chat == chat }
        let handed = frames.filter { $0.type == "message" && $0.chat == chat }.compactMap(\.seq)
        if (acked.compactMap(\.seq) + handed).sorted() != list.compactMap(\.seq) {
          differences.append(
            "\(script.user): \(handed.count) handed and \(acked.count) sent of \(list.count) in \(chat)")
        }
        if handed != handed.sorted() { differences.append("\(script.user): disorder in \(chat)") }
        let own = list.filter { $0["from"]?.string == script.user }.compactMap { Int($0.body ?? "") }
        if own != own.sorted() { differences.append("\(script.user): sent in disorder to \(chat)") }
      }
    }
    return Array(differences.prefix(20))
  }
}
