import Support
import Testing

/// What a device is handed when it comes back (PROTOCOL, "Connecting": cursors, `reset`, `live`).
@Suite struct ReplayTests {
  @Test(arguments: Backend.allCases)
  func deviceThatComesBackIsHandedWhatItMissedInOrderBeforeLive(backend: Backend) throws {
    try withServer(backend: backend) { server in
      let bob = try server.attach("bob", "phone")
      let alice = try server.attach("alice", "phone")
      let first = try alice.store(to: "user:bob", id: "m0")
      try bob.message("m0")
      bob.drop()
      for number in 1...20 {
        try alice.store(to: "user:bob", id: "m\(number)")
      }

      let log = try #require(bob.welcome?["log"]?.string)
      let back = try server.attach(
        "bob", "phone", cursors: #"{"*":0,"dm:alice:bob":\#(first.seq!)}"#, log: log)
      let types = back.received.map(\.type)
      #expect(types == ["welcome"] + Array(repeating: "message", count: 20) + ["live"])
      #expect(back.messageIDs(of: "dm:alice:bob") == (1...20).map { "m\($0)" })
      let seqs = back.events().map { $0.seq! }
      #expect(seqs == seqs.sorted() && Set(seqs).count == 20)
      #expect(try back.row("dm:alice:bob")["head"]?.int == seqs.last)
      #expect(try back.row("dm:alice:bob")["read"]?.int == 0)
    }
  }

  @Test func newDeviceIsHandedNoPastAndTakesTheHeadAsItsCursor() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let old = try alice.store(to: "user:bob")
      let bob = try server.attach("bob", "phone")
      #expect(bob.received.map(\.type) == ["welcome", "live"])
      #expect(try bob.row("dm:alice:bob")["head"]?.int == old.seq)
      try alice.store(to: "user:bob", id: "new")
      try bob.message("new")
      #expect(bob.messageIDs(of: "dm:alice:bob") == ["new"])
    }
  }

  @Test func starReplaysAChatThatBeganWhileTheDeviceWasAway() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      for number in 0..<3 { try alice.store(to: "user:bob", id: "m\(number)") }
      try alice.store(to: "user:carl", id: "elsewhere")
      let bob = try server.attach("bob", "phone", cursors: #"{"*":0}"#)
      #expect(bob.messageIDs(of: "dm:alice:bob") == ["m0", "m1", "m2"])
      #expect(bob.events().count == 3)
    }
  }

  @Test func chatsMissingInCursorsWithoutStarAreNotReplayed() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      try alice.store(to: "user:bob", id: "a")
      try server.attach("carl", "phone").store(to: "user:bob", id: "c")
      let bob = try server.attach("bob", "phone", cursors: #"{"dm:alice:bob":0}"#)
      #expect(bob.events().map(\.id) == ["a"])
    }
  }

  @Test func cursorAtTheHeadReplaysNothing() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      try alice.store(to: "user:bob")
      let head = try alice.store(to: "user:bob").seq!
      let bob = try server.attach("bob", "phone", cursors: #"{"*":0,"dm:alice:bob":\#(head)}"#)
      #expect(bob.received.map(\.type) == ["welcome", "live"])
    }
  }

  @Test(.embeddedOnly("the seqs of two chats say nothing of each other where there are several partitions"))
  func cursorAboveTheHeadIsCaughtUp() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      try alice.store(to: "user:bob", id: "low")
      let high = try alice.store(to: "user:carl").seq!
      let bob = try server.attach("bob", "phone", cursors: #"{"*":0,"dm:alice:bob":\#(high)}"#)
      #expect(bob.received.map(\.type) == ["welcome", "live"])
      try alice.store(to: "user:bob", id: "next")
      try bob.message("next")
      #expect(bob.messageIDs(of: "dm:alice:bob") == ["next"])
    }
  }

  /// A cluster asks its brokers for 10 s whether such a cursor is right, and holds a `hello` no longer: the device
  /// comes again.
  private func attach(_ server: ServerProcess, cursors: String) throws -> ChatTestClient {
    let deadline = Deadline.after(.seconds(60))
    while true {
      do { return try server.attach("bob", "phone", cursors: cursors) } catch let failure as TestFailure {
        guard failure.description.contains("unavailable"), !deadline.hasPassed else { throw failure }
      }
    }
  }

  @Test func cursorAboveTheLogsEndIsReset() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let head = try alice.store(to: "user:bob", id: "old").seq!
      let bob = try attach(server, cursors: #"{"*":0,"dm:alice:bob":\#(head + 1_000_000)}"#)
      let reset = try bob.take("reset", chat: "dm:alice:bob")
      #expect(reset["head"]?.int == head)
      // The head is the cursor now: what comes next is handed over though the old cursor is above it.
      let next = try alice.store(to: "user:bob", id: "next")
      try bob.message("next")
      bob.drop()
      let back = try server.attach("bob", "phone", cursors: #"{"*":0,"dm:alice:bob":\#(next.seq!)}"#)
      #expect(back.received.map(\.type) == ["welcome", "live"])
    }
  }

  @Test func anotherLogResetsEveryChatThatHasAHead() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let heads = try ["bob", "carl"].map { try alice.store(to: "user:\($0)").seq! }
      let back = try server.attach(
        "alice", "tablet", cursors: #"{"*":0,"dm:alice:bob":\#(heads[0])}"#, log: "another")
      #expect(back.events().isEmpty)
      #expect(try back.take("reset", chat: "dm:alice:bob")["head"]?.int == heads[0])
      #expect(try back.take("reset", chat: "dm:alice:carl")["head"]?.int == heads[1])
      #expect(back.received.filter { $0.type == "reset" }.count == 2)
    }
  }

  @Test func cursorsOfChatsThatAreNotTheUsersAreIgnored() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      try alice.create("room:closed")
      try alice.store(to: "room:closed")
      try alice.store(to: "user:bob")
      let eve = try server.attach(
        "eve", "phone", cursors: #"{"*":0,"room:closed":0,"dm:alice:bob":0,"room:none":5,"dm:eve:zed":9}"#)
      #expect(eve.received.map(\.type) == ["welcome", "live"])
      #expect(eve.welcome?["chats"]?.array == [])
    }
  }

  @Test func ownMessagesAboveTheCursorComeOnceAfterAReconnect() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let sent = try (0..<3).map { try alice.store(to: "user:bob", id: "own\($0)") }
      #expect(alice.events().isEmpty)
      alice.drop()
      let back = try server.attach("alice", "phone", cursors: #"{"*":0}"#)
      #expect(back.messageIDs(of: "dm:alice:bob") == ["own0", "own1", "own2"])
      #expect(back.events().map(\.seq) == sent.map(\.seq))
      #expect(back.events().map { $0["time"]?.int } == sent.map { $0["time"]?.int })
      back.drop()
      let again = try server.attach(
        "alice", "phone", cursors: #"{"*":0,"dm:alice:bob":\#(sent[2].seq!)}"#)
      #expect(again.events().isEmpty)
    }
  }

  @Test(arguments: Backend.allCases)
  func replayOfManyLongMessagesComesWholeAndInOrder(backend: Backend) throws {
    try withServer(["--limits-rate", "100000"], backend: backend) { server in
      let alice = try server.attach("alice", "phone")
      let body = "\"" + String(repeating: "x", count: 20_000) + "\""
      let ids = try (0..<150).map { try alice.post(to: "user:bob", id: "m\($0)", body: body) }
      for id in ids { try alice.answer(to: id, type: "ack") }
      let bob = try server.attach("bob", "phone", cursors: #"{"*":0}"#)
      #expect(bob.messageIDs(of: "dm:alice:bob") == ids)
      #expect(bob.received.last?.type == "live")
      #expect(bob.events().allSatisfy { $0.body == body })
    }
  }

  @Test func prevChainsTheEventsOfAChatThroughEveryWayTheyCome() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      var acked: [Int] = []
      for number in 0..<6 {
        let sender = number % 2 == 0 ? alice : bob
        acked.append(try sender.say(to: number % 2 == 0 ? "user:bob" : "user:alice").seq!)
        try alice.store(to: "user:carl")
      }
      try alice.waitUntilStored(acked[5], in: "dm:alice:bob")
      for client in [
        try server.attach("alice", "tablet", cursors: #"{"*":0}"#),
        try server.attach("bob", "tablet", cursors: #"{"*":0}"#),
      ] {
        let events = client.events(of: "dm:alice:bob")
        #expect(events.map(\.seq) == acked)
        #expect(events.map(\.prev) == [0] + acked.dropLast())
      }
      #expect(bob.events().map(\.prev) == [0, acked[1], acked[3]])
    }
  }

  @Test func replayComesAfterARestartToo() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      for number in 0..<5 {
        try alice.store(to: "user:bob", id: "m\(number)")
      }
      try server.restart()
      let bob = try server.attach("bob", "phone", cursors: #"{"*":0}"#)
      #expect(bob.messageIDs(of: "dm:alice:bob") == (0..<5).map { "m\($0)" })
      let next = try server.attach("alice", "phone").store(to: "user:bob")
      #expect(next.seq! > bob.events().last!.seq!)
    }
  }
}
