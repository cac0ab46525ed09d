import Chat
import Redis
import Support
import Testing

/// Read positions back into a view that was rebuilt: `restore-reads.lua`. On both servers.
@Suite struct RestoreReadsTests {
  private static let view: ViewID = 77
  private static let s = SeqSpace.nothingYet(generation: 300)
  private let s = Self.s

  private func mark(_ chat: String, _ user: String, _ seq: Seq) -> ReadMark {
    ReadMark(chat: Array(chat.utf8), user: Array(user.utf8), seq: seq, origin: SessionID(raw: 0))
  }

  private func restore(
    _ both: BothServers, _ marks: [ReadMark] = [], view: ViewID? = Self.view, areLast: Bool = false
  ) throws -> RestoredReads {
    RestoredReads(
      reply: try both.run(.restoreReads(marks[...], partition: 0, view: view, areLast: areLast)))
  }

  private func read(_ both: BothServers, _ user: String, _ chat: String) throws -> Seq? {
    let answer = try both.ask(ViewQuery(.chats(after: []), user: user))
    return answer.rows.first { answer.text($0.chat) == chat }?.read
  }

  /// A rebuilt view with a direct chat of `a` and `b`, and a room with `a`, which `b` joined last.
  private func withRebuilt(_ body: (BothServers) throws -> Void) throws {
    try withBothServers { (both) throws in
      try both.begin(view: Self.view, at: s)
      let records = [
        TestRecord(seq: s + 1, chat: "dm:a:b", from: "a"), TestRecord(seq: s + 2, chat: "dm:a:b", from: "b"),
        TestRecord(seq: s + 3, kind: .create, chat: "room:r", from: "a"),
        TestRecord(seq: s + 4, kind: .join, chat: "room:r", from: "c"),
        TestRecord(seq: s + 5, kind: .leave, chat: "room:r", from: "c"),
        TestRecord(seq: s + 6, kind: .join, chat: "room:r", from: "b"),
        TestRecord(seq: s + 7, chat: "room:r", from: "a"),
      ]
      _ = try both.apply(ApplyRequest(view: Self.view, from: s, records))
      try body(both)
      try both.compareStates()
    }
  }

  @Test func positionsRiseUpToTheHeadAndNeverFall() throws {
    try withRebuilt { (both) throws in
      try both.run(.raiseRead(mark("room:r", "a", s + 5), partition: 0))
      let marks = [
        mark("dm:a:b", "a", s + 2), mark("dm:a:b", "a", s + 1), mark("dm:a:b", "b", s + 90),
        mark("room:r", "a", s + 4),
      ]
      #expect(try restore(both, marks) == .done(view: Self.view, raised: 2))
      #expect(try read(both, "a", "dm:a:b") == s + 2)
      #expect(try read(both, "b", "dm:a:b") == s + 2)
      #expect(try read(both, "a", "room:r") == s + 5)
    }
  }

  @Test func whoIsNoMemberOrReadBeforeHeJoinedGetsNone() throws {
    try withRebuilt { (both) throws in
      let marks = [
        mark("room:r", "c", s + 5), mark("room:r", "x", s + 7), mark("dm:a:b", "c", s + 2),
        mark("room:r", "b", s + 5), mark("dm:x:y", "x", s + 2),
      ]
      #expect(try restore(both, marks) == .done(view: Self.view, raised: 0))
      #expect(try both.real.lines().allSatisfy { !$0.contains("}:r:") })
      #expect(try restore(both, [mark("room:r", "b", s + 6)]) == .done(view: Self.view, raised: 1))
    }
  }

  @Test func aViewLacksThemFromTheBeginningOfARebuildUntilTheLastOfThem() throws {
    try withRebuilt { (both) throws in
      #expect(try restore(both, view: nil) == .done(view: Self.view, raised: 0))
      #expect(try restore(both, view: 5) == .notWanted)
      #expect(try restore(both, [mark("dm:a:b", "a", s + 1)], areLast: true) == .done(view: 77, raised: 1))
      for view in [nil, Self.view] {
        #expect(try restore(both, [mark("dm:a:b", "a", s + 2)], view: view) == .notWanted)
      }
      // What is being rebuilt takes none; what was rebuilt takes them under its new id alone.
      let old = ViewState(id: Self.view, applied: s + 7)
      try both.beginRebuild(view: 5, until: s + 7, rows: [], applied: s + 7, expecting: old)
      #expect(try restore(both, [mark("dm:a:b", "a", s + 2)], view: 5) == .notWanted)
      _ = try both.apply(ApplyRequest(view: 5, from: s + 7, [], isReplay: true, endsRebuild: true))
      #expect(try restore(both, [mark("dm:a:b", "a", s + 2)], areLast: true) == .notWanted)
      #expect(try restore(both, [mark("dm:a:b", "a", s + 2)], view: 5) == .done(view: 5, raised: 1))
    }
  }
}
