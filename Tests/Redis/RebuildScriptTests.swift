import Chat
import Redis
import Support
import Testing

/// A rebuild: `begin-rebuild.lua`, `restore.lua`, and `apply.lua` as it replays. On both servers.
@Suite struct RebuildScriptTests {
  static let view: ViewID = 77
  static let start = SeqSpace.nothingYet(generation: 300)

  private func row(_ chat: String, _ seq: Seq, _ value: StateRow.Value) -> StateRow {
    StateRow(chat: Array(chat.utf8), seq: seq, value: value)
  }

  private func member(_ chat: String, _ user: String, _ role: Role, _ seq: Seq) -> StateRow {
    row(chat, seq, .member(user: Array(user.utf8), role: role))
  }

  private func room(_ chat: String, _ seq: Seq) -> StateRow {
    row(chat, seq, .chat(room: Array("{\"name\":\"R\",\"public\":true}".utf8)))
  }

  private func state(_ both: BothServers) throws -> ViewState {
    ViewStateAnswer(tag: 0, reply: try both.run(.readView(partition: 0, outcomesAfter: .max))).state
  }

  @Test func aRebuildBeginsOnlyOnTheViewThatIsExpected() throws {
    try withBothServers { (both) throws in
      try both.begin(view: Self.view, at: Self.start)
      let now = try state(both)
      for (id, applied) in [(nil, nil), (Self.view, nil), (Self.view, Self.start - 1), (1, Self.start)]
        as [(ViewID?, Seq?)]
      {
        let request = RebuildRequest(
          tag: 1, partition: 0, expected: ViewState(id: id, applied: applied), id: 5, until: Self.start)
        guard case .refused(now) = RebuildAnswer(tag: 1, reply: try both.run(.beginRebuild(request))).result
        else { throw TestFailure("a rebuild began on another view") }
      }
      #expect(try state(both) == now)
    }
  }

  /// Seed 23734 of the simulator: a view that had gone back into its rebuild stood where its owner did.
  @Test func aViewThatIsBeingRebuiltTakesNothingButItsReplay() throws {
    try withBothServers { (both) throws in
      try both.beginRebuild(view: Self.view, until: Self.start, rows: [], applied: Self.start)
      let run = ApplyRequest(view: Self.view, from: Self.start, [])
      guard
        case .refused = ApplyAnswer(request: run, reply: try both.run(.apply(run, limits: Limits()))).result
      else { throw TestFailure("a view in its rebuild was taken for a whole one") }
      _ = try both.apply(
        ApplyRequest(view: Self.view, from: Self.start, [], isReplay: true, endsRebuild: true))
      _ = try both.apply(run)
    }
  }

  @Test func aViewThatIsBeingRebuiltHasNoPositionAndAnswersNothing() throws {
    try withBothServers { (both) throws in
      try both.begin(view: Self.view, at: Self.start)
      let record = TestRecord(seq: Self.start + 1, chat: "dm:a:b", from: "a")
      let run = ApplyRequest(view: Self.view, from: Self.start, [record])
      _ = try both.apply(run)
      let request = RebuildRequest(
        tag: 1, partition: 0, expected: try state(both), id: 5, until: Self.start + 1)
      try both.run(.beginRebuild(request))
      #expect(try state(both) == ViewState(id: 5, rebuildingUntil: Self.start + 1))
      #expect(try both.ask(ViewQuery(.chats(after: []), user: "a")).isRebuilding)
      #expect(try both.refusal(run).id == 5)
      let rows = RestoreRequest(tag: 1, partition: 0, view: 5, rows: [], applied: Self.start)
      try both.run(.restore(rows))
      // Restored, and still without what the replay brings.
      #expect(try both.ask(ViewQuery(.chats(after: []), user: "a")).isRebuilding)
      let replay = ApplyRequest(
        view: 5, from: Self.start, [record], isReplay: true, endsRebuild: true)
      _ = try both.apply(replay)
      let answer = try both.ask(ViewQuery(.chats(after: []), user: "a"))
      #expect(!answer.isRebuilding && answer.applied == Self.start + 1 && answer.view == 5)
      #expect(answer.rows.count == 1)
    }
  }

  @Test func rowsOfAnotherViewAndRowsThatComeTooLateAreRefused() throws {
    try withBothServers { (both) throws in
      try both.beginRebuild(view: Self.view, until: Self.start + 9, rows: [], applied: Self.start)
      for view in [Self.view, 1] {
        let late = RestoreRequest(
          tag: 1, partition: 0, view: view, rows: [room("room:r", 5)], applied: Self.start - 5)
        guard case .refused(let state) = RebuildAnswer(tag: 1, reply: try both.run(.restore(late))).result
        else { throw TestFailure("restored") }
        #expect(state.applied == Self.start)
      }
      #expect(try both.real.lines().allSatisfy { $0.hasPrefix("fc:{p0}:view") })
    }
  }

  @Test func aRowThatIsNewerThanTheRecordWins() throws {
    try withBothServers { (both) throws in
      let s = Self.start
      let rows = [
        room("room:r", s - 50), member("room:r", "a", .owner, s - 50), member("room:r", "gone", .none, s + 5),
        member("room:r", "back", .member, s + 8), member("room:r", "older", .member, s - 9),
        row("room:r", s + 8, .head),
      ]
      try both.beginRebuild(view: Self.view, until: s + 9, rows: rows, applied: s)
      func forced(_ seq: Seq, _ role: Role) -> OutcomeRow { .init(seq: seq, outcome: .event, role: role) }
      let records = [
        TestRecord(
          seq: s + 1, kind: .join, chat: "room:r", from: "gone", forced: forced(s + 1, .member)),
        TestRecord(seq: s + 2, kind: .leave, chat: "room:r", from: "back", forced: forced(s + 2, .none)),
        TestRecord(seq: s + 3, kind: .leave, chat: "room:r", from: "older", forced: forced(s + 3, .none)),
        TestRecord(seq: s + 4, kind: .join, chat: "room:r", from: "new", forced: forced(s + 4, .member)),
        TestRecord(seq: s + 6, kind: .join, chat: "room:r", from: "a", forced: forced(s + 6, .member)),
      ]
      let request = ApplyRequest(
        view: Self.view, from: s, upto: s + 9, records, isReplay: true, endsRebuild: true)
      #expect(try both.apply(request).allSatisfy { $0.outcome == .event })
      let answer = try both.ask(ViewQuery(.members(after: []), chat: "room:r", user: "back"))
      #expect(answer.rows.map { answer.text($0.user) } == ["a", "back", "new"])
      #expect(answer.rows.map(\.role) == [.member, .member, .member])
      #expect(answer.member == MemberRow(role: .member, joined: s + 8))
      #expect(answer.head == s + 8)
      #expect(try both.ask(ViewQuery(.eventsAfter(0), chat: "room:r", user: "a")).seqs.count == 5)
      #expect(try both.real.lines().allSatisfy { !$0.contains("}:x ") })
    }
  }

  @Test func outcomesAreReplayedAndNotJudgedAgain() throws {
    try withBothServers { (both) throws in
      let s = Self.start
      try both.beginRebuild(view: Self.view, until: s + 9, rows: [room("room:r", s - 5)], applied: s)
      let records = [
        TestRecord(
          seq: s + 1, kind: .join, chat: "room:r", from: "a",
          forced: OutcomeRow(seq: s + 1, outcome: .forbidden, role: .none)),
        TestRecord(
          seq: s + 2, chat: "room:r", from: "b", isRepeat: true,
          forced: OutcomeRow(seq: s + 2, outcome: .event, role: .none)),
      ]
      let rows = try both.apply(ApplyRequest(view: Self.view, from: s, records, isReplay: true))
      #expect(rows.map(\.outcome) == [.forbidden, .event])
      let answer = ViewStateAnswer(tag: 0, reply: try both.run(.readView(partition: 0, outcomesAfter: s)))
      #expect(answer.outcomes.map(\.outcome) == [.forbidden, .event])
    }
  }

  /// What the chat's event before its first stored one was is not known: a device whose cursor is in the
  /// window must not be reset, one whose cursor is older must be.
  @Test func theFirstEventOfAReplayFollowsAPlaceBetweenTheWindowAndWhatWasLost() throws {
    try withBothServers { (both) throws in
      let s = Self.start
      try both.beginRebuild(
        view: Self.view, until: s + 90,
        rows: [row("dm:a:b", s + 40, .head), row("dm:a:c", s - 7, .head), row("dm:a:d", s + 80, .head)],
        applied: s)
      let first = ApplyRequest(
        view: Self.view, from: s, [TestRecord(seq: s + 1, chat: "dm:x:y", from: "x")], isReplay: true)
      _ = try both.apply(first)
      let records = [
        TestRecord(seq: s + 30, chat: "dm:a:b", from: "a"),
        TestRecord(seq: s + 40, chat: "dm:a:b", from: "a"),
        TestRecord(seq: s + 50, chat: "dm:a:b", from: "a"),
        TestRecord(seq: s + 60, chat: "dm:a:c", from: "a"),
      ]
      let rows = try both.apply(ApplyRequest(view: Self.view, from: s + 1, records, isReplay: true))
      #expect(rows.map(\.prev) == [s, s + 30, s + 40, s - 7])
      #expect(try state(both).applied == s + 60)
      // The window has moved on meanwhile: what was trimmed may be what came before.
      var later = ApplyRequest(
        view: Self.view, from: s + 60, [TestRecord(seq: s + 70, chat: "dm:a:d", from: "a")], isReplay: true)
      later.windowFloor = s + 65
      #expect(try both.apply(later).map(\.prev) == [s + 64])
    }
  }

  @Test func aReplayLeavesWhatIsThereAsItIs() throws {
    try withBothServers { (both) throws in
      let s = Self.start
      try both.begin(view: Self.view, at: s)
      let records = [
        TestRecord(seq: s + 1, kind: .create, chat: "room:r", from: "a"),
        TestRecord(seq: s + 2, kind: .join, chat: "room:r", from: "b"),
        TestRecord(seq: s + 3, chat: "room:r", from: "b"),
        TestRecord(seq: s + 4, kind: .leave, chat: "room:r", from: "b"),
        TestRecord(seq: s + 5, chat: "dm:a:b", from: "b"),
      ]
      let rows = try both.apply(ApplyRequest(view: Self.view, from: s, records))
      let before = try both.real.lines().filter { !$0.hasPrefix("fc:{p0}:view") }
      let request = RebuildRequest(tag: 1, partition: 0, expected: try state(both), id: 5, until: s + 5)
      try both.run(.beginRebuild(request))
      try both.run(.restore(RestoreRequest(tag: 1, partition: 0, view: 5, rows: [], applied: s)))
      var again = records
      for (place, row) in rows.enumerated() where records[place].kind != .message {
        again[place].forced = OutcomeRow(seq: records[place].seq, outcome: row.outcome, role: row.role)
      }
      let replay = ApplyRequest(view: 5, from: s, again, isReplay: true, endsRebuild: true)
      #expect(try both.apply(replay) == rows)
      #expect(try both.real.lines().filter { !$0.hasPrefix("fc:{p0}:view") } == before)
    }
  }
}
