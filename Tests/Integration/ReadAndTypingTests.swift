import Support
import Testing

/// Read marks, typing and the client's own ping.
@Suite struct ReadAndTypingTests {
  @Test(arguments: Backend.allCases)
  func readMarkIsToldToTheOthersAndTheOwnOtherSessions(backend: Backend) throws {
    try withServer(["--shards", "2"], backend: backend) { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      let laptop = try server.attach("bob", "laptop")
      let seq = try alice.say(to: "user:bob").seq!
      try bob.take("message")
      try bob.ask(#""type":"read","chat":"dm:alice:bob","seq":\#(seq)"#, expecting: "ok")
      for client in [alice, laptop] {
        let read = try client.take("read", chat: "dm:alice:bob")
        #expect(read["user"]?.string == "bob" && read.seq == seq)
      }
      let list = try bob.ask(#""type":"chats""#, expecting: "chats")
      #expect(try bob.row("dm:alice:bob", in: list)["read"]?.int == seq)
      #expect(try server.attach("bob", "tablet").row("dm:alice:bob")["read"]?.int == seq)
      #expect(try server.attach("alice", "tablet").row("dm:alice:bob")["read"]?.int == 0)
      try bob.settle()
      #expect(!bob.received.contains { $0.type == "read" })
    }
  }

  @Test func readMarkIsClampedToTheHeadAndNeverGoesBack() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      let low = try alice.say(to: "user:bob").seq!
      let head = try alice.say(to: "user:bob").seq!
      try bob.take("the head") { $0.type == "message" && $0.seq == head }
      try bob.ask(#""type":"read","chat":"dm:alice:bob","seq":\#(head + 1000)"#, expecting: "ok")
      #expect(try alice.take("read").seq == head)
      try bob.ask(#""type":"read","chat":"dm:alice:bob","seq":\#(low)"#, expecting: "ok")
      #expect(try server.attach("bob", "tablet").row("dm:alice:bob")["read"]?.int == head)
      // A later mark shows that the lower one was told to nobody.
      let next = try alice.say(to: "user:bob").seq!
      try bob.take("the next one") { $0.type == "message" && $0.seq == next }
      try bob.ask(#""type":"read","chat":"dm:alice:bob","seq":\#(next)"#, expecting: "ok")
      #expect(try alice.take("read").seq == next)
    }
  }

  @Test func readWithoutIdHasNoAnswer() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      let seq = try alice.say(to: "user:bob").seq!
      try bob.take("message")
      try bob.write(#"{"type":"read","chat":"dm:alice:bob","seq":\#(seq)}"#)
      #expect(try alice.take("read").seq == seq)
      try bob.settle()
      #expect(bob.received.map(\.type) == ["welcome", "live", "message", "pong"])
    }
  }

  @Test(arguments: Backend.allCases)
  func typingIsToldToTheOtherMembersOnly(backend: Backend) throws {
    try withServer(["--shards", "2"], backend: backend) { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      let eve = try server.attach("eve", "phone")
      try alice.create("room:lobby")
      try bob.join("room:lobby")
      for (chat, on) in [("dm:alice:bob", true), ("dm:alice:bob", false), ("room:lobby", true)] {
        try alice.write(#"{"type":"typing","chat":"\#(chat)","on":\#(on)}"#)
        let typing = try bob.take("typing")
        #expect(typing.chat == chat && typing["user"]?.string == "alice" && typing["on"]?.bool == on)
      }
      try eve.settle()
      #expect(!eve.received.contains { $0.type == "typing" })
      try alice.settle()
      #expect(!alice.received.contains { $0.type == "typing" || $0.type == "error" })
    }
  }

  @Test func pingIsAnsweredWithItsId() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let pong = try alice.ask(#""type":"ping""#, id: "any \"id\"", expecting: "pong")
      #expect(pong.value.keys == ["type", "id"])
    }
  }

  @Test func wrongMarksAreBadRequests() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      try alice.say(to: "user:bob")
      for fields in [
        #""type":"read","chat":"dm:alice:bob""#, #""type":"read","chat":"dm:alice:bob","seq":"1""#,
        #""type":"read","chat":"dm:alice:bob","seq":-1"#, #""type":"read","seq":1"#,
        #""type":"typing","chat":"dm:alice:bob","on":1"#, #""type":"typing","on":true"#,
      ] {
        #expect(try alice.refusal(fields) == "bad-request", "\(fields)")
      }
      try alice.write(#"{"type":"ping"}"#)
      #expect(try alice.take("error").code == "bad-request")
      #expect(try alice.refusal(#""type":"read","chat":"dm:bob:carl","seq":1"#) == "forbidden")
    }
  }
}
