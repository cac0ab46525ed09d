import Chat
import JSON
import Testing

/// What crosses threads as bytes comes out as it went in.
@Suite struct CodecTests {
  private func with<T>(_ texts: [String], _ body: ([UnsafeRawBufferPointer]) -> T) -> T {
    var all = ByteBuffer()
    var ranges: [Range<Int>] = []
    for text in texts {
      let start = all.count
      all.append(text)
      ranges.append(start..<all.count)
    }
    return body(ranges.map { all[$0] })
  }

  @Test func appendsComeOutInOrderAndWhole() {
    var run = ByteBuffer()
    for i in 0..<50 {
      let id = String(repeating: "i", count: 1 + i)
      with(["dm:alice:bob", "alice", "phone", id, "{\"n\":\(i)}"]) { texts in
        AppendCodec.encode(
          Append(
            partition: Int32(i), kind: i % 2 == 0 ? .message : .join, isRepeat: i % 3 == 0,
            origin: Origin(
              epoch: 5, session: SessionID(shard: 3, generation: 7, slot: i), request: UInt32(i)),
            time: 1_760_000_000_000 + Int64(i), chat: texts[0], from: texts[1], device: texts[2],
            id: texts[3],
            body: texts[4]), into: &run)
      }
    }
    var offset = 0
    var count = 0
    while let append = AppendCodec.decode(run.bytes, at: &offset) {
      #expect(append.partition == Int32(count))
      #expect(append.kind == (count % 2 == 0 ? .message : .join))
      #expect(append.isRepeat == (count % 3 == 0))
      #expect(append.origin.session == SessionID(shard: 3, generation: 7, slot: count))
      #expect(append.origin.request == UInt32(count) && append.origin.epoch == 5)
      #expect(append.time == 1_760_000_000_000 + Int64(count))
      #expect(sameBytes(append.chat, "dm:alice:bob") && sameBytes(append.from, "alice"))
      #expect(sameBytes(append.device, "phone") && append.id.count == 1 + count)
      #expect(String(decoding: append.body, as: UTF8.self) == "{\"n\":\(count)}")
      count += 1
    }
    #expect(count == 50 && offset == run.count)
  }

  @Test func hintsComeOutAsTheyWentIn() {
    var run = ByteBuffer()
    with(["room:a", "bob", "{\"type\":\"member\"}"]) { texts in
      HintCodec.encode(
        Hint(
          kind: .leave, seq: 1 << 40, prev: 0, time: 3,
          origin: Origin(epoch: 1, session: SessionID(raw: 2), request: 3), role: .admin, chat: texts[0],
          user: texts[1], json: texts[2]), into: &run)
    }
    let batch = Batch(partition: 2, view: 3, directories: [4], since: 5, upto: 6, hints: run.bytes)
    var offset = 0
    let hint = HintCodec.decode(batch.hints.bytes, at: &offset)!
    #expect(
      hint.kind == .leave && hint.seq == 1 << 40 && hint.prev == 0 && hint.time == 3 && hint.role == .admin)
    #expect(hint.origin == Origin(epoch: 1, session: SessionID(raw: 2), request: 3))
    #expect(sameBytes(hint.chat, "room:a") && sameBytes(hint.user, "bob"))
    #expect(sameBytes(hint.json, "{\"type\":\"member\"}"))
    #expect(hint.frame.baseAddress! + 2 == hint.json.baseAddress! && hint.frame.count == 2 + hint.json.count)
    #expect(HintCodec.decode(batch.hints.bytes, at: &offset) == nil)
  }

  @Test func aSessionIDKeepsItsParts() {
    let id = SessionID(shard: 255, generation: .max, slot: 0xFF_FFFF)
    #expect(id.shard == 255 && id.generation == .max && id.slot == 0xFF_FFFF)
  }

  @Test func eventsAreComposedAsTheProtocolSays() {
    var out = ByteBuffer()
    with(["dm:a:b", "a", "phone", "x\"\n\\", "[1.0e+2 , null]"]) { texts in
      EventWriter.message(
        Append(
          partition: 0, kind: .message, isRepeat: false, origin: .none, time: 17, chat: texts[0],
          from: texts[1],
          device: texts[2], id: texts[3], body: texts[4]), seq: 9, prev: 4, into: &out)
    }
    #expect(
      String(decoding: out.bytes, as: UTF8.self)
        == #"{"type":"message","chat":"dm:a:b","seq":9,"prev":4,"from":"a","id":"x\"\n\\","time":17,"body":[1.0e+2 , null]}"#
    )
    out.removeAll()
    with(["room:r", "bob"]) { texts in
      EventWriter.member(
        chat: texts[0], seq: 9, prev: 4, user: texts[1], role: .none, by: texts[1], into: &out)
    }
    #expect(
      String(decoding: out.bytes, as: UTF8.self)
        == #"{"type":"member","chat":"room:r","seq":9,"prev":4,"user":"bob","role":null,"by":"bob"}"#)
  }
}
