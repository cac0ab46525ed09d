import Chat
import Embedded
import Testing

@Suite struct RoomTests {
  @Test func aRoomIsMadeJoinedAndLeft() throws {
    let bench = try StoreBench()
    let created = hints(bench.commit(bench.create("room:lobby", "alice", "c1")).batch)
    #expect(created.map(\.role) == [.owner])
    #expect(created.map(\.user) == ["alice"])
    #expect(
      created.map(\.json) == [
        "{\"type\":\"member\",\"chat\":\"room:lobby\",\"seq\":\(created[0].seq),\"prev\":0,\"user\":\"alice\",\"role\":\"owner\",\"by\":\"alice\"}"
      ])
    let joined = hints(bench.commit(bench.record("room:lobby", "bob", "j1", body: "", kind: .join)).batch)
    #expect(joined.map(\.role) == [.member])
    #expect(joined.map(\.prev) == created.map(\.seq))
    var answer = bench.ask(.member, chat: "room:lobby", user: "bob")
    #expect(answer.member == MemberRow(role: .member, joined: joined[0].seq))
    #expect(answer.room == RoomRow(isPublic: true))
    answer = bench.ask(.members(after: []), chat: "room:lobby")
    #expect(answer.rows.map { answer.text($0.user) } == ["alice", "bob"])
    #expect(answer.rows.map(\.role) == [.owner, .member])

    let left = hints(bench.commit(bench.record("room:lobby", "bob", "l1", body: "", kind: .leave)).batch)
    #expect(left.map(\.role) == [Role.none])
    #expect(left[0].json.contains("\"user\":\"bob\",\"role\":null,\"by\":\"bob\"}"))
    answer = bench.ask(.member, chat: "room:lobby", user: "bob")
    #expect(answer.member == nil && answer.room != nil && answer.head == left[0].seq)
    #expect(bench.ask(.chats(after: []), user: "bob").rows.isEmpty)
  }

  @Test func whatChangesNothingOrIsRefusedIsAVerdict() throws {
    let bench = try StoreBench()
    bench.commit(
      bench.create("room:open", "alice", "c1"), bench.create("room:closed", "alice", "c2", isPublic: false))
    let result = bench.commit(
      bench.create("room:open", "bob", "b1"),
      bench.record("room:open", "alice", "a1", body: "", kind: .join),
      bench.record("room:open", "bob", "b2", body: "", kind: .leave),
      bench.record("room:closed", "bob", "b3", body: "", kind: .join),
      bench.record("room:closed", "bob", "b4", body: "", kind: .leave),
      bench.record("room:none", "bob", "b5", body: "", kind: .join),
      bench.record("room:open", "bob", "b6").again(),
      bench.record("room:closed", "bob", "b7").again())
    #expect(
      result.verdicts.map(\.outcome) == [
        .exists, .unchanged, .unchanged, .notFound, .notFound, .notFound, .forbidden, .notFound,
      ])
    #expect(hints(result.batch).isEmpty)
    #expect(result.batch?.upto == bench.store.applied)
    #expect(bench.ask(.member, chat: "room:none").room == nil)
  }

  @Test func aRepeatGetsWhatTheFirstGotWhateverChangedSince() throws {
    let bench = try StoreBench()
    let join = bench.record("room:lobby", "bob", "j1", body: "", kind: .join)
    #expect(bench.commit(join).verdicts.map(\.outcome) == [.notFound])
    let create = bench.create("room:lobby", "alice", "c1")
    let created = hints(bench.commit(create).batch)
    for _ in 0..<2 {
      let result = bench.commit(join.again(), create.again())
      #expect(result.verdicts.map(\.outcome) == [.duplicate, .duplicate])
      #expect(result.verdicts.map(\.first) == [.notFound, .event])
      #expect(result.verdicts[1].seq == created[0].seq)
      #expect(result.batch == nil)
      // The second time from the file.
      try bench.restart()
    }
    let again = bench.record("room:lobby", "bob", "j2", body: "", kind: .join)
    #expect(hints(bench.commit(again).batch).count == 1)
  }

  @Test func aRoomAndAUserHaveBounds() throws {
    var limits = Limits()
    limits.roomMembers = 2
    limits.userRooms = 2
    let bench = try StoreBench(limits: limits)
    bench.commit(
      bench.create("room:a", "alice", "1"), bench.create("room:b", "alice", "2"),
      bench.record("dm:alice:bob", "alice", "3"))
    let result = bench.commit(
      bench.create("room:c", "alice", "4"),
      bench.record("room:a", "bob", "5", body: "", kind: .join),
      bench.record("room:a", "carol", "6", body: "", kind: .join))
    #expect(result.verdicts.map(\.outcome) == [.forbidden, .forbidden])
    #expect(hints(result.batch).map(\.user) == ["bob"])
    bench.commit(bench.record("room:a", "bob", "7", body: "", kind: .leave))
    #expect(hints(bench.commit(bench.record("room:a", "carol", "8", body: "", kind: .join)).batch).count == 1)
  }

  @Test func aFirstSendToARoomIsNeverRefused() throws {
    let bench = try StoreBench()
    bench.commit(bench.create("room:lobby", "alice", "c1"))
    #expect(bench.commit(bench.record("room:lobby", "stranger", "s1")).appended.count == 1)
  }

  @Test func aReadPositionOnlyRisesAndStopsAtTheHead() throws {
    let bench = try StoreBench()
    let seqs = bench.commit((0..<3).map { bench.record("dm:alice:bob", "alice", "c\($0)") }).appended.map(
      \.seq)
    var moved = bench.commit(reads: [bench.readMark("dm:alice:bob", "bob", seqs[1])]).ephemerals
    #expect(
      moved.map { String(decoding: $0.json, as: UTF8.self) } == [
        "{\"type\":\"read\",\"chat\":\"dm:alice:bob\",\"user\":\"bob\",\"seq\":\(seqs[1])}"
      ])
    #expect(moved.map(\.origin) == [SessionID(raw: 9)])
    let result = bench.commit(reads: [
      bench.readMark("dm:alice:bob", "bob", seqs[0]), bench.readMark("dm:alice:bob", "bob", seqs[1]),
      bench.readMark("dm:alice:bob", "carol", seqs[2]), bench.readMark("dm:x:y", "x", 5),
    ])
    #expect(result.ephemerals.isEmpty && result.batch == nil)
    moved = bench.commit(reads: [bench.readMark("dm:alice:bob", "bob", .max)]).ephemerals
    #expect(moved.count == 1)
    try bench.restart()
    let rows = bench.ask(.chats(after: []), user: "bob").rows
    #expect(rows.map(\.read) == [seqs[2]])
    #expect(rows.map(\.seq) == [seqs[2]])
  }
}
