import Support
import Testing

/// Connections at their bounds (PROTOCOL, "Limits").
@Suite struct BoundsTests {
  @Test(arguments: Backend.allCases)
  func connectionsOverTheBoundGet503UntilOneLeaves(backend: Backend) throws {
    try withServer(["--limits-connections", "5", "--shards", "2"], backend: backend) { server in
      let admitted = try (0..<5).map { try server.attach("user\($0)", "phone") }
      for _ in 0..<3 {
        do {
          _ = try server.attach("late")
          Issue.record("a sixth connection was admitted")
        } catch let refused as UpgradeRefused {
          #expect(refused.answer.status == 503)
        }
      }
      try admitted[0].say(to: "user:user1", id: "still")
      try admitted[1].message("still")
      admitted[4].drop()
      let late = try attachWhenAdmitted(server, "late")
      try late.say(to: "user:user0", id: "late")
      try admitted[0].message("late")
    }
  }

  @Test(arguments: Backend.allCases)
  func descriptorsRunningOutHurtNobodyWhoIsConnectedAndItRecovers(backend: Backend) throws {
    // The connection limit alone would not let it come to that.
    let launcher = ["prlimit", "--nofile=160:160"]
    try withServer(["--shards", "2"], backend: backend, launcher: launcher) { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      var crowd: [TestSocket] = []
      let request = HTTPTestClient.text(
        of: "GET", "/ws", headers: WebSocketTestClient.upgradeHeaders(), port: server.port)
      for number in 0..<400 {
        let socket = try TestSocket(port: server.port)
        try? socket.send(Array(request.utf8))
        crowd.append(socket)
        if number % 50 == 0 {
          try alice.say(to: "user:bob", id: "in the crowd \(number)")
          try bob.message("in the crowd \(number)")
        }
      }
      // Each of them is served, refused, or waits; none gets anything else.
      var answers: Set<String> = []
      for socket in crowd where socket.isReadable(.after(.milliseconds(20))) {
        answers.insert(String(decoding: try socket.receive().prefix(12), as: UTF8.self))
      }
      #expect(answers.contains("HTTP/1.1 101"))
      #expect(answers.subtracting(["HTTP/1.1 101", "HTTP/1.1 503", ""]).isEmpty)
      try alice.say(to: "user:bob", id: "full")
      try bob.message("full")
      for socket in crowd { socket.close() }
      let carl = try attachWhenAdmitted(server, "carl")
      try carl.say(to: "user:bob", id: "again")
      try bob.message("again")
    }
  }

  @Test func bytesOfConnectionsWithoutWelcomeAreBounded() throws {
    try withServer(["--limits-handshake-bytes", "1M", "--shards", "1"]) { server in
      let alice = try server.attach("alice", "phone")
      let hello = Array(
        (#"{"type":"hello","user":"eve","cursors":{"# + String(repeating: " ", count: 900_000)).utf8)
      let half = WebSocketTestClient.bytes(opcode: WebSocketTestFrame.Opcode.text, hello, isFinal: false)
      var hoarders: [WebSocketTestClient] = []
      var refused = false
      for _ in 0..<12 where !refused {
        do {
          let hoarder = try WebSocketTestClient(port: server.port)
          hoarders.append(hoarder)
          // Where the server does not read on, or closes, the rest stays here.
          try? hoarder.socket.send(half, .after(.seconds(2)))
        } catch let refusal as UpgradeRefused {
          #expect(refusal.answer.status == 503)
          refused = true
        }
      }
      #expect(refused)
      try alice.say(to: "user:bob")
      for hoarder in hoarders { hoarder.socket.close() }
      _ = try attachWhenAdmitted(server, "bob")
    }
  }

  @Test(arguments: Backend.allCases)
  func whoReadsNoAnswersIsNotReadOn(backend: Backend) throws {
    try withServer(["--shards", "1"], backend: backend) { server in
      let alice = try server.attach("alice", "phone")
      let eve = try server.attach("eve", "phone", receiveBuffer: 4_096)
      let wrong = WebSocketTestClient.bytes(opcode: WebSocketTestFrame.Opcode.text, Array("x".utf8))
      let flood = Array(repeatElement(wrong, count: 4_096).joined())
      // Each answer is ten times its question: who is read on all the same comes to a bound of the loop, far
      // behind that of a session, and is cut off.
      do {
        for _ in 0..<1_000 { try eve.socket.socket.send(flood, .after(.seconds(3))) }
        Issue.record("everything was taken from somebody who reads nothing")
      } catch let failure as TestFailure {
        #expect(failure.description.contains("nothing happened"))
      }
      try alice.say(to: "user:bob")
      for _ in 0..<5_000 { #expect(["bad-frame", "rate-limited"].contains(try eve.next().code)) }
    }
  }

  private func attachWhenAdmitted(_ server: ServerProcess, _ user: String) throws -> ChatTestClient {
    let deadline = Deadline.after(.seconds(40))
    while true {
      do { return try server.attach(user, "phone") } catch {
        guard !deadline.hasPassed else { throw TestFailure("not admitted again: \(error)") }
      }
    }
  }
}
