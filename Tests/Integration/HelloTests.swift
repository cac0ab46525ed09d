import Support
import Testing

/// The first frame (PROTOCOL, "Connecting").
@Suite struct HelloTests {
  @Test(arguments: Backend.allCases)
  func welcomeSaysWhoTheClientIsAndWhatHolds(backend: Backend) throws {
    try withServer(backend: backend) { server in
      let client = try server.connect()
      let welcome = try client.hello(user: "alice", device: "phone")
      #expect(client.received.first?.type == "welcome")
      #expect(welcome["user"]?.string == "alice")
      #expect(welcome["device"]?.string == "phone")
      #expect(welcome["session"]?.string?.isEmpty == false)
      #expect(welcome["server"]?.string == "local")
      #expect(welcome["log"]?.string?.isEmpty == false)
      #expect(try #require(welcome["time"]?.int) > 1_600_000_000_000)
      #expect(welcome["heartbeat"]?.int == 25)
      #expect(welcome["limits"]?["frame"]?.int == 65_536)
      #expect(welcome["limits"]?["rate"]?.int == 50)
      #expect(welcome["limits"]?["dedupe"]?.int == 300_000)
      #expect(welcome["chats"]?.array == [])
      #expect(welcome["more"]?.bool == false)
      try client.take("live")
      #expect(client.socket.headers["sec-websocket-protocol"] == "fastchat.v1")
    }
  }

  @Test func logIsTheSameAfterARestartAndAnotherInAnotherDirectory() throws {
    func log(_ server: ServerProcess) throws -> String? {
      try server.attach("alice").welcome?["log"]?.string
    }
    let other = try withServer { try log($0) }
    try withServer { server in
      let first = try log(server)
      try server.restart()
      #expect(try log(server) == first)
      #expect(first != other)
    }
  }

  @Test func requestsBeforeHelloAreUnauthorizedAndHelloStillWorks() throws {
    try withServer { server in
      let client = try server.connect()
      #expect(try client.refusal(#""type":"ping""#) == "unauthorized")
      #expect(try client.refusal(#""type":"send","to":"user:bob","body":1"#) == "unauthorized")
      try client.hello(user: "alice")
      try client.take("live")
    }
  }

  @Test func secondHelloIsABadRequestAndTheSessionGoesOn() throws {
    try withServer { server in
      let client = try server.attach("alice", "phone")
      try client.write(#"{"type":"hello","user":"bob","device":"phone"}"#)
      #expect(try client.take("error").code == "bad-request")
      #expect(try client.say(to: "user:carl").chat == "dm:alice:carl")
    }
  }

  @Test func helloWithWrongFieldsIsRefusedAndARightOneWorksAfterIt() throws {
    let long = String(repeating: "x", count: 65)
    let cases = [
      #""user":"""#, #""user":"a b""#, #""user":"a/b""#, #""user":"a:b""#, #""user":"é""#,
      #""user":"a\u0000b""#, #""user":"\#(long)""#, #""user":7"#, #""user":null"#, #""device":"phone""#,
      #""user":"alice","device":"""#, #""user":"alice","device":"a b""#, #""user":"alice","device":7"#,
      #""user":"alice","device":"\#(long)""#, #""user":"alice","log":7"#, #""user":"alice","cursors":[]"#,
      #""user":"alice","cursors":7"#, #""user":"alice","cursors":{"*":1}"#,
      #""user":"alice","cursors":{"dm:alice:bob":-1}"#, #""user":"alice","cursors":{"dm:alice:bob":"1"}"#,
      #""user":"alice","cursors":{"dm:alice:bob":1.5}"#,
    ]
    try withServer { server in
      for fields in cases {
        let client = try server.connect()
        try client.write("{\"type\":\"hello\",\(fields)}")
        #expect(try client.take("error").code == "bad-request", "\(fields)")
        try client.hello(user: "alice")
      }
    }
  }

  @Test func namesMayUseTheWholeAlphabetAndLength() throws {
    try withServer { server in
      let client = try server.attach(longestName, longestName)
      #expect(client.welcome?["user"]?.string == longestName)
      #expect(client.welcome?["device"]?.string == longestName)
      #expect(try client.say(to: "user:\(longestName)").chat == "dm:\(longestName):\(longestName)")
    }
  }

  @Test func deviceIsMadeUpWhereNoneIsGiven() throws {
    try withServer { server in
      let devices = try (0..<3).map { _ in
        try #require(try server.attach("alice").welcome?["device"]?.string)
      }
      #expect(Set(devices).count == 3)
      #expect(devices.allSatisfy { (1...64).contains($0.utf8.count) })
    }
  }

  @Test func helloMayBeOneMebibyteAndNoMore() throws {
    try withServer { server in
      let client = try server.connect()
      let shell = #"{"type":"hello","user":"alice","cursors":{"*":0}}"#
      try client.write(shell + String(repeating: " ", count: (1 << 20) - shell.utf8.count))
      try client.take("live")

      let refused = try server.connect()
      try refused.write(shell + String(repeating: " ", count: (1 << 20) - shell.utf8.count + 1))
      #expect(try refused.socket.close().code == 1009)
    }
  }

  @Test func manyCursorsOfUnknownChatsAreIgnored() throws {
    try withServer { server in
      let cursors = (0..<20_000).map { "\"room:unknown-\($0)\":\($0)" }.joined(separator: ",")
      let client = try server.attach("alice", "phone", cursors: "{\"*\":0,\(cursors)}")
      #expect(client.received.map(\.type) == ["welcome", "live"])
    }
  }

  @Test func framesBehindHelloWaitForWelcome() throws {
    try withServer { server in
      let frames = [
        #"{"type":"hello","user":"alice"}"#, #"{"type":"ping","id":"p1"}"#,
        #"{"type":"send","id":"s1","to":"user:bob","body":1}"#,
      ].flatMap { WebSocketTestClient.bytes(opcode: WebSocketTestFrame.Opcode.text, Array($0.utf8)) }
      let client = try server.connect()
      try client.socket.socket.send(frames)
      try client.answer(to: "p1", type: "pong")
      try client.answer(to: "s1", type: "ack")
      #expect(client.received.first?.type == "welcome")
    }
  }

  @Test(arguments: Backend.allCases)
  func newerSessionOfADeviceEndsTheOlderOneOnWhateverShard(backend: Backend) throws {
    try withServer(["--shards", "2"], backend: backend) { server in
      let laptop = try server.attach("alice", "laptop")
      let namesake = try server.attach("bob", "phone")
      var current = try server.attach("alice", "phone")
      // Connections are spread over the shards by the kernel: twelve meet both cases.
      for _ in 0..<12 {
        let newer = try server.attach("alice", "phone")
        #expect(try current.socket.close().code == 4504)
        current = newer
      }
      try current.settle()
      try laptop.settle()
      try namesake.settle()
    }
  }
}
