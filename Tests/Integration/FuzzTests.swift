import Foundation
import Support
import Testing

/// Bytes at random: whoever sent them gets an answer or is closed, and nobody else notices.
@Suite struct FuzzTests {
  /// A run that failed is repeated with the seed that it told.
  private static let seed =
    ProcessInfo.processInfo.environment["FASTCHAT_SEED"].flatMap { UInt64($0) }
    ?? UInt64.random(in: 0...UInt64.max)

  private static let frames = [
    #"{"type":"hello","user":"alice","device":"phone","log":"x","cursors":{"*":0,"dm:alice:bob":1042}}"#,
    #"{"type":"send","id":"c1","to":"user:bob","body":{"a":[1.0e+2,"\u00e9😀",null,true]},"retry":true}"#,
    #"{"type":"history","id":"h","chat":"dm:alice:bob","before":1099511627779,"limit":50}"#,
    #"{"type":"history","id":"h","chat":"room:lobby","after":0}"#,
    #"{"type":"read","id":"r","chat":"dm:alice:bob","seq":1099511627777}"#,
    #"{"type":"typing","chat":"dm:alice:bob","on":true}"#, #"{"type":"ping","id":"p"}"#,
    #"{"type":"create","id":"c","chat":"room:lobby","name":"Lobby","public":true}"#,
    #"{"type":"join","id":"j","chat":"room:lobby"}"#, #"{"type":"leave","id":"l","chat":"room:lobby"}"#,
    #"{"type":"members","id":"m","chat":"room:lobby","after":"alice","limit":100}"#,
    #"{"type":"chats","id":"c","after":"dm:alice:bob","limit":100}"#,
  ]

  private static func mutated(_ text: String, _ generator: inout SeededGenerator) -> [UInt8] {
    var bytes = Array(text.utf8)
    for _ in 0..<Int.random(in: 1...3, using: &generator) {
      let place = Int.random(in: 0..<bytes.count, using: &generator)
      switch Int.random(in: 0..<6, using: &generator) {
      case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
      case 1: bytes.remove(at: place)
      case 2: bytes.insert(Array("{}[]\",:\\0-.eE\u{0}".utf8).randomElement(using: &generator)!, at: place)
      case 3: bytes = Array(bytes[..<max(place, 1)])
      case 4: bytes.insert(contentsOf: bytes[place...].prefix(20), at: place)
      default: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      }
      if bytes.isEmpty { bytes = [0x7b] }
    }
    return bytes
  }

  @Test(arguments: Backend.allCases)
  func wrongFramesAtRandomAreAnsweredOrCloseTheirOwnConnection(backend: Backend) throws {
    try withServer(["--limits-rate", "1000000", "--shards", "2"], backend: backend) { server in
      var generator = SeededGenerator(seed: Self.seed)
      let witness = try server.attach("witness", "phone")
      for round in 0..<60 {
        let client = try server.attach("alice")
        do {
          for _ in 0..<30 {
            let frame = Self.mutated(Self.frames.randomElement(using: &generator)!, &generator)
            try client.socket.send(opcode: WebSocketTestFrame.Opcode.text, frame)
          }
          try client.settle()
        } catch let closed as WebSocketClosed {
          #expect(closed.code == 1007 || closed.code == nil, "seed \(Self.seed) round \(round): \(closed)")
        } catch let failure as TestFailure where failure.description.hasPrefix("send:") {
          // It was closed while something was being sent.
        } catch {
          throw TestFailure("seed \(Self.seed) round \(round): \(error)")
        }
        try witness.say(to: "user:witness", id: "w\(round)")
      }
      #expect(try witness.wholeHistory("dm:witness:witness").count == 60, "seed \(Self.seed)")
    }
  }

  @Test(arguments: Backend.allCases)
  func bytesAtRandomAfterTheUpgradeOrInPlaceOfItHarmNobody(backend: Backend) throws {
    try withServer(["--shards", "2"], backend: backend) { server in
      var generator = SeededGenerator(seed: Self.seed)
      let witness = try server.attach("witness", "phone")
      let request = HTTPTestClient.text(
        of: "GET", "/ws", headers: WebSocketTestClient.upgradeHeaders(), port: server.port)
      for round in 0..<150 {
        let socket = try TestSocket(port: round % 4 == 0 ? server.adminPort : server.port)
        let noise = (0..<Int.random(in: 1...300, using: &generator)).map { _ in
          UInt8.random(in: 0...255, using: &generator)
        }
        let bytes =
          switch round % 3 {
          case 0: noise
          case 1: Self.mutated(request, &generator) + noise
          default: Array(request.utf8) + noise
          }
        try? socket.send(bytes)
        if round % 5 == 0 { socket.reset() } else { socket.finishSending() }
        if round % 10 == 0 { try witness.settle() }
      }
      try witness.settle()
    }
  }
}
