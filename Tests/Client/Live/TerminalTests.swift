import Foundation
import Support
import Testing

/// `fastchat client`: on a terminal, with its output piped, for scripts.
@Suite(.serialized) struct TerminalTests {
  private func address(_ server: ServerProcess) -> String { "ws://127.0.0.1:\(server.port)/ws" }

  @Test func linesArriveWithoutBreakingWhatIsTyped() throws {
    try withServer { server in
      let alice = try ChatTestClient.attached(port: server.port, user: "alice", device: "phone")
      try alice.ask(#""type":"create","chat":"room:lobby","name":"L","public":true"#, expecting: "ok")
      try alice.say(to: "room:lobby", body: #"{"text":"before"}"#)
      let program = try TerminalProgram([address(server), "--user", "bob", "--room", "lobby"])
      try program.expect("alice: before")
      try program.expect("#lobby> ")
      #expect(!program.isCooked)
      program.type("half a li")
      try program.expect("half a li")
      let typed = program.output.endIndex
      try alice.say(to: "room:lobby", body: #"{"text":"in \u001b[31mbetween"}"#)
      // The row is cleared, the line shown, and what was typed stands below it again; others' escapes do not
      // steer the terminal.
      try program.expect("\u{1B}[J", from: typed)
      try program.expect("alice: in \u{FFFD}[31mbetween\r\n#lobby> half a li", from: typed)
      program.type("ne\n/who\n")
      #expect(try alice.take("message")["body"]?["text"]?.string == "half a line")
      try program.expect("in #lobby: alice (owner), bob")
      program.type("/leave\n")
      try program.expect("you left #lobby")
      program.type("/quit\n")
      #expect(try program.exitStatus() == 0)
      #expect(program.isCooked)
    }
  }

  @Test func controlCEndsItOnceAndGivesTheTerminalBack() throws {
    try withServer { server in
      let program = try TerminalProgram([address(server), "--user", "bob", "--room", "@alice"])
      try program.expect("@alice> ")
      try program.expect("connected")
      program.type("unfinished\u{3}")
      #expect(try program.exitStatus() == 0)
      #expect(program.isCooked)
    }
  }

  @Test func whatWaitsIsSaidAndSentWhenTheServerIsBack() throws {
    try withServer { server in
      let directory = try TemporaryDirectory()
      let state = ["--state", directory.path + "/state"]
      var program = try TerminalProgram([address(server), "--user", "bob", "--room", "@alice"] + state)
      try program.expect("connected")
      try program.expect("@alice> ")
      server.kill()
      try program.expect("not connected: ")
      program.type("first\nsecond\n")
      try program.expect("waits for a connection: second")
      program.type("\u{3}")
      #expect(try program.exitStatus() == 1)
      #expect(program.output.contains("2 messages were not sent; kept in \(directory.path)/state"))
      // The next one sends what this one kept.
      try server.restart()
      program = try TerminalProgram([address(server), "--user", "bob", "--room", "@alice"] + state)
      try program.expect("connected")
      program.type("third\n")
      let alice = try ChatTestClient.attached(
        port: server.port, user: "alice", device: "phone", cursors: #"{"*":0}"#)
      while alice.events().count < 3 { try alice.next() }
      #expect(alice.events().map { $0["body"]?["text"]?.string } == ["first", "second", "third"])
      program.type("/quit\n")
      #expect(try program.exitStatus() == 0)
      withExtendedLifetime(directory) {}
    }
  }

  @Test func withItsOutputPipedThereAreNoEscapes() throws {
    try withServer { server in
      let directory = try TemporaryDirectory()
      try "/create lobby\nhello\n/who\n".write(
        toFile: directory.path + "/in", atomically: true, encoding: .utf8)
      let run = try ServerProcess.execute([
        "/bin/sh", "-c",
        "exec '\(ServerProcess.binary)' client \(address(server)) --user alice < \(directory.path)/in",
      ])
      #expect(run.status == 0, "\(run.errors)")
      #expect(!run.output.contains("\u{1B}") && !run.errors.contains("\u{1B}"))
      #expect(
        run.output.contains("#lobby is made") && run.output.contains("in #lobby: alice (owner)"),
        "\(run.output)")
      let bob = try ChatTestClient.attached(port: server.port, user: "bob")
      try bob.ask(#""type":"join","chat":"room:lobby""#, expecting: "ok")
      let page = try bob.ask(#""type":"history","chat":"room:lobby""#, expecting: "history")
      #expect(page["messages"]?.array?.map { $0["body"]?["text"]?.string } == ["hello"])
      withExtendedLifetime(directory) {}
    }
  }

  @Test func scriptsSendAndGetFrames() throws {
    try withServer { server in
      let directory = try TemporaryDirectory()
      let input = """
        {"type":"send","id":"s1","to":"user:bob","body":[1, 2]}
        {"type":"nonsense"}
        {"type":"history","id":"h1","chat":"dm:alice:zoe"}
        {"type":"send","to":"user:bob","body":"second"}
        """
      try input.write(toFile: directory.path + "/in", atomically: true, encoding: .utf8)
      let run = try ServerProcess.execute([
        "/bin/sh", "-c",
        "exec '\(ServerProcess.binary)' client \(address(server)) --user alice --json --state \(directory.path)/state < \(directory.path)/in",
      ])
      #expect(run.status == 0, "\(run.errors)")
      let frames = try run.output.split(separator: "\n").map { try ChatFrame(text: String($0)) }
      #expect(frames.contains { $0.type == "welcome" } && frames.contains { $0.type == "live" })
      #expect(frames.filter { $0.type == "ack" }.count == 2)
      #expect(frames.contains { $0.type == "ack" && $0.id == "s1" })
      #expect(
        frames.contains { $0.type == "history" && $0.id == "h1" }
          || frames.contains { $0.id == "h1" && $0.code != nil })
      #expect(frames.contains { $0.type == "error" && $0.code == "bad-request" })
      let bob = try ChatTestClient.attached(port: server.port, user: "bob", device: "x", cursors: #"{"*":0}"#)
      #expect(bob.events().map(\.body) == ["[1, 2]", "\"second\""])
      let kept = try String(contentsOfFile: directory.path + "/state", encoding: .utf8)
      #expect(kept.contains(#""returning":true"#) && kept.contains(#""pending":[]"#), "\(kept)")
    }
  }

  @Test(arguments: [
    [], ["ws://127.0.0.1:1/ws"], ["ws://127.0.0.1:1/ws", "--user", "a b"],
    ["wss://127.0.0.1/ws", "--user", "a"],
    ["http://x/", "--user", "a"], ["ws://h:99999/ws", "--user", "a"],
    ["ws://h/ws", "--user", "a", "--frobnicate"],
    ["ws://h/ws", "--user"], ["ws://h/ws", "--user", "a", "--token-file", "/nonexistent/token"],
  ])
  func wrongFlagsAreOneLineAndExitCodeTwo(arguments: [String]) throws {
    let run = try ServerProcess.run(["client"] + arguments)
    #expect(run.status == 2, "\(run.errors)")
    #expect(
      run.errors.split(separator: "\n").count == 1 && run.errors.hasPrefix("fastchat: "), "\(run.errors)")
  }
}
