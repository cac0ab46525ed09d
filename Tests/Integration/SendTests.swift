import Support
import Testing

/// `send`, its `ack`, and the `message` that all others get.
@Suite struct SendTests {
  @Test(arguments: Backend.allCases)
  func messageReachesEverySessionButTheOneThatSentIt(backend: Backend) throws {
    try withServer(["--shards", "2"], backend: backend) { server in
      let phone = try server.attach("alice", "phone")
      let others = [
        try server.attach("alice", "laptop"), try server.attach("bob", "phone"),
        try server.attach("bob", "laptop"), try server.attach("bob"), try server.attach("alice"),
      ]
      let stranger = try server.attach("carl", "phone")
      let ack = try phone.say(to: "user:bob", id: "c1", body: #"{"text":"hi"}"#)
      #expect(ack.value.keys == ["type", "id", "chat", "seq", "time"])
      #expect(ack.chat == "dm:alice:bob")
      for client in others {
        let message = try client.message("c1")
        #expect(message.value.keys == ["type", "chat", "seq", "prev", "from", "id", "time", "body"])
        #expect(message.chat == "dm:alice:bob")
        #expect(message.seq == ack.seq && message.prev == 0)
        #expect(message["from"]?.string == "alice")
        #expect(message["time"] == ack["time"])
        #expect(message.body == #"{"text":"hi"}"#)
      }
      // A second message behind the first shows that nobody was handed the first one twice.
      try phone.say(to: "dm:alice:bob", id: "c2")
      for client in others {
        try client.message("c2")
        #expect(client.messageIDs(of: "dm:alice:bob") == ["c1", "c2"])
      }
      try phone.settle()
      try stranger.settle()
      #expect(phone.events().isEmpty && stranger.events().isEmpty)
    }
  }

  @Test func bothNamesOfADirectChatAreTheSameChat() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      let one = try alice.say(to: "user:bob")
      let two = try bob.say(to: "user:alice")
      let three = try bob.say(to: "dm:alice:bob")
      #expect([one, two, three].allSatisfy { $0.chat == "dm:alice:bob" })
      #expect(one.seq! < two.seq! && two.seq! < three.seq!)
      // Byte order: capitals come first.
      #expect(try alice.say(to: "user:Zoe").chat == "dm:Zoe:alice")
    }
  }

  @Test func chatWithOneselfReachesTheOtherDevicesOnce() throws {
    try withServer { server in
      let phone = try server.attach("alice", "phone")
      let laptop = try server.attach("alice", "laptop")
      let acks = try [phone.say(to: "user:alice", id: "n1"), phone.say(to: "dm:alice:alice", id: "n2")]
      #expect(acks.allSatisfy { $0.chat == "dm:alice:alice" })
      try laptop.message("n2")
      #expect(laptop.messageIDs(of: "dm:alice:alice") == ["n1", "n2"])
      try phone.settle()
      #expect(phone.events().isEmpty)
    }
  }

  @Test func bodiesArePassedThroughByteForByte() throws {
    let bodies = [
      "null", "true", "false", "0", "-0", "-0.0", "1.0e+2", "1E300", "12345678901234567890123456789", "0.10",
      "\"\"", #""\u0041\/\"\\\b\f\n\r\t""#, "\"é😀\u{7f}\u{2028}\"", #""\ud83d\ude00""#, "[]", "{}",
      "[ 1 ,\t2 , [ ] ]", #"{ "b" : 1, "a" : { "b" : [ 1.50, "x" ] } }"#, #"{"a":1,"a":2}"#,
      #"{"type":"ack","id":"fake","seq":1}"#, #""},{\"type\":\"message\"}""#, "[\n  1,\r\n  2\n]",
    ]
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      for (number, body) in bodies.enumerated() {
        try alice.say(to: "user:bob", id: "b\(number)", body: body)
        #expect(try bob.message("b\(number)").body == body)
      }
      let replayed = try server.attach("bob", "tablet", cursors: #"{"*":0}"#)
      #expect(replayed.events().map(\.body) == bodies)
      let history = try bob.ask(#""type":"history","chat":"dm:alice:bob""#)
      for body in bodies { #expect(history.text.contains("\"body\":\(body)")) }
    }
  }

  @Test func spaceAroundABodyIsNotPartOfIt() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      try alice.write(
        " { \"to\" : \"user:bob\" , \"body\" :  [1, 2]  ,\t\"id\" : \"s\" ,\n \"type\" : \"send\" } ")
      #expect(try bob.message("s").body == "[1, 2]")
    }
  }

  @Test func idsMayHoldAnythingAndAreEchoed() throws {
    let ids = ["\"", "\\", "a\nb", "é😀", "\u{0}", "/", String(repeating: "i", count: 64), "{}", " "]
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      for id in ids {
        try alice.say(to: "user:bob", id: id)
        try bob.message(id)
      }
      // The bytes count, not how they are escaped.
      let escaped = String(repeating: #"\u00e9"#, count: 32)
      try alice.write(#"{"type":"send","id":"\#(escaped)","to":"user:bob","body":1}"#)
      try alice.answer(to: String(repeating: "é", count: 32), type: "ack")
    }
  }

  @Test func wrongSendsAreBadRequests() throws {
    let long = String(repeating: "x", count: 65)
    let cases = [
      #""to":"bob","body":1"#, #""to":"user:","body":1"#, #""to":"user:a b","body":1"#, #""to":"","body":1"#,
      #""to":"user:\#(long)","body":1"#, #""to":"dm:alice","body":1"#, #""to":"dm:alice:bob:carl","body":1"#,
      #""to":"dm:bob:alice","body":1"#, #""to":"room:","body":1"#, #""to":"room:a/b","body":1"#,
      #""to":"room:\#(long)","body":1"#, #""to":"group:x","body":1"#, #""to":7,"body":1"#, #""body":1"#,
      #""to":"user:bob""#, #""to":"user:bob","body":1,"retry":1"#, #""to":null,"body":1"#,
    ]
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      for fields in cases {
        #expect(try alice.refusal(#""type":"send",\#(fields)"#) == "bad-request", "\(fields)")
      }
      for id in ["", "\"id\":\"\",", "\"id\":7,", "\"id\":null,", "\"id\":\"\(long)\","] {
        try alice.write("{\"type\":\"send\",\(id)\"to\":\"user:bob\",\"body\":1}")
        let refusal = try alice.take("error")
        #expect(refusal.code == "bad-request" && refusal.id == nil, "\(id)")
      }
      try alice.say(to: "user:bob")
    }
  }

  @Test func chatsOfOthersAreForbiddenAndAbsentRoomsNotFound() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      #expect(try alice.refusal(#""type":"send","to":"dm:bob:carl","body":1"#) == "forbidden")
      #expect(try alice.refusal(#""type":"send","to":"room:nowhere","body":1"#) == "not-found")
    }
  }

  @Test func acceptedTimesAreTheServersAndTheSameEverywhere() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      let welcomed = try #require(alice.welcome?["time"]?.int)
      let ack = try alice.say(to: "user:bob", id: "t")
      let time = try #require(ack["time"]?.int)
      #expect(time >= welcomed)
      #expect(try bob.message("t")["time"]?.int == time)
      #expect(try bob.history("dm:alice:bob").messages.first?["time"]?.int == time)
    }
  }

  @Test(arguments: Backend.allCases)
  func sendsOfOneSessionToOneChatKeepTheirOrder(backend: Backend) throws {
    try withServer(["--limits-rate", "100000"], backend: backend) { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      // Far above the 64 unanswered requests at which the socket is not read any more.
      let frames = (0..<1000).map { #"{"type":"send","id":"m\#($0)","to":"user:bob","body":\#($0)}"# }
      try alice.socket.socket.send(
        frames.flatMap { WebSocketTestClient.bytes(opcode: WebSocketTestFrame.Opcode.text, Array($0.utf8)) })
      let seqs = try (0..<1000).map { try alice.answer(to: "m\($0)", type: "ack").seq! }
      #expect(zip(seqs, seqs.dropFirst()).allSatisfy { $0 < $1 })
      try bob.message("m999")
      #expect(bob.messageIDs(of: "dm:alice:bob") == (0..<1000).map { "m\($0)" })
    }
  }

  @Test(arguments: Backend.allCases)
  func everyListenerOfARoomSeesTheSameOrderOfAHundredConcurrentSenders(backend: Backend) throws {
    try withServer(["--shards", "2", "--limits-rate", "100000"], backend: backend) { server in
      let owner = try server.attach("owner", "phone")
      try owner.create("room:lobby")
      let clients = try (0..<100).map { try server.attach("user\($0)", "phone") }
      for client in clients { try client.join("room:lobby") }
      let watcher = try server.attach("owner", "tablet")
      for round in 0..<3 {
        for (number, client) in clients.enumerated() {
          try client.post(to: "room:lobby", id: "\(round)-\(number)")
        }
      }
      let order = try (0..<300).map { _ in try watcher.take("message", chat: "room:lobby") }
      let seqs = order.map { $0.seq! }
      #expect(zip(seqs, seqs.dropFirst()).allSatisfy { $0 < $1 })
      #expect(zip(order, order.dropFirst()).allSatisfy { $1.prev == $0.seq })
      #expect(Set(order.map(\.id)).count == 300)
      let places = Dictionary(uniqueKeysWithValues: order.map { ($0.id!, $0.seq!) })
      for (number, client) in clients.enumerated() {
        for round in 0..<3 {
          let ack = try client.answer(to: "\(round)-\(number)", type: "ack")
          #expect(ack.seq == places[ack.id!])
        }
        for _ in 0..<297 { try client.take("message", chat: "room:lobby") }
        let expected = order.filter { $0["from"]?.string != "user\(number)" }.map { $0.id! }
        #expect(client.messageIDs(of: "room:lobby") == expected)
      }
    }
  }
}
