import Support
import Testing

/// Frames that are wrong, too large or too many, each with its defined answer (PROTOCOL, "Errors").
@Suite struct RefusalTests {
  @Test(arguments: Backend.allCases)
  func textThatIsNotAnObjectIsABadFrameAndTheConnectionGoesOn(backend: Backend) throws {
    let cases = [
      "", " ", "not json", "[]", "1", "\"x\"", "null", "{", "}", "{}}", "{\"type\":\"ping\",\"id\":\"x\"",
      "{\"type\":\"ping\",\"id\":\"x\"} x", "{\"type\":\"ping\",\"id\":\"x\",}", "{'type':'ping','id':'x'}",
      "{\"type\":\"ping\",\"id\":\"x\"}{}", "{\"type\" \"ping\"}", "{type:\"ping\"}", "// \n{}",
      "{\"type\":\"ping\",\"id\":\"a\nb\"}", "{\"type\":\"ping\",\"id\":\"\\x\"}",
      "{\"type\":\"ping\",\"id\":\"\\u12\"}", "\u{feff}{\"type\":\"ping\",\"id\":\"x\"}",
      "{\"type\":\"send\",\"id\":\"x\",\"to\":\"user:bob\",\"body\":01}",
      "{\"type\":\"send\",\"id\":\"x\",\"to\":\"user:bob\",\"body\":NaN}",
      "{\"type\":\"send\",\"id\":\"x\",\"to\":\"user:bob\",\"body\":1.}",
      "{\"type\":\"send\",\"id\":\"x\",\"to\":\"user:bob\",\"body\":[1,]}",
      "{\"type\":\"send\",\"id\":\"x\",\"to\":\"user:bob\",\"body\":}",
      "{\"type\":\"send\",\"id\":\"x\",\"to\":\"user:bob\",\"body\":tru}",
    ]
    try withServer(backend: backend) { server in
      let alice = try server.attach("alice", "phone")
      for text in cases {
        try alice.write(text)
        let refusal = try alice.next()
        #expect(refusal.type == "error" && refusal.code == "bad-frame", "\(text): \(refusal)")
        #expect(refusal["message"]?.string?.isEmpty == false)
      }
      try alice.settle()
      #expect(try alice.history("dm:alice:bob").messages.isEmpty)
    }
  }

  @Test func unknownTypesAndWrongFieldsAreBadRequestsWithTheirId() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      for fields in [
        #""type":"nonsense""#, #""type":"""#, #""type":"Send","to":"user:bob","body":1"#, #""type":7"#,
        #""type":null"#, #""type":"welcome""#, #""kind":"ping""#, #""type":"live""#,
      ] {
        #expect(try alice.refusal(fields) == "bad-request", "\(fields)")
      }
      try alice.write("{}")
      let refusal = try alice.take("error")
      #expect(refusal.code == "bad-request" && refusal.id == nil)
      try alice.settle()
    }
  }

  @Test func jsonIsTakenThirtyTwoDeepAndNoDeeper() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      try alice.say(to: "user:bob", id: "deep", body: nested(31))
      #expect(try bob.message("deep").body == nested(31))
      for depth in [33, 1000, 20_000] {
        try alice.write(#"{"type":"send","id":"x","to":"user:bob","body":\#(nested(depth))}"#)
        #expect(try alice.take("error").code == "bad-frame")
      }
      try alice.settle()
    }
  }

  @Test func bodyOverItsLimitIsTooLarge() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      func body(_ bytes: Int) -> String { "\"" + String(repeating: "x", count: bytes - 2) + "\"" }
      try alice.say(to: "user:bob", id: "fits", body: body(60 << 10))
      #expect(try bob.message("fits").body == body(60 << 10))
      let refusal = try alice.answer(to: alice.post(to: "user:bob", body: body((60 << 10) + 1)))
      #expect(refusal.code == "too-large")
      try alice.settle()
    }
  }

  @Test(arguments: Backend.allCases)
  func requestsOverTheRateAreRefusedAndWelcomeAgainAfterTheWait(backend: Backend) throws {
    try withServer(["--limits-rate", "5"], backend: backend) { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      #expect(alice.welcome?["limits"]?["rate"]?.int == 5)
      for number in 0..<200 { try alice.write(#"{"type":"ping","id":"p\#(number)"}"#) }
      let answers = try (0..<200).map { try alice.answer(to: "p\($0)") }
      let refused = answers.filter { $0.type == "error" }
      #expect(refused.count >= 1 && refused.allSatisfy { $0.code == "rate-limited" })
      // The burst of two seconds is there at once.
      #expect(answers.prefix(10).allSatisfy { $0.type == "pong" })
      let wait = try #require(refused.last?["retry"]?.int)
      #expect(wait > 0 && wait <= 2000)
      // The limit is the session's: another one is served.
      try bob.say(to: "user:carl")
      let deadline = Deadline.usual
      while try alice.ask(#""type":"ping""#).type != "pong" { try #require(!deadline.hasPassed) }
    }
  }

  @Test func appendsBeyondTheBoundAreBusyAndChangedNothing() throws {
    try withServer(["--limits-append-bytes", "1M", "--limits-rate", "100000"]) { server in
      let clients = try (0..<4).map { try server.attach("user\($0)", "phone") }
      let body = "\"" + String(repeating: "x", count: 50_000) + "\""
      for number in 0..<40 {
        for client in clients { try client.post(to: "user:bob", id: "m\(number)", body: body) }
      }
      for (number, client) in clients.enumerated() {
        var acked: [Int] = []
        for message in 0..<40 {
          let answer = try client.answer(to: "m\(message)")
          if answer.type == "ack" { acked.append(answer.seq!) } else { #expect(answer.code == "busy") }
        }
        #expect(!acked.isEmpty)
        #expect(try client.wholeHistory(direct("user\(number)", "bob")).map { $0.seq! } == acked)
      }
    }
  }
}
