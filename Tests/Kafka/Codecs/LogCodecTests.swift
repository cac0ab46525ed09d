import Chat
import JSON
import Kafka
import Support
import Testing

/// Records of the log come out as they went in, and what is not one is told.
@Suite struct LogCodecTests {
  private func value(_ record: OwnedAppend) -> String {
    var buffer = ByteBuffer()
    record.withAppend { LogCodec.encode($0, into: &buffer) }
    return String(decoding: buffer.bytes, as: UTF8.self)
  }

  private func decoded(
    _ value: String, key: String = "dm:alice:bob", partition: Int32? = nil, of partitions: Int32 = 16
  ) -> OwnedAppend? {
    withBytes([key, value]) { texts in
      var decoder = LogDecoder(partitions: partitions)
      let place = partition ?? Partition.of(texts[0], count: partitions)
      return decoder.decode(key: texts[0], value: texts[1], partition: place).map { OwnedAppend($0) }
    }
  }

  @Test func aRecordReadsAsTheManualSays() {
    var record = OwnedAppend()
    record.isRepeat = true
    #expect(
      value(record)
        == #"{"type":"message","from":"alice","device":"phone","id":"m1","time":1700000000000,"#
        + #""origin":{"epoch":"0000000000000abc","session":"0000000000000def","request":7},"retry":true,"body":"hello"}"#
    )
  }

  @Test func recordsOfEveryKindComeOutAsTheyWentIn() {
    var generator = SeededGenerator(seed: 1)
    let ids = [
      "m1", "with \"quotes\" and \\", "line\nend", "\u{1}\u{1F}", "grüße 👋",
      String(repeating: "i", count: 64),
    ]
    let bodies = ["1", "null", "{\"a\":[1,{\"b\":\"\\u00e9\"}]}", "\"👋\"", "[ ]"]
    for round in 0..<500 {
      var record = OwnedAppend()
      let isRoom = Bool.random(using: &generator)
      record.chat = isRoom ? "room:r\(round)" : "dm:alice:bob\(round)"
      record.kind = isRoom ? [.message, .create, .join, .leave].randomElement(using: &generator)! : .message
      record.id = ids.randomElement(using: &generator)!
      record.device = Bool.random(using: &generator) ? "phone" : ""
      record.isRepeat = Bool.random(using: &generator)
      record.origin = Origin(
        epoch: generator.next(), session: SessionID(raw: generator.next()),
        request: UInt32.random(in: 1 ... .max, using: &generator))
      switch record.kind {
      case .message: record.body = bodies.randomElement(using: &generator)!
      case .create: record.body = #"{"name":"Lobby","public":true}"#
      case .join, .leave: record.body = ""
      }
      record.partition = withBytes([record.chat]) { Partition.of($0[0], count: 16) }
      #expect(decoded(value(record), key: record.chat) == record)
    }
  }

  @Test func membersThatWeDoNotKnowArePassedBy() {
    let text = value(OwnedAppend()).replacing("\"body\"", with: "\"later\":[{\"x\":1}],\"body\"")
    #expect(decoded(text)?.body == "\"hello\"")
  }

  @Test func aRecordInAnotherChatsPartitionIsNotOurs() {
    let text = value(OwnedAppend())
    let right = withBytes(["dm:alice:bob"]) { Partition.of($0[0], count: 16) }
    #expect(decoded(text, partition: right) != nil)
    #expect(decoded(text, partition: (right + 1) % 16) == nil)
  }

  @Test(arguments: [
    ("", "dm:alice:bob"), ("{}", "dm:alice:bob"), ("[1]", "dm:alice:bob"),
    (#"{"type":"message"}"#, "dm:alice:bob"), ("x", ""),
  ])
  func whatIsNoRecordIsToldApart(_ value: String, _ key: String) {
    #expect(decoded(value, key: key) == nil)
  }

  @Test func eachMemberThatMattersIsMissed() {
    let text = value(OwnedAppend())
    #expect(decoded(text) != nil)
    for name in ["type", "from", "device", "id", "time", "origin", "epoch", "session", "request", "body"] {
      #expect(decoded(text.replacing("\"\(name)\":", with: "\"other\":")) == nil, "\(name)")
    }
    #expect(decoded(text, key: "room:a b") == nil, "a chat's id that cannot be one")
    #expect(decoded(text.replacing("alice\",", with: "al ice\",")) == nil, "a user that cannot be one")
  }

  @Test func aBodyAsDeepAsAClientMaySendIsRead() {
    let deep =
      String(repeating: "[", count: Limits.jsonDepth - 1)
      + String(repeating: "]", count: Limits.jsonDepth - 1)
    var record = OwnedAppend()
    record.body = deep
    #expect(decoded(value(record))?.body == deep)
  }

  @Test func damagedRecordsNeverTrap() {
    var generator = SeededGenerator(seed: 2)
    var record = OwnedAppend()
    record.id = "a\"b\\c👋"
    let whole = Array(value(record).utf8)
    var decoder = LogDecoder(partitions: 1)
    var read = 0
    for _ in 0..<20_000 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        switch Int.random(in: 0..<3, using: &generator) {
        case 0:
          bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(
            in: 0...255, using: &generator)
        case 1: bytes.removeLast(Int.random(in: 0..<bytes.count / 2, using: &generator))
        default:
          bytes.insert(
            UInt8.random(in: 0...255, using: &generator),
            at: Int.random(in: 0...bytes.count, using: &generator))
        }
      }
      withBytes(["dm:alice:bob"]) { key in
        bytes.withUnsafeBytes { if decoder.decode(key: key[0], value: $0, partition: 0) != nil { read += 1 } }
      }
    }
    #expect(read > 0 && read < 20_000, "some damage is inside a text")
  }
}
