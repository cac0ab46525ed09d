import Support
import Testing

private typealias Opcode = WebSocketTestFrame.Opcode

/// What `/ws` does with frames as frames (RFC 6455; PROTOCOL, "Connecting" and "Closing").
@Suite struct ConnectionTests {
  @Test(arguments: Backend.allCases)
  func wrongFramesCloseWithTheCodeThatFits(backend: Backend) throws {
    let ping = Array(#"{"type":"ping","id":"x"}"#.utf8)
    let cases: [(String, [UInt8], Int)] = [
      ("binary", WebSocketTestClient.bytes(opcode: Opcode.binary, ping), 1003),
      (
        "too long", WebSocketTestClient.bytes(opcode: Opcode.text, .init(repeating: 0x20, count: 65_537)),
        1009
      ),
      ("too long by its header alone", [0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4], 1009),
      (
        "too long in fragments",
        WebSocketTestClient.bytes(opcode: Opcode.text, .init(repeating: 0x20, count: 40_000), isFinal: false)
          + WebSocketTestClient.bytes(opcode: Opcode.continuation, .init(repeating: 0x20, count: 40_000)),
        1009
      ),
      ("bad UTF-8", WebSocketTestClient.bytes(opcode: Opcode.text, [0x22, 0xc3, 0x28, 0x22]), 1007),
      ("a surrogate", WebSocketTestClient.bytes(opcode: Opcode.text, [0xed, 0xa0, 0x80]), 1007),
      (
        "bad UTF-8 before the end", WebSocketTestClient.bytes(opcode: Opcode.text, [0xff], isFinal: false),
        1007
      ),
      ("UTF-8 cut off", WebSocketTestClient.bytes(opcode: Opcode.text, [0x22, 0xc3]), 1007),
      ("unmasked", WebSocketTestClient.bytes(opcode: Opcode.text, ping, mask: nil), 1002),
      ("reserved bit", WebSocketTestClient.bytes(opcode: Opcode.text, ping, reserved: 4), 1002),
      ("unknown opcode", WebSocketTestClient.bytes(opcode: 3, ping), 1002),
      ("unknown control", WebSocketTestClient.bytes(opcode: 11, []), 1002),
      ("continuation of nothing", WebSocketTestClient.bytes(opcode: Opcode.continuation, ping), 1002),
      (
        "text inside a message",
        WebSocketTestClient.bytes(opcode: Opcode.text, ping, isFinal: false)
          + WebSocketTestClient.bytes(opcode: Opcode.text, ping), 1002
      ),
      ("long ping", WebSocketTestClient.bytes(opcode: Opcode.ping, .init(repeating: 0, count: 126)), 1002),
      ("ping in fragments", WebSocketTestClient.bytes(opcode: Opcode.ping, [], isFinal: false), 1002),
      ("close of one byte", WebSocketTestClient.bytes(opcode: Opcode.close, [3]), 1002),
      ("close with 1005", WebSocketTestClient.bytes(opcode: Opcode.close, [0x03, 0xed]), 1002),
      ("close with bad UTF-8", WebSocketTestClient.bytes(opcode: Opcode.close, [0x03, 0xe8, 0xff]), 1007),
    ]
    try withServer(backend: backend) { server in
      for (name, bytes, code) in cases {
        let alice = try server.attach("alice")
        try alice.socket.socket.send(bytes)
        #expect(try alice.socket.close().code == code, "\(name)")
        #expect(try alice.socket.socket.receiveToEnd().isEmpty, "\(name)")
      }
    }
  }

  @Test func frameMayBeAsLongAsItsLimit() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let ping = #"{"type":"ping","id":"x"}"#
      try alice.write(ping + String(repeating: " ", count: 65_536 - ping.utf8.count))
      try alice.answer(to: "x", type: "pong")
    }
  }

  @Test(arguments: Backend.allCases)
  func messageMayComeInFragmentsWithPingsBetweenAndByteByByte(backend: Backend) throws {
    try withServer(backend: backend) { server in
      let alice = try server.attach("alice", "phone")
      let bob = try server.attach("bob", "phone")
      let text = Array(#"{"type":"send","id":"é","to":"user:bob","body":"grüße 😀"}"#.utf8)
      var bytes = WebSocketTestClient.bytes(opcode: Opcode.text, [], isFinal: false)
      for byte in text {
        bytes += WebSocketTestClient.bytes(opcode: Opcode.continuation, [byte], isFinal: false)
        bytes += WebSocketTestClient.bytes(opcode: Opcode.ping, [byte])
      }
      bytes += WebSocketTestClient.bytes(opcode: Opcode.continuation, [])
      for byte in bytes { try alice.socket.socket.send([byte]) }
      try alice.answer(to: "é", type: "ack")
      #expect(try bob.message("é").body == "\"grüße 😀\"")
    }
  }

  @Test func closeIsAnsweredAndTheConnectionEnds() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      try alice.socket.sendClose(code: 1000, reason: "bye")
      #expect(try alice.socket.close().code == 1000)
      #expect(try alice.socket.socket.receiveToEnd().isEmpty)
      let bob = try server.attach("bob", "phone")
      try bob.socket.send(opcode: Opcode.close, [])
      #expect([1000, 1005].contains(try bob.socket.close().code))
    }
  }

  @Test(arguments: Backend.allCases)
  func halfOpenAndResetConnectionsEndAndTheDeviceComesBack(backend: Backend) throws {
    try withServer(backend: backend) { server in
      let bob = try server.attach("bob", "phone")
      let half = try server.attach("alice", "phone")
      half.socket.socket.finishSending()
      _ = try half.socket.close()
      let broken = try server.attach("alice", "phone")
      try broken.post(to: "user:bob", id: "last words")
      try bob.message("last words")
      broken.socket.socket.reset()
      let upgrading = try TestSocket(port: server.port)
      try upgrading.send(Array("GET /ws HTT".utf8))
      upgrading.reset()
      let alice = try server.attach("alice", "phone")
      try alice.say(to: "user:bob", id: "back")
      try bob.message("back")
    }
  }

  @Test(arguments: Backend.allCases)
  func floodOfPingsIsAnsweredOrMergedAndHarmsNobody(backend: Backend) throws {
    try withServer(backend: backend) { server in
      let bob = try server.attach("bob", "phone")
      let flooder = try server.attach("alice", "phone")
      let ping = WebSocketTestClient.bytes(opcode: Opcode.ping, Array(repeating: 7, count: 100))
      let flood = Array(repeatElement(ping, count: 20_000).joined())
      // A server that stops reading while its answers wait is right: the rest goes when they are read.
      var sent = 0
      while sent < flood.count {
        let count = try flooder.socket.socket.sendSome(flood[sent...])
        if count == 0 { break }
        sent += count
      }
      try bob.say(to: "user:carl")
      try flooder.socket.pump(flood[sent...])
      try flooder.settle()
      try bob.say(to: "user:alice", id: "still")
      try flooder.message("still")
    }
  }

  @Test(arguments: Backend.allCases)
  func slowReaderGetsEverythingOnceAndInOrderAndNobodyWaitsForIt(backend: Backend) throws {
    let flags = ["--limits-output", "16K", "--limits-rate", "100000", "--shards", "2"]
    try withServer(flags, backend: backend) { server in
      let alice = try server.attach("alice", "phone")
      try alice.create("room:lobby")
      let slow = try server.attach("bob", "phone", receiveBuffer: 64 << 10)
      let quick = try server.attach("carl", "phone")
      for client in [slow, quick] { try client.join("room:lobby") }
      // More than the kernel's buffers take: 15 MB.
      let body = "\"" + String(repeating: "x", count: 10_000) + "\""
      let ids = (0..<1500).map { "m\($0)" }
      for id in ids {
        try alice.post(to: "room:lobby", id: id, body: body)
        try quick.message(id)
      }
      for id in ids { try alice.answer(to: id, type: "ack") }
      // An answer is never dropped, however many messages are.
      try slow.post(to: "user:dave", id: "meanwhile")
      try alice.say(to: "user:bob", id: "other chat")
      for (number, id) in ids.enumerated() {
        try slow.message(id)
        // Who does not read does not answer pings.
        if number % 100 == 0 { for client in [alice, quick] { try client.settle() } }
      }
      try slow.message("other chat")
      try slow.answer(to: "meanwhile", type: "ack")
      #expect(slow.messageIDs(of: "room:lobby") == ids)
      #expect(quick.messageIDs(of: "room:lobby") == ids)
      let events = slow.events(of: "room:lobby")
      for (event, next) in zip(events, events.dropFirst()) { #expect(next.prev == event.seq, "\(next)") }
      for event in events.filter({ $0.type == "message" }) { #expect(event.body == body) }
      // And it is live again.
      try alice.say(to: "room:lobby", id: "live")
      try slow.message("live")
    }
  }

  @Test(arguments: Backend.allCases)
  func answersToAClientThatDoesNotReadAreBoundedAndComplete(backend: Backend) throws {
    let flags = ["--limits-output", "16K", "--limits-rate", "1000000"]
    try withServer(flags, backend: backend) { server in
      let alice = try server.attach("alice", "phone", receiveBuffer: 64 << 10)
      let frames = (0..<20_000).map { #"{"type":"ping","id":"\#($0)"}"# }
      let bytes = frames.flatMap { WebSocketTestClient.bytes(opcode: Opcode.text, Array($0.utf8)) }
      try alice.socket.pump(bytes[...])
      for number in 0..<frames.count { #expect(try alice.next().id == "\(number)") }
      try server.attach("bob").settle()
    }
  }
}
