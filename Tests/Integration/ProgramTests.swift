import Foundation
import Support
import Testing

/// The program: its flags, its exits, its end (PROTOCOL, "The program").
@Suite struct ProgramTests {
  private static let somewhere = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]

  private func isOneLine(_ text: String) -> Bool {
    text.hasSuffix("\n") && text.dropLast().allSatisfy { !$0.isNewline } && text.count > 10
  }

  @Test(arguments: [
    ["--no-such-flag"], ["--shards"], ["--shards", "two"], ["--shards", "-1"], ["--backend", "kqueue"],
    ["--listen", "nonsense"], ["--listen", "127.0.0.1:99999"], ["--limits-rate", "-1"],
    ["--limits-rate", "0"],
    ["--limits-rate", ""], ["--auth", "magic"], ["--server-id", "a b"], ["--server-id", ""],
    ["--server-id", String(repeating: "x", count: 65)], ["--config", "/nonexistent/file"], ["junk"],
    ["--listen", "0.0.0.0:0"], ["--listen", "0.0.0.0:0", "--auth", "none"], ["--limits-body", "1M"],
  ])
  func wrongFlagsAreOneLineAndExitCodeTwo(flags: [String]) throws {
    let run = try ServerProcess.run(["serve"] + flags)
    #expect(run.status == 2)
    #expect(run.output.isEmpty)
    #expect(isOneLine(run.errors), "\(run.errors)")
  }

  @Test(arguments: [
    ["--kafka", "127.0.0.1:9092"], ["--redis", "127.0.0.1:6379"], ["--auth", "jwt"], ["--jwt-key", "x"],
    ["--tls-cert", "x"], ["--api-key-file", "x"],
  ])
  func flagThatIsNotBuiltYetIsRefusedByName(flags: [String]) throws {
    let run = try ServerProcess.run(["serve"] + flags)
    #expect(run.status == 2)
    #expect(isOneLine(run.errors) && run.errors.contains(flags[0]), "\(run.errors)")
  }

  @Test func unknownCommandIsRefusedAndHelpAndVersionAreGiven() throws {
    #expect(try ServerProcess.run(["frobnicate"]).status == 2)
    for arguments in [["--help"], ["serve", "--help"], ["--version"]] {
      let run = try ServerProcess.run(arguments)
      #expect(run.status == 0 && run.errors.isEmpty && !run.output.isEmpty, "\(arguments)")
    }
    #expect(try ServerProcess.run(["--help"]).output.contains("--limits-rate"))
  }

  @Test func flagsWinOverVariablesAndVariablesOverTheFile() throws {
    let directory = try TemporaryDirectory()
    let file = directory.path + "/fastchat.conf"
    try "server-id = from-file\nlimits-rate = 11\nlimits-heartbeat = 21s\n".write(
      toFile: file, atomically: true, encoding: .utf8)
    let environment = ["FASTCHAT_SERVER_ID": "from-variable", "FASTCHAT_LIMITS_RATE": "12"]
    let flags = ["--config", file, "--server-id", "from-flag"]
    try withServer(flags, environment: environment) { server in
      let welcome = try #require(try server.attach("alice").welcome)
      #expect(welcome["server"]?.string == "from-flag")
      #expect(welcome["limits"]?["rate"]?.int == 12)
      #expect(welcome["heartbeat"]?.int == 21)
    }
    withExtendedLifetime(directory) {}
  }

  @Test func wrongVariableIsRefusedByItsName() throws {
    let run = try ServerProcess.run(["serve"], environment: ["FASTCHAT_LIMITS_RATE": "fast"])
    #expect(run.status == 2 && isOneLine(run.errors) && run.errors.contains("FASTCHAT_LIMITS_RATE"))
  }

  @Test func wrongLineInTheFileIsRefusedWithItsPlace() throws {
    let directory = try TemporaryDirectory()
    let file = directory.path + "/fastchat.conf"
    try "\nno-such-option = 1\n".write(toFile: file, atomically: true, encoding: .utf8)
    let run = try ServerProcess.run(["serve", "--config", file])
    #expect(run.status == 2 && isOneLine(run.errors) && run.errors.contains("no-such-option"))
  }

  @Test(arguments: Backend.allCases)
  func portInUseIsExitCodeOne(backend: Backend) throws {
    try withServer(["--shards", "2"], backend: backend) { server in
      let directory = try TemporaryDirectory()
      let data = ["--data", directory.path + "/data", "--shards", "2", "--backend", backend.rawValue]
      for taken in [server.port, server.adminPort] {
        var run = try ServerProcess.run(
          ["serve", "--listen", "127.0.0.1:\(taken)", "--admin", "127.0.0.1:0"] + data)
        #expect(run.status == 1 && run.output.isEmpty)
        #expect(run.errors.contains("\(taken)") && run.errors.contains("in use"), "\(run.errors)")
        run = try ServerProcess.run(
          ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:\(taken)"] + data)
        #expect(run.status == 1 && run.output.isEmpty)
      }
      try server.attach("alice").settle()
      withExtendedLifetime(directory) {}
    }
  }

  @Test func withoutACommandItServes() throws {
    let directory = try TemporaryDirectory()
    let run = try ServerProcess.run(["--data", directory.path + "/data", "--shards", "nonsense"])
    #expect(run.status == 2 && run.errors.contains("--shards"))
    withExtendedLifetime(directory) {}
  }

  @Test(arguments: Backend.allCases)
  func sigtermTellsClientsToComeBackAndExitsWithZero(backend: Backend) throws {
    try withServer(["--shards", "2"], backend: backend) { server in
      let clients = try (0..<6).map { try server.attach("user\($0)", "phone") }
      let silent = try server.connect()
      let raw = try TestSocket(port: server.port)
      let ack = try clients[0].say(to: "user:user1", id: "kept")
      server.signal(SIGTERM)
      for client in clients {
        let closed = try client.socket.close()
        #expect(closed.code == 4000)
        #expect(closed.reason.wholeMatch(of: /retry=\d+.*/) != nil, "\(closed.reason)")
        client.drop()
      }
      _ = try silent.socket.close()
      silent.drop()
      _ = try raw.receiveToEnd()
      #expect(try server.waitForExit() == 0)
      #expect(server.outputAfterReady().isEmpty)
      try server.restart()
      let back = try server.attach("user1", "tablet", cursors: #"{"*":0}"#)
      #expect(back.events().map(\.seq) == [ack.seq])
    }
  }

  @Test func sigtermAnswersWhatWasAcceptedBefore() throws {
    try withServer(["--limits-rate", "100000"]) { server in
      let alice = try server.attach("alice", "phone")
      for number in 0..<60 { try alice.post(to: "user:bob", id: "m\(number)") }
      server.signal(SIGTERM)
      #expect(try alice.socketClose().code == 4000)
      let acked = alice.received.filter { $0.type == "ack" }
      #expect(try server.waitForExit() == 0)
      try server.restart()
      let stored = try server.attach("alice", "tablet", cursors: #"{"*":0}"#).wholeHistory("dm:alice:bob")
      for ack in acked { #expect(stored.contains { $0.ids == ack.id && $0.seq == ack.seq }) }
    }
  }

  @Test func clientThatDoesNotAnswerDoesNotHoldTheEndUp() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      #expect(try server.terminate() == 0)
      alice.drop()
    }
  }

  @Test func secondSigtermExitsAtOnce() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      server.signal(SIGTERM)
      _ = try? alice.socket.nextFrame()
      server.signal(SIGTERM)
      _ = try server.waitForExit(.after(.seconds(10)))
      alice.drop()
    }
  }

  @Test func secondServerOnTheSameDirectoryIsRefusedAndTheFirstGoesOn() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      try alice.say(to: "user:bob")
      let run = try ServerProcess.run(["serve", "--data", server.data] + Self.somewhere)
      #expect(run.status == 1 && run.output.isEmpty)
      #expect(run.errors.contains(server.data) && isOneLine(run.errors.split(separator: "\n").last! + "\n"))
      try alice.say(to: "user:bob")
      // A server that was killed keeps nobody out.
      try server.restart()
      #expect(try server.attach("bob", "phone", cursors: #"{"*":0}"#).events().count == 2)
    }
  }
}

extension ChatTestClient {
  /// Reads on into `received` until the server closes, and says how.
  func socketClose() throws -> WebSocketClosed {
    do {
      while true { try next() }
    } catch let closed as WebSocketClosed {
      return closed
    }
  }
}
