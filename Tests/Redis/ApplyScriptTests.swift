import Chat
import Redis
import Support
import Testing

/// The rules of `apply.lua` one by one, on both servers.
@Suite struct ApplyScriptTests {
  static let view: ViewID = .max
  /// "Nothing yet" of a generation whose seqs Lua would print with an exponent.
  static let start = SeqSpace.nothingYet(generation: 300)

  /// A view of which nothing has been applied.
  private func withView(_ body: (BothServers) throws -> Void) throws {
    try withBothServers { (both) throws in
      try both.begin(view: Self.view, at: Self.start)
      try body(both)
      try both.compareStates()
    }
  }

  private func state(_ both: BothServers) throws -> ViewState {
    ViewStateAnswer(tag: 0, reply: try both.run(.readView(partition: 0, outcomesAfter: .max))).state
  }

  @Test func aRunIsAppliedOnceAndOnlyWhereTheViewStands() throws {
    try withView { both in
      let s = Self.start
      let request = ApplyRequest(
        view: Self.view, from: s, upto: s + 5, [TestRecord(seq: s + 1, chat: "dm:a:b", from: "a")])
      #expect(try both.apply(request) == [.init(outcome: .event, prev: 0, role: .none)])
      let expected = ViewState(
        id: Self.view, applied: s + 5, hash: request.hash, appended: request.appended, rebuildingUntil: nil)
      #expect(try state(both) == expected)
      #expect(try both.refusal(request) == expected)
      var other = request
      other.from = s + 5
      other.view = 1
      #expect(try both.refusal(other) == expected)
      let history = try both.ask(ViewQuery(.eventsAfter(0), chat: "dm:a:b", user: "b"))
      #expect(history.seqs == [s + 1])
      #expect(history.text(history.rows[0].json) == "{\"seq\":\(s + 1),\"prev\":0,\"from\":\"a\"}")
    }
  }

  @Test func anEmptyRunChangesNothing() throws {
    try withView { both in
      let before = try state(both)
      #expect(try both.apply(ApplyRequest(view: Self.view, from: Self.start, [])) == [])
      #expect(try state(both) == before)
      try both.flush()
      #expect(try both.refusal(ApplyRequest(view: Self.view, from: Self.start, [])) == ViewState())
    }
  }

  @Test func eventsOfAChatAreChainedByPrev() throws {
    try withView { both in
      let s = Self.start
      let records = [
        TestRecord(seq: s + 1, chat: "dm:a:b", from: "a"), TestRecord(seq: s + 2, chat: "dm:a:c", from: "a"),
        TestRecord(seq: s + 4, chat: "dm:a:b", from: "b"),
      ]
      #expect(try both.apply(ApplyRequest(view: Self.view, from: s, records)).map(\.prev) == [0, 0, s + 1])
      let next = ApplyRequest(
        view: Self.view, from: s + 4, [TestRecord(seq: s + 9, chat: "dm:a:b", from: "b")])
      #expect(try both.apply(next).map(\.prev) == [s + 4])
      let chats = try both.ask(ViewQuery(.chats(after: []), user: "a"))
      #expect(chats.rows.map { chats.text($0.chat) } == ["dm:a:b", "dm:a:c"])
      #expect(chats.seqs == [s + 9, s + 2])
      #expect(try both.ask(ViewQuery(.recent(after: s))).seqs == [s + 1, s + 2, s + 4, s + 9])
    }
  }

  @Test func aFirstSendIsNeverRefusedAndARepeatIsJudgedByMembership() throws {
    try withView { both in
      let s = Self.start
      let records = [
        TestRecord(seq: s + 1, kind: .create, chat: "room:r", from: "a"),
        TestRecord(seq: s + 2, chat: "room:r", from: "stranger"),
        TestRecord(seq: s + 3, chat: "room:r", from: "stranger", isRepeat: true),
        TestRecord(seq: s + 4, chat: "room:r", from: "a", isRepeat: true),
        TestRecord(seq: s + 5, chat: "room:none", from: "a", isRepeat: true),
        TestRecord(seq: s + 6, kind: .create, chat: "room:p", from: "a", isPublic: false),
        TestRecord(seq: s + 7, chat: "room:p", from: "b", isRepeat: true),
      ]
      let rows = try both.apply(ApplyRequest(view: Self.view, from: s, records))
      #expect(rows.map(\.outcome) == [.event, .event, .forbidden, .event, .notFound, .event, .notFound])
      #expect(rows.map(\.role) == [.owner, .none, .none, .none, .none, .owner, .none])
      let answer = ViewStateAnswer(
        tag: 0, reply: try both.run(.readView(partition: 0, outcomesAfter: s + 1)))
      #expect(answer.outcomes.map(\.seq) == [s + 3, s + 4, s + 5, s + 6, s + 7])
      #expect(answer.outcomes.map(\.outcome) == [.forbidden, .event, .notFound, .event, .notFound])
    }
  }

  @Test func membersAndRoomsHaveTheirLimits() throws {
    try withView { both in
      let s = Self.start
      var limits = Limits()
      limits.roomMembers = 2
      limits.userRooms = 2
      let records = [
        TestRecord(seq: s + 1, kind: .create, chat: "room:r", from: "a"),
        TestRecord(seq: s + 2, kind: .join, chat: "room:r", from: "b"),
        TestRecord(seq: s + 3, kind: .join, chat: "room:r", from: "c"),
        TestRecord(seq: s + 4, kind: .leave, chat: "room:r", from: "b"),
        TestRecord(seq: s + 5, kind: .join, chat: "room:r", from: "c"),
        TestRecord(seq: s + 6, chat: "dm:a:b", from: "a"), TestRecord(seq: s + 7, chat: "dm:a:c", from: "a"),
        TestRecord(seq: s + 8, kind: .create, chat: "room:2", from: "a"),
        TestRecord(seq: s + 9, kind: .create, chat: "room:3", from: "a"),
      ]
      let rows = try both.apply(ApplyRequest(view: Self.view, from: s, records), limits)
      #expect(
        rows.map(\.outcome)
          == [.event, .event, .forbidden, .event, .event, .event, .event, .event, .forbidden])
    }
  }

  @Test func whoLeavesKeepsNoRow() throws {
    try withView { both in
      let s = Self.start
      let records = [
        TestRecord(seq: s + 1, kind: .create, chat: "room:r", from: "a"),
        TestRecord(seq: s + 2, kind: .join, chat: "room:r", from: "b"),
      ]
      _ = try both.apply(ApplyRequest(view: Self.view, from: s, records))
      let mark = ReadMark(
        chat: Array("room:r".utf8), user: Array("b".utf8), seq: s + 90, origin: SessionID(raw: 1))
      #expect(ReadMark.raised(reply: try both.run(.raiseRead(mark, partition: 0))) == s + 2)
      #expect(ReadMark.raised(reply: try both.run(.raiseRead(mark, partition: 0))) == nil)
      let leave = TestRecord(seq: s + 3, kind: .leave, chat: "room:r", from: "b")
      _ = try both.apply(ApplyRequest(view: Self.view, from: s + 2, [leave]))
      let answer = try both.ask(ViewQuery(.members(after: []), chat: "room:r", user: "b"))
      #expect(answer.member == nil)
      #expect(answer.rows.map { answer.text($0.user) } == ["a"])
      #expect(try both.ask(ViewQuery(.chats(after: []), user: "b")).rows.isEmpty)
      #expect(ReadMark.raised(reply: try both.run(.raiseRead(mark, partition: 0))) == nil)
    }
  }

  @Test func aWindowIsBoundInEventsAndByItsFloor() throws {
    try withView { both in
      let s = Self.start
      var limits = Limits()
      limits.windowEvents = 3
      let records = (1...5).map { TestRecord(seq: s + $0, chat: "dm:a:b", from: "a") }
      _ = try both.apply(ApplyRequest(view: Self.view, from: s, records), limits)
      #expect(
        try both.ask(ViewQuery(.eventsAfter(0), chat: "dm:a:b", user: "a")).seqs == [s + 3, s + 4, s + 5])
      var next = ApplyRequest(
        view: Self.view, from: s + 5, [TestRecord(seq: s + 6, chat: "dm:a:b", from: "a")])
      next.windowFloor = s + 6
      next.recentFloor = s + 5
      _ = try both.apply(next, limits)
      #expect(try both.ask(ViewQuery(.eventsAfter(0), chat: "dm:a:b", user: "a")).seqs == [s + 6])
      #expect(try both.ask(ViewQuery(.recent(after: s + 5))).reachesBack)
      #expect(try !both.ask(ViewQuery(.recent(after: s + 4))).reachesBack)
      #expect(try both.ask(ViewQuery(.recent(after: s + 6))).reachesBack)
    }
  }
}
