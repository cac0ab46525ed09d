import Chat
import Redis
import SimulatedRedis
import Testing

/// What `query.lua` tells edges, on both servers.
@Suite struct QueryScriptTests {
  static let view: ViewID = 77
  static let start = SeqSpace.nothingYet(generation: 300)

  /// A room of three and ten messages in it.
  private func withRoom(_ body: (BothServers) throws -> Void) throws {
    try withBothServers { (both) throws in
      let s = Self.start
      try both.begin(view: Self.view, at: s)
      var records = [
        TestRecord(seq: s + 1, kind: .create, chat: "room:r", from: "b"),
        TestRecord(seq: s + 2, kind: .join, chat: "room:r", from: "a"),
        TestRecord(seq: s + 3, kind: .join, chat: "room:r", from: "Z"),
      ]
      records += (1...10).map { TestRecord(seq: s + 10 * $0, chat: "room:r", from: "a") }
      _ = try both.apply(ApplyRequest(view: Self.view, from: s, records))
      try body(both)
    }
  }

  @Test func eventsArePagedInBothDirections() throws {
    try withRoom { (both) throws in
      let s = Self.start
      let after = try both.ask(ViewQuery(.eventsAfter(s + 30), chat: "room:r", user: "a", limit: 3))
      #expect(after.seqs == [s + 40, s + 50, s + 60] && after.hasMore)
      #expect(after.head == s + 100 && after.applied == s + 100)
      let before = try both.ask(ViewQuery(.eventsBefore(s + 30), chat: "room:r", user: "a", limit: 2))
      #expect(before.seqs == [s + 20, s + 10] && before.hasMore)
      let newest = try both.ask(ViewQuery(.eventsBefore(0), chat: "room:r", user: "a", limit: 100))
      #expect(newest.seqs.first == s + 100 && newest.seqs.count == 13 && !newest.hasMore)
      #expect(newest.rows.last?.kind == .create && newest.rows.last?.role == .owner)
    }
  }

  @Test func aBoundOfBytesStillGivesOneRow() throws {
    try withRoom { (both) throws in
      let answer = try both.ask(ViewQuery(.eventsAfter(0), chat: "room:r", user: "a", bytes: 1))
      #expect(answer.rows.count == 1 && answer.hasMore)
      let size = answer.bytes.count
      let two = try both.ask(ViewQuery(.eventsAfter(0), chat: "room:r", user: "a", bytes: 2 * size + 20))
      #expect(two.rows.count == 2 && two.hasMore)
    }
  }

  @Test func aHistoryThatIsLongerThanOneStepIsReadToItsEnd() throws {
    try withBothServers { (both) throws in
      let s = Self.start
      try both.begin(view: Self.view, at: s)
      let records = (1...48).map { TestRecord(seq: s + $0, chat: "dm:a:b", from: "a") }
      _ = try both.apply(ApplyRequest(view: Self.view, from: s, records))
      let all = try both.ask(ViewQuery(.eventsAfter(0), chat: "dm:a:b", user: "a"))
      #expect(all.seqs == records.map(\.seq) && !all.hasMore)
      let back = try both.ask(ViewQuery(.eventsBefore(0), chat: "dm:a:b", user: "a"))
      #expect(back.seqs == records.map(\.seq).reversed() && !back.hasMore)
    }
  }

  @Test func membersAndStandingComeInByteOrder() throws {
    try withRoom { (both) throws in
      let all = try both.ask(ViewQuery(.members(after: []), chat: "room:r", user: "b"))
      #expect(all.rows.map { all.text($0.user) } == ["Z", "a", "b"])
      #expect(all.member == MemberRow(role: .owner, joined: Self.start + 1))
      #expect(all.room == RoomRow(isPublic: true))
      let rest = try both.ask(
        ViewQuery(.members(after: Array("Z".utf8)), chat: "room:r", user: "x", limit: 1))
      #expect(rest.rows.map { rest.text($0.user) } == ["a"] && rest.hasMore && rest.member == nil)
    }
  }

  @Test func manyNamesArePagedInByteOrder() throws {
    try withBothServers { (both) throws in
      let s = Self.start
      try both.begin(view: Self.view, at: s)
      let names = (0..<300).map {
        ["user", "User", "us-er", "us.er", "us_er"][$0 % 5] + "\($0 * 7919 % 300)"
      }
      var records = [TestRecord(seq: s + 1, kind: .create, chat: "room:r", from: "o")]
      records += names.enumerated().map {
        TestRecord(seq: s + 2 + Seq($0.offset), kind: .join, chat: "room:r", from: $0.element)
      }
      _ = try both.apply(ApplyRequest(view: Self.view, from: s, records))
      var found: [String] = []
      while true {
        let page = try both.ask(
          ViewQuery(.members(after: Array((found.last ?? "").utf8)), chat: "room:r", limit: 7))
        found += page.rows.map { page.text($0.user) }
        if !page.hasMore { break }
      }
      #expect(found == (names + ["o"]).sorted())
    }
  }

  @Test func aDirectChatHasItsTwoUsersByItsName() throws {
    try withBothServers { (both) throws in
      try both.begin(view: Self.view, at: Self.start)
      let answer = try both.ask(ViewQuery(.members(after: []), chat: "dm:a:b", user: "b"))
      #expect(answer.rows.map { answer.text($0.user) } == ["a", "b"])
      #expect(answer.member == MemberRow(role: .member, joined: 0) && answer.head == 0)
      let rest = try both.ask(ViewQuery(.members(after: Array("a".utf8)), chat: "dm:a:b", user: "c"))
      #expect(rest.rows.map { rest.text($0.user) } == ["b"] && rest.member == nil)
      let own = try both.ask(ViewQuery(.members(after: []), chat: "dm:a:a", user: "a"))
      #expect(own.rows.map { own.text($0.user) } == ["a"])
    }
  }

  @Test func aReplicaIsNoAnswer() throws {
    try withRoom { (both) throws in
      _ = try both.real.ask("REPLICAOF", "127.0.0.1", "1")
      both.simulated.isPrimary = false
      let member = ViewQuery(.member, chat: "room:r", user: "a")
      #expect(ViewAnswer(query: member, reply: try both.run(.query(member))).hasFailed)
      #expect(LeasesRead(tag: 1, reply: try both.run(.readLeases)).hasFailed)
      #expect(DirectoryID(reply: try both.run(.readDirectory)) == nil)
      // Not even what only compares: what a replica holds may be over. (It ends the connection.)
      let state = ViewStateAnswer(tag: 1, reply: try both.run(.readView(partition: 0, outcomesAfter: 0)))
      #expect(state.hasFailed)
    }
  }

  @Test func aReplicaTakesNothing() throws {
    try withRoom { (both) throws in
      _ = try both.real.ask("REPLICAOF", "127.0.0.1", "1")
      both.simulated.isPrimary = false
      let check = ApplyRequest(view: Self.view, from: Self.start + 100, [])
      guard
        case .unknown = ApplyAnswer(
          request: check, reply: try both.run(.apply(check, limits: Limits()))
        ).result
      else {
        Issue.record("a replica answered")
        return
      }
    }
  }
}
