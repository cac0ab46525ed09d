import Support
import Testing

/// Repeats of the same `id` by the same device (PROTOCOL, "Repeats").
@Suite struct RepeatTests {
  @Test(arguments: Backend.allCases)
  func markedRepeatIsAckedWithTheSeqOfTheOneMessage(backend: Backend) throws {
    try withServer(["--shards", "2"], backend: backend) { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      let first = try alice.say(to: "user:bob", id: "x", body: "1")
      try alice.say(to: "user:bob", id: "y", body: "2")
      let again = try alice.say(to: "user:bob", id: "x", body: "1", retry: true)
      #expect(again.seq == first.seq && again["time"] == first["time"] && again.chat == first.chat)
      // Another session of the same device, on another connection.
      let back = try server.attach("alice", "phone")
      #expect(try back.say(to: "dm:alice:bob", id: "x", body: "1", retry: true).seq == first.seq)
      try back.say(to: "user:bob", id: "z")
      try bob.message("z")
      #expect(bob.messageIDs(of: "dm:alice:bob") == ["x", "y", "z"])
    }
  }

  @Test func markedRepeatIsRecognisedAfterARestart() throws {
    try withServer { server in
      let first = try server.attach("alice", "phone").say(to: "user:bob", id: "x")
      try server.restart()
      let alice = try server.attach("alice", "phone")
      #expect(try alice.say(to: "user:bob", id: "x", retry: true).seq == first.seq)
      let bob = try server.attach("bob", "phone", cursors: #"{"*":0}"#)
      #expect(bob.messageIDs(of: "dm:alice:bob") == ["x"])
    }
  }

  @Test func unmarkedRepeatMakesNoSecondMessageEither() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      for _ in 0..<3 { try alice.say(to: "user:bob", id: "x") }
      try alice.say(to: "user:bob", id: "end")
      try bob.message("end")
      #expect(bob.messageIDs(of: "dm:alice:bob") == ["x", "end"])
      #expect(try bob.wholeHistory("dm:alice:bob").map(\.ids) == ["x", "end"])
    }
  }

  @Test func repeatsSentTogetherWithTheFirstMakeOneMessage() throws {
    try withServer(["--limits-rate", "1000"]) { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      for _ in 0..<20 { try alice.post(to: "user:bob", id: "x", retry: true) }
      let seqs = try (0..<20).map { _ in try alice.answer(to: "x", type: "ack").seq }
      #expect(Set(seqs).count == 1)
      try alice.say(to: "user:bob", id: "end")
      try bob.message("end")
      #expect(bob.messageIDs(of: "dm:alice:bob") == ["x", "end"])
    }
  }

  @Test func markOnAFirstSendChangesNothing() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      let ack = try alice.say(to: "user:bob", id: "fresh", retry: true)
      #expect(try bob.message("fresh").seq == ack.seq)
    }
  }

  @Test func sameIdOfAnotherDeviceUserOrChatIsAnotherMessage() throws {
    try withServer { server in
      let phone = try server.attach("alice", "phone")
      let laptop = try server.attach("alice", "laptop")
      let nameless = try server.attach("alice")
      let bob = try server.attach("bob", "phone")
      var seqs: [Int?] = []
      for client in [phone, laptop, nameless] {
        seqs.append(try client.say(to: "user:bob", id: "x", retry: true).seq)
      }
      seqs.append(try bob.say(to: "user:alice", id: "x", retry: true).seq)
      #expect(Set(seqs).count == 4)
      // Seqs of two chats may be equal where they are in two partitions.
      let other = try phone.say(to: "user:carl", id: "x", retry: true)
      #expect(try bob.wholeHistory("dm:alice:bob").map(\.seq) == seqs)
      #expect(try phone.wholeHistory("dm:alice:carl").map(\.seq) == [other.seq])
    }
  }

  @Test func idsAreTheSameHoweverTheyAreEscaped() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let first = try alice.say(to: "user:bob", id: "a/é")
      try alice.write(#"{"type":"send","id":"\u0061\/\u00e9","to":"user:bob","retry":true,"body":1}"#)
      #expect(try alice.answer(to: "a/é", type: "ack").seq == first.seq)
    }
  }

  @Test func repeatedCreateJoinAndLeaveAreOkAndChangeNothing() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      let create = #""type":"create","chat":"room:r","name":"R","public":true"#
      try alice.ask(create, id: "c", expecting: "ok")
      try alice.ask(create + #","retry":true"#, id: "c", expecting: "ok")
      #expect(try alice.refusal(create) == "exists")
      #expect(try bob.refusal(create) == "exists")

      try bob.ask(#""type":"join","chat":"room:r""#, id: "j", expecting: "ok")
      try bob.ask(#""type":"join","chat":"room:r","retry":true"#, id: "j", expecting: "ok")
      try bob.ask(#""type":"join","chat":"room:r""#, id: "j2", expecting: "ok")
      try alice.say(to: "room:r", id: "between")
      try bob.message("between")
      try bob.ask(#""type":"leave","chat":"room:r""#, id: "l", expecting: "ok")
      try bob.ask(#""type":"leave","chat":"room:r","retry":true"#, id: "l", expecting: "ok")
      try bob.ask(#""type":"leave","chat":"room:r""#, id: "l2", expecting: "ok")
      try alice.take("the leaving") { $0.type == "member" && $0["role"] == .null }
      try alice.say(to: "room:r", id: "end")
      try alice.settle()
      let seen = alice.events(of: "room:r").filter { $0["user"]?.string == "bob" }
      #expect(seen.map { $0["role"] } == [.string("member"), .null])
    }
  }

  @Test func createRepeatedAfterARestartIsOk() throws {
    try withServer { server in
      let create = #""type":"create","chat":"room:r","name":"R","public":true"#
      try server.attach("alice", "phone").ask(create, id: "c", expecting: "ok")
      try server.restart()
      try server.attach("alice", "phone").ask(create + #","retry":true"#, id: "c", expecting: "ok")
    }
  }
}
