import Chat
import Embedded
import Support
import Testing

@Suite struct CommitTests {
  @Test func aSendIsStoredHintedAndReported() throws {
    let bench = try StoreBench()
    let sent = bench.record("dm:alice:bob", "alice", "c1", body: "{\"t\":\"hi\"}")
    let result = bench.commit(sent)
    let seq = SeqSpace.base(generation: 1)
    #expect(result.appended.map(\.seq) == [seq])
    #expect(result.appended.map(\.origin) == [sent.origin])
    #expect(result.appended.map(\.time) == [sent.time])
    #expect(result.verdicts.isEmpty && result.failed.isEmpty)
    #expect(result.batch?.since == seq - 1)
    #expect(result.batch?.upto == seq)
    #expect(result.batch?.view == bench.store.viewID)
    let json =
      "{\"type\":\"message\",\"chat\":\"dm:alice:bob\",\"seq\":\(seq),\"prev\":0,\"from\":\"alice\",\"id\":\"c1\",\"time\":\(sent.time),\"body\":{\"t\":\"hi\"}}"
    #expect(
      hints(result.batch) == [
        TestHint(
          seq: seq, prev: 0, kind: .message, role: .none, request: sent.origin.request, chat: "dm:alice:bob",
          user: "alice", json: json)
      ])
    let answer = bench.ask(.eventsAfter(0), chat: "dm:alice:bob", user: "bob")
    #expect(answer.rows.map { answer.text($0.json) } == [json])
    #expect(answer.rows.map { answer.text($0.user) } == ["alice"])
    #expect(answer.rows.first?.origin == sent.origin)
    #expect(answer.member == MemberRow(role: .member, joined: 0))
    #expect(answer.head == seq && answer.applied == seq && answer.logEnd == seq)
    #expect(answer.view == bench.store.viewID && answer.directory == 1 && answer.tag == 5)
  }

  @Test func seqsRiseAndPrevNamesTheOneBeforeAcrossBatches() throws {
    let bench = try StoreBench()
    var random = SeededGenerator(seed: 11)
    var heads: [String: Seq] = [:]
    var last = bench.store.applied
    for batch in 0..<40 {
      let records = (0..<Int.random(in: 1...30, using: &random)).map {
        bench.record("dm:a:b\(Int.random(in: 0..<5, using: &random))", "a", "c\(batch).\($0)")
      }
      let result = bench.commit(records)
      #expect(result.batch?.since == last)
      for (hint, record) in zip(hints(result.batch), records) {
        #expect(hint.seq == last + 1)
        #expect(hint.chat == record.chat)
        #expect(hint.prev == heads[record.chat, default: 0])
        heads[record.chat] = hint.seq
        last = hint.seq
      }
      #expect(result.batch?.upto == last)
      #expect(result.appended.count == records.count)
    }
  }

  @Test func aDuplicateGetsTheFirstOnesSeqAndTimeAndNoEvent() throws {
    let bench = try StoreBench()
    let sent = bench.record("dm:alice:bob", "alice", "c1")
    let first = bench.commit(sent).appended[0]
    bench.now += 1000
    let result = bench.commit(sent.again(request: 70), bench.record("dm:alice:bob", "alice", "c1"))
    #expect(result.batch == nil && result.appended.isEmpty)
    #expect(result.verdicts.map(\.outcome) == [.duplicate, .duplicate])
    #expect(result.verdicts.map(\.first) == [.event, .event])
    #expect(result.verdicts.map(\.seq) == [first.seq, first.seq])
    #expect(result.verdicts.map(\.time) == [first.time, first.time])
    #expect(result.verdicts[0].origin.request == 70)
    #expect(bench.ask(.eventsAfter(0), chat: "dm:alice:bob").rows.count == 1)
  }

  @Test func aDuplicateWithinABatchIsOneToo() throws {
    let bench = try StoreBench()
    let sent = bench.record("dm:alice:bob", "alice", "c1")
    let result = bench.commit(sent, sent.again())
    #expect(result.appended.map(\.seq) == result.verdicts.map(\.seq))
    #expect(hints(result.batch).count == 1)
  }

  @Test func anotherChatUserOrDeviceIsNoDuplicate() throws {
    let bench = try StoreBench()
    let result = bench.commit(
      bench.record("dm:alice:bob", "alice", "c1"), bench.record("dm:alice:carol", "alice", "c1"),
      bench.record("dm:alice:bob", "bob", "c1"), bench.record("dm:alice:bob", "alice", "c1", device: "desk"))
    #expect(result.appended.count == 4)
  }

  @Test func whatIsRememberedIsForgottenAfterEightMinutes() throws {
    let bench = try StoreBench()
    let sent = bench.record("dm:alice:bob", "alice", "c1")
    bench.commit(sent)
    bench.now += Limits.dedupeSpanMilliseconds
    #expect(bench.commit(sent.again()).verdicts.map(\.outcome) == [.duplicate])
    bench.now += 1
    #expect(hints(bench.commit(sent.again()).batch).count == 1)
    #expect(bench.store.remembered == 1)
  }

  @Test func aClockThatGoesBackMakesNoAppendTimeFall() throws {
    let bench = try StoreBench()
    let sent = bench.record("dm:alice:bob", "alice", "c1")
    bench.commit(sent)
    bench.now -= 3_600_000
    let early = bench.record("dm:alice:bob", "alice", "c2")
    #expect(bench.commit(early).appended.first?.time == early.time)
    #expect(bench.commit(sent.again()).verdicts.map(\.outcome) == [.duplicate])
    bench.now += 3_600_000 + Limits.dedupeSpanMilliseconds
    #expect(bench.commit(early.again()).verdicts.map(\.outcome) == [.duplicate])
  }

  @Test func aRepeatOfWhatNeverCameIsStoredAndAnsweredByItsHint() throws {
    let bench = try StoreBench()
    let sent = bench.record("dm:alice:bob", "alice", "c1").again(request: 5)
    let result = bench.commit(sent)
    #expect(result.appended.isEmpty && result.verdicts.isEmpty)
    #expect(hints(result.batch).map(\.request) == [5])
  }

  @Test func aTableThatIsFullRefusesWithoutWriting() throws {
    let bench = try StoreBench(rememberedRecords: 2)
    let records = (0..<3).map { bench.record("dm:alice:bob", "alice", "c\($0)") }
    let result = bench.commit(records)
    #expect(result.appended.count == 2)
    #expect(result.failed.map(\.origin) == [records[2].origin])
    #expect(result.failed.map(\.mayHavePersisted) == [false])
    bench.now += Limits.dedupeSpanMilliseconds + 1
    #expect(bench.commit(records[2]).appended.count == 1)
  }

  @Test func aDirectChatOfOneselfHasOneMember() throws {
    let bench = try StoreBench()
    bench.commit(bench.record("dm:alice:alice", "alice", "c1"))
    #expect(bench.ask(.members(after: []), chat: "dm:alice:alice").rows.count == 1)
    #expect(bench.ask(.chats(after: []), user: "alice").rows.count == 1)
  }

  @Test func idsAndBodiesGoThroughByteForByte() throws {
    let bench = try StoreBench()
    let body = "{ \"t\" : \"\\u00e9\" }"
    bench.commit(bench.record("dm:alice:bob", "alice", "a\"\\\n\u{1}é", body: body))
    let answer = bench.ask(.eventsAfter(0), chat: "dm:alice:bob")
    let json = answer.text(answer.rows[0].json)
    #expect(json.contains("\"id\":\"a\\\"\\\\\\n\\u0001é\""))
    #expect(json.hasSuffix("\"body\":\(body)}"))
  }
}
