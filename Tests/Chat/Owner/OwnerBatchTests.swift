import Chat
import Testing

/// Batches of an owner in service: dedupe, verdicts, the chain, directories, commits.
@Suite struct OwnerBatchTests {
  private let s1 = ServerEpoch(server: "s1", epoch: 1)
  private let s2 = ServerEpoch(server: "s2", epoch: 2)
  private let base = OwnerBackends.base

  /// An owner in service, Ann on s1, Bob on s2.
  private func world() -> (OwnerBackends, OwnerHost) {
    let world = OwnerBackends()
    world.living = [s1, s2]
    world.users = ["ann": [s1], "bob": [s2]]
    let host = OwnerHost(world)
    host.start()
    host.pass(100)
    host.sent = []
    return (world, host)
  }

  @Test func aFirstStartMakesAViewAndSendsEveryLivingServerAnEmptyBatch() {
    let world = OwnerBackends()
    world.living = [s1, s2]
    let host = OwnerHost(world)
    host.start()
    #expect(host.owner.isInService)
    #expect(world.view.state.applied == base - 1)
    #expect(world.view.state.rebuildingUntil == nil)
    #expect(host.sent.map(\.server) == [s1, s2])
    #expect(
      host.sent.allSatisfy { $0.batch.since == base - 1 && $0.batch.upto == base - 1 && $0.hints == [] })
    #expect(host.sent[0].batch.directories == [7])
  }

  @Test func aMessageIsAppliedAndHintedToTheServersOfBothUsers() {
    let (world, host) = world()
    world.append("dm:ann:bob", id: "1")
    world.append("dm:ann:bob", id: "2")
    host.settle()
    #expect(world.history("dm:ann:bob") == [base, base + 1])
    #expect(host.sent.map(\.server).contains(s1) && host.sent.map(\.server).contains(s2))
    #expect(host.sent.filter { $0.server == s2 }.flatMap(\.hints) == [base, base + 1])
    #expect(
      host.sent.filter { $0.server == s2 }.flatMap(\.texts)[1]
        == "{\"type\":\"message\",\"chat\":\"dm:ann:bob\",\"seq\":\(base + 1),\"prev\":\(base),\"from\":\"ann\","
        + "\"id\":\"2\",\"time\":\(world.log[1].appended),\"body\":1}")
  }

  @Test func aServerWithoutListenersGetsNothingBeforeTheNextBeat() {
    let (world, host) = world()
    world.append("dm:ann:ann", id: "1")
    host.settle()
    #expect(Set(host.sent.map(\.server)) == [s1])
    host.pass(Limits.beatMilliseconds)
    #expect(host.sent.last { $0.server == s2 }?.batch.upto == base)
  }

  @Test func aRepeatIsAnsweredWithTheFirstOnesSeqAndTime() {
    let (world, host) = world()
    world.append("dm:ann:bob", id: "1")
    host.settle()
    host.pass(100)
    world.append("dm:ann:bob", id: "1", isRepeat: true, epoch: 2)
    host.settle()
    #expect(world.history("dm:ann:bob") == [base])
    #expect(host.verdicts.count == 1)
    #expect(host.verdicts[0].outcome == .duplicate)
    #expect(host.verdicts[0].first == .event)
    #expect(host.verdicts[0].seq == base)
    #expect(host.verdicts[0].time == world.log[0].appended)
  }

  @Test func aRepeatInTheSameBatchIsAnsweredWithWhatTheFirstOneCameTo() {
    let (world, host) = world()
    host.deliversRecords = false
    world.append("dm:ann:ann", id: "0")
    world.append("room:r", id: "1", kind: .join)
    world.append("room:r", id: "1", kind: .join, isRepeat: true)
    // Both come while the batch before them is under way.
    var isHeld = false
    host.before = { action in
      if case .lookUp = action, !isHeld {
        isHeld = true
        return false
      }
      return true
    }
    host.deliversRecords = true
    host.settle()
    host.pass(200)
    #expect(host.applies.last { !$0.records.isEmpty }?.records.count == 1)
    #expect(host.verdicts.map(\.outcome) == [.notFound, .duplicate])
    #expect(host.verdicts.map(\.first)[1] == .notFound)
    #expect(host.verdicts.map(\.seq) == [base + 1, base + 1])
    // And later, from the table.
    world.append("room:r", id: "1", kind: .join, isRepeat: true)
    host.settle()
    #expect(host.verdicts.last?.first == .notFound)
  }

  @Test func aRecordThatIsNotOursIsPassed() {
    let (world, host) = world()
    world.appendForeign()
    world.append("nonsense", id: "1")
    world.append("dm:ann:bob", id: "2", kind: .join)
    host.settle()
    #expect(host.owner.appliedPosition == base + 2)
    #expect(host.owner.counters.foreign == 3)
    #expect(world.view.history.isEmpty)
    #expect(host.sent.isEmpty)
  }

  @Test func aMembershipEventIsHintedToTheServerOfTheUserConcerned() {
    let (world, host) = world()
    world.append("room:r", from: "bob", id: "1", kind: .create, body: "{\"name\":\"R\",\"public\":true}")
    host.settle()
    #expect(host.sent.map(\.server) == [s2])
    #expect(host.sent[0].texts[0].contains("\"role\":\"owner\",\"by\":\"bob\""))
    world.rooms["room:r"] = [s1]
    world.append("room:r", from: "bob", id: "2", kind: .leave)
    host.settle()
    #expect(host.sent[1...].map(\.server) == [s1, s2])
    #expect(world.members("room:r") == [])
  }

  @Test func aLostAnswerOfAnApplyChangesTheViewOnceAndBreaksTheChain() {
    let (world, host) = world()
    var losses = 1
    host.after = { action in
      guard case .apply(let request) = action, !request.records.isEmpty, losses > 0 else { return true }
      losses -= 1
      return false
    }
    world.append("room:r", id: "1", kind: .join)
    host.settle()
    host.pass(300)
    #expect(host.owner.appliedPosition == base)
    #expect(host.owner.isInService)
    #expect(host.sent.suffix(2).allSatisfy { $0.batch.since == base && $0.batch.upto == base })
    // The outcome was read from the view: the repeat finds it, and the state topic is told.
    world.append("room:r", id: "1", kind: .join, isRepeat: true)
    host.settle()
    #expect(host.verdicts.map(\.outcome) == [.duplicate])
    #expect(host.verdicts.map(\.first) == [.notFound])
    host.pass(2_000)
    #expect(world.stateOutcomes() == [base: .notFound])
  }

  // MARK: The chain

  @Test func aBatchGoesOnFromTheLastOneSentToThatServer() {
    let (world, host) = world()
    world.append("dm:bob:bob", from: "bob", id: "1")
    world.append("dm:ann:ann", id: "2")
    world.append("dm:bob:bob", from: "bob", id: "3")
    host.settle()
    let toBob = host.sent.filter { $0.server == s2 }
    #expect(toBob[0].batch.since == base - 1)
    for (one, next) in zip(toBob, toBob.dropFirst()) { #expect(next.batch.since == one.batch.upto) }
  }

  @Test func aBatchThatWasNotProducedBreaksItsServersChain() {
    let (world, host) = world()
    world.append("dm:bob:bob", from: "bob", id: "1")
    host.settle()
    host.before = { if case .send = $0 { false } else { true } }
    world.append("dm:bob:bob", from: "bob", id: "2")
    host.settle()
    host.before = { _ in true }
    world.append("dm:ann:ann", id: "3")
    host.settle()
    world.append("dm:bob:bob", from: "bob", id: "4")
    host.settle()
    // The shards stand at `base`, and see a batch that begins behind what they have.
    #expect(host.sent.last { $0.server == s2 }?.batch.since == base + 2)
    #expect(host.sent.last { $0.server == s1 }?.batch.since == base - 1)
  }

  @Test func aServerWithoutALeaseForOneBatchBeginsAnew() {
    let (world, host) = world()
    world.append("dm:bob:bob", from: "bob", id: "1")
    host.settle()
    world.living = [s1]
    world.append("dm:bob:bob", from: "bob", id: "2")
    host.settle()
    #expect(host.sent.count == 1)
    world.living = [s1, s2]
    world.append("dm:bob:bob", from: "bob", id: "3")
    host.settle()
    #expect(host.sent.last?.batch.since == base + 1)
    #expect(host.sent.last?.hints == [base + 2])
  }

  @Test func aDirectoryThatChangesBetweenLookUpAndLeasesHoldsTheBatchBack() {
    let (world, host) = world()
    host.before = { action in
      if case .readLeases = action { world.primaries = [8] }
      return true
    }
    world.append("dm:ann:bob", id: "1")
    host.settle()
    #expect(host.sent.allSatisfy { $0.hints.isEmpty })
    #expect(host.owner.counters.unsent == 1)
    // Everybody is told at once that he missed something, by the new directory's name.
    #expect(host.sent.map(\.server) == [s1, s2])
    #expect(host.sent.allSatisfy { $0.batch.since == base && $0.batch.directories == [8] })
  }

  @Test func aDirectoryThatChangedUnseenBreaksAllChains() {
    let (world, host) = world()
    world.primaries = [9]
    host.pass(Limits.beatMilliseconds + 200)
    #expect(host.sent.last?.batch.directories == [9])
    #expect(host.owner.isInService)
  }

  @Test func aBatchThatIsNotProducedIsFollowedByOneThatShowsTheHole() {
    let (world, host) = world()
    host.pass(Limits.beatMilliseconds)
    let before = host.sent.count
    var hasFailed = false
    host.before = { action in
      guard case .send(let server, _) = action, server == s2, !hasFailed else { return true }
      hasFailed = true
      return false
    }
    world.append("dm:ann:bob", id: "1")
    host.settle()
    #expect(hasFailed && !host.sent[before...].contains { $0.server == s2 })
    host.pass(Limits.repairMilliseconds + 100)
    let next = host.sent[before...].first { $0.server == s2 }
    #expect(next?.batch.since == base && next?.batch.upto == base)
  }

  @Test func aFailedLookUpIsAskedAgain() {
    let (world, host) = world()
    var failures = 2
    host.before = { action in
      if case .lookUp = action, failures > 0 {
        failures -= 1
        return false
      }
      return true
    }
    world.append("dm:ann:bob", id: "1")
    host.settle()
    #expect(host.sent.isEmpty)
    host.pass(1_000)
    #expect(host.sent.filter { !$0.hints.isEmpty }.map(\.server) == [s1, s2])
  }

  @Test func aLargeBatchIsSentInPartsThatFollowEachOther() {
    let (world, host) = world()
    host.deliversRecords = false
    let body = "\"" + String(repeating: "x", count: 60_000) + "\""
    for n in 0..<40 { world.append("dm:ann:bob", id: "\(n)", body: body) }
    host.deliversRecords = true
    var lookUps = 1
    host.before = { action in
      if case .lookUp = action, lookUps > 0 {
        lookUps -= 1
        return false
      }
      return true
    }
    host.settle()
    host.pass(300)
    let toBob = host.sent.filter { $0.server == s2 }
    #expect(toBob.flatMap(\.hints) == Array(base..<base + 40))
    for (one, next) in zip(toBob, toBob.dropFirst()) { #expect(next.batch.since == one.batch.upto) }
    #expect(toBob.allSatisfy { $0.batch.hints.bytes.count <= 1 << 20 })
    #expect(toBob.count < 10)
  }

  @Test func theLogIsNotReadBeyondTheQueuesBound() {
    let (world, host) = world()
    host.before = { if case .apply = $0 { false } else { true } }
    let body = "\"" + String(repeating: "x", count: 60_000) + "\""
    for n in 0..<100 { world.append("dm:ann:bob", id: "\(n)", body: body) }
    host.settle()
    #expect(host.pauses == 1)
    host.before = { _ in true }
    host.pass(3_000)
    #expect(host.owner.appliedPosition == base + 99)
  }

  // MARK: Commits

  @Test func whatWasHintedIsCommittedWithItsRows() {
    let (world, host) = world()
    world.append("room:r", id: "1", kind: .create, body: "{\"name\":\"R\",\"public\":true}")
    world.append("room:r", from: "bob", id: "2", kind: .join)
    host.settle()
    host.pass(1_200)
    #expect(world.committed == base + 1)
    #expect(world.stateOutcomes() == [base: .event, base + 1: .event])
    #expect(
      world.state.contains(
        StateRow(
          chat: Array("room:r".utf8), seq: base + 1,
          value: .member(user: Array("bob".utf8), role: .member))))
  }

  @Test func rowsOfACommitThatFailedAreWrittenAgain() {
    let (world, host) = world()
    var failures = 2
    host.before = { action in
      if case .commit = action, failures > 0 {
        failures -= 1
        return false
      }
      return true
    }
    world.append("room:r", id: "1", kind: .join)
    host.pass(1_500)
    world.append("room:r", id: "2", kind: .join)
    host.pass(4_000)
    #expect(world.stateOutcomes() == [base: .notFound, base + 1: .notFound])
    #expect(world.state.count == 2)
  }

  @Test func noMoreThanAMinuteOfTheLogIsAppliedBeyondWhatIsCommitted() {
    let (world, host) = world()
    host.before = { if case .commit = $0 { false } else { true } }
    world.append("dm:ann:bob", id: "1")
    host.settle()
    world.wall += Limits.commitLagMilliseconds
    world.append("dm:ann:bob", id: "2")
    host.settle()
    host.pass(3_000)
    #expect(host.owner.appliedPosition == base)
    host.before = { _ in true }
    host.pass(3_000)
    #expect(host.owner.appliedPosition == base + 1)
  }

  @Test func theHeadOfAChatThatWasQuietForAMinuteIsCommitted() {
    let (world, host) = world()
    world.append("dm:ann:bob", id: "1")
    world.append("dm:ann:bob", id: "2")
    host.settle()
    host.pass(50_000)
    #expect(world.state.isEmpty)
    host.pass(12_000)
    #expect(world.state == [StateRow(chat: Array("dm:ann:bob".utf8), seq: base + 1, value: .head)])
  }

  @Test func outcomesThatLeftTheWindowAreForgotten() {
    let (world, host) = world()
    world.append("room:r", id: "1", kind: .join)
    host.settle()
    host.pass(2_000)
    #expect(world.stateOutcomes().count == 1)
    world.wall += Limits().windowMilliseconds + 1
    host.pass(60_000)
    host.tick += Owner.sweepMilliseconds
    host.pass(3_000)
    #expect(world.stateOutcomes().isEmpty)
  }

  @Test func afterBeingRevokedAnOwnerDoesNothing() {
    let (world, host) = world()
    world.append("dm:ann:bob", id: "1")
    host.before = { action in
      if case .lookUp = action { host.owner.revoked() }
      return true
    }
    host.settle()
    host.pass(10_000)
    #expect(host.sent.isEmpty)
    #expect(!host.owner.isInService)
  }
}
