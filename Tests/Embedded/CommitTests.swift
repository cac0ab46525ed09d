import Chat
import Embedded
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
}
