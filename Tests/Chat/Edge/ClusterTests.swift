import Chat
import JSON
import Testing

/// What a shard of a server among others doubts, and what it waits for. Hand-written schedules of one
/// partition; the simulator has the random ones.
@Suite struct ClusterTests {
  @Test func aFreshServerStandsWhereTheViewDoesOnceItIsRegistered() throws {
    let shard = ClusterShard()
    #expect(shard.takeQueries().isEmpty)
    shard.turn { $0.registeredAgain(epoch: 9, directories: [5]) }
    let query = try #require(shard.takeQueries().first)
    #expect(query.what == .recent(after: .max))
    shard.answer(query, applied: 40)
    shard.turn { $0.received(shard.batch(since: 39, upto: 41)) }
    #expect(shard.takeQueries().isEmpty, "a batch that joins on is no doubt")
  }

  @Test func aBatchOfAnotherPrimaryRegistersEverythingAgain() {
    let shard = ClusterShard.standing(at: 40)
    shard.turn { $0.received(shard.batch(since: 40, upto: 41, directories: [6])) }
    #expect(shard.asksForRegistration == 1)
    #expect(shard.takeQueries().isEmpty, "the recent list is read after the registration")
    shard.turn { $0.registrationDoubted() }
    shard.turn { $0.registeredAgain(epoch: 9, directories: [6]) }
    let queries = shard.takeQueries()
    #expect(queries.map(\.what) == [.recent(after: 40)])
    shard.answer(queries[0], applied: 41, directory: 6)
    shard.turn { $0.received(shard.batch(since: 41, upto: 42, directories: [6])) }
    #expect(shard.asksForRegistration == 1 && shard.takeQueries().isEmpty)
  }

  @Test func theAnswerToADoubtWaitsForTheView() {
    let shard = ClusterShard.standing(at: 40)
    shard.turn { $0.inboxDoubted() }
    shard.answer(shard.takeQueries()[0], applied: 39)
    #expect(shard.takeQueries().isEmpty)
    shard.later(100)
    #expect(shard.takeQueries().map(\.what) == [.recent(after: 40)])
  }

  @Test func silenceIsADoubt() {
    let shard = ClusterShard.standing(at: 40)
    shard.later(Limits.silenceMilliseconds - 1_000)
    shard.turn { $0.received(shard.batch(since: 40, upto: 40)) }
    shard.later(Limits.silenceMilliseconds - 1_000)
    #expect(shard.takeQueries().isEmpty)
    shard.later(1_000)
    #expect(shard.takeQueries().map(\.what) == [.recent(after: 40)])
  }

  @Test func aRoomIsReadOnlyOnceItIsRegistered() {
    let shard = ClusterShard.standing(at: 40)
    shard.attach("alice", listed: [("room:a", head: 30, joined: 10)])
    #expect(shard.listened == ["room:a"])
    #expect(shard.takeQueries().isEmpty)
    shard.turn { edge in "room:a".withBytes { edge.roomRegistered($0) } }
    #expect(shard.takeQueries().map(\.what) == [.eventsAfter(30)])
  }

  @Test func aRoomEnteredAgainWaitsForItsOwnAnswer() {
    let shard = ClusterShard.standing(at: 40)
    shard.attach("alice", listed: [("room:a", head: 30, joined: 10)])
    shard.turn { $0.closed(shard.session) }
    #expect(shard.unlistened == ["room:a"])
    shard.attach("alice", listed: [("room:a", head: 30, joined: 10)])
    shard.turn { edge in "room:a".withBytes { edge.roomRegistered($0) } }
    #expect(shard.takeQueries().isEmpty, "that was the answer to the first")
    shard.turn { edge in "room:a".withBytes { edge.roomRegistered($0) } }
    #expect(shard.takeQueries().map(\.what) == [.eventsAfter(30)])
  }

  @Test func aNewEpochAnswersWhatWaitsForItsVerdict() {
    let shard = ClusterShard.standing(at: 40)
    shard.attach("alice", listed: [])
    shard.frame(#"{"type":"send","id":"a","to":"user:bob","body":1}"#)
    shard.frame(#"{"type":"send","id":"b","to":"user:bob","body":1,"retry":true}"#)
    shard.turn { $0.registrationDoubted() }
    shard.turn { $0.registeredAgain(epoch: 10, directories: [5]) }
    #expect(shard.errors == ["b unavailable"], "a send is answered by its report, not through the inbox")
  }

  @Test func whatIsRememberedAuthorisesOnlyWhileTheLeaseHolds() {
    let shard = ClusterShard.standing(at: 40)
    shard.attach("alice", listed: [("room:a", head: 0, joined: 10)])
    shard.turn { edge in "room:a".withBytes { edge.roomRegistered($0) } }
    shard.turn { $0.leaseHolds(until: shard.now + 100) }
    shard.frame(#"{"type":"send","id":"0","to":"room:a","body":1}"#)
    let queries = shard.takeQueries()
    #expect(queries.map(\.what) == [.eventsAfter(9), .member], "what is still to be read may be a removal")
    for query in queries {
      shard.answer(query, applied: 40) { $0.member = MemberRow(role: .member, joined: 10) }
    }
    shard.frame(#"{"type":"send","id":"a","to":"room:a","body":1}"#)
    #expect(shard.takeQueries().isEmpty)
    shard.later(200)
    shard.frame(#"{"type":"send","id":"b","to":"room:a","body":1}"#)
    #expect(shard.takeQueries().map(\.what) == [.member])
  }

  /// After a failover to a replica that lacks something it knows less than what was acknowledged.
  @Test func aViewThatWentBackAnswersNoRequest() {
    let shard = ClusterShard.standing(at: 40)
    shard.attach("alice", listed: [("dm:alice:bob", head: 30, joined: 0)])
    let lease = shard.now + 100
    shard.turn { $0.leaseHolds(until: lease) }
    shard.later(200)
    shard.frame(#"{"type":"history","id":"a","chat":"dm:alice:bob"}"#)
    shard.frame(#"{"type":"chats","id":"b"}"#)
    shard.frame(#"{"type":"send","id":"c","to":"room:a","body":1}"#)
    let queries = shard.takeQueries()
    #expect(queries.map(\.what).suffix(2) == [.chats(after: []), .member])
    for query in queries { shard.answer(query, applied: 39) }
    #expect(shard.errors == ["a unavailable", "b unavailable", "c unavailable"])
  }

  /// An answer that was long on its way is as old as its question, and no older.
  @Test func anAnswerMayBeBelowWhatWentByMeanwhile() {
    let shard = ClusterShard.standing(at: 40)
    shard.attach("alice", listed: [("dm:alice:bob", head: 30, joined: 0)])
    shard.frame(#"{"type":"chats","id":"b"}"#)
    let queries = shard.takeQueries()
    shard.turn { $0.received(shard.batch(since: 40, upto: 41)) }
    for query in queries { shard.answer(query, applied: 40) }
    #expect(queries.count == 1 && shard.errors.isEmpty)
  }

  @Test func aReportBelowThePositionStopsThePartition() throws {
    let shard = ClusterShard.standing(at: 40)
    shard.attach("alice", listed: [])
    shard.frame(#"{"type":"send","id":"a","to":"user:bob","body":1}"#)
    let origin = try #require(shard.origins.first)
    shard.turn { $0.appended(Appended(origin: origin, seq: 40, time: 0)) }
    #expect(shard.stops == [.reportBelowPosition(seq: 40, position: 40)])
    #expect(shard.errors == ["a unavailable"])
  }

  @Test func aListThatDoesNotReachBackIsMadeUpForByListingEverybody() {
    let shard = ClusterShard.standing(at: 40)
    shard.attach("alice", listed: [("dm:alice:bob", head: 30, joined: 0)])
    shard.turn { $0.inboxDoubted() }
    shard.answer(shard.takeQueries()[0], applied: 60) { $0.reachesBack = false }
    let queries = shard.takeQueries()
    #expect(queries.map(\.what) == [.chats(after: [])] && queries[0].user == Array("alice".utf8))
    shard.answer(queries[0], applied: 60) { $0.list("dm:alice:bob", head: 55) }
    #expect(shard.takeQueries().map(\.what) == [.eventsAfter(40)])
    shard.turn { $0.received(shard.batch(since: 60, upto: 61)) }
    #expect(shard.takeQueries().isEmpty)
  }

  @Test func whoIsListedBeforeAnotherDoubtIsListedAgain() throws {
    let shard = ClusterShard.standing(at: 40)
    shard.attach("alice", listed: [("dm:alice:carol", head: 30, joined: 0)])
    shard.attach("bob", listed: [])
    func doubt(meanwhile: () -> Void = {}) -> [ViewQuery] {
      shard.turn { $0.inboxDoubted() }
      let recent = shard.takeQueries()[0]
      meanwhile()
      shard.answer(recent, applied: 60) { $0.reachesBack = false }
      return shard.takeQueries()
    }
    func tell(_ query: ViewQuery) {
      let isAlice = query.user == Array("alice".utf8)
      shard.answer(query, applied: 60) { if isAlice { $0.list("dm:alice:carol", head: 55) } }
    }
    func who(_ queries: [ViewQuery], _ user: String) throws -> ViewQuery {
      try #require(queries.first { $0.user == Array(user.utf8) })
    }
    let old = doubt()
    // One answer of the first listing comes before the second has begun, one afterwards: neither counts for it.
    let new = doubt { if let query = old.first(where: { $0.user == Array("alice".utf8) }) { tell(query) } }
    tell(try who(old, "bob"))
    tell(try who(new, "bob"))
    #expect(shard.takeQueries().isEmpty)
    tell(try who(new, "alice"))
    #expect(shard.takeQueries().map(\.what) == [.eventsAfter(40)])
  }

  @Test func aCursorAboveTheLogsEndIsResetAfterTenSecondsOfTheSameAnswer() {
    let shard = ClusterShard.standing(at: 40)
    func tell() {
      for _ in 0..<shard.takeLogEndQuestions() { shard.turn { $0.logEnded(partition: 0, at: 50) } }
    }
    func attempt() {
      shard.open("alice", cursors: #"{"dm:alice:bob":99}"#)
      for _ in 0..<99 {
        for query in shard.takeQueries() {
          shard.answer(query, applied: 40) { $0.list("dm:alice:bob", head: 30) }
        }
        tell()
        shard.later(100)
      }
    }
    attempt()
    #expect(shard.resets.isEmpty, "the broker was not asked for long enough")
    // However late it comes again: the broker is still being asked.
    for _ in 0..<450 {
      tell()
      shard.later(100)
    }
    attempt()
    #expect(shard.resets == ["dm:alice:bob 30"])
  }
}
