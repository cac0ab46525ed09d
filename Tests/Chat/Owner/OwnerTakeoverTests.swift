import Chat
import Testing

/// Taking over, being refused, rebuilding, and stopping.
@Suite struct OwnerTakeoverTests {
  private let s1 = ServerEpoch(server: "s1", epoch: 1)
  private let base = OwnerBackends.base
  private let room = "{\"name\":\"R\",\"public\":true}"

  private func world() -> (OwnerBackends, OwnerHost) {
    let world = OwnerBackends()
    world.living = [s1]
    world.users = ["ann": [s1], "bob": [s1]]
    let host = OwnerHost(world)
    host.start()
    host.pass(100)
    host.sent = []
    host.rebuilds = []
    return (world, host)
  }

  private func next(_ world: OwnerBackends, seed: UInt64 = 2) -> OwnerHost {
    let host = OwnerHost(world, seed: seed)
    host.start()
    return host
  }

  @Test func aTakeoverFillsTheDedupeTable() {
    let (world, first) = world()
    world.append("dm:ann:bob", id: "1")
    world.append("room:r", id: "2", kind: .join)
    for n in 0..<5 { world.append("room:r", id: "more\(n)", kind: .join) }
    first.settle()
    first.isDead = true
    world.append("dm:ann:bob", id: "1", isRepeat: true)
    world.append("room:r", id: "2", kind: .join, isRepeat: true)
    let second = next(world)
    #expect(second.owner.isInService)
    #expect(second.verdicts.map(\.outcome) == [.duplicate, .duplicate])
    #expect(second.verdicts.map(\.first) == [.event, .notFound])
    #expect(second.verdicts.map(\.seq) == [base, base + 1])
    #expect(second.rebuilds.isEmpty)
  }

  @Test func aTakeoverBeginsWhereTheViewStandsAndTellsEveryServerAtOnce() {
    let (world, first) = world()
    first.before = { if case .lookUp = $0 { false } else { true } }
    world.append("dm:ann:bob", id: "1")
    first.settle()
    first.isDead = true
    let second = next(world)
    #expect(second.sent.count == 1)
    #expect(second.sent[0].batch.since == base)
    #expect(second.sent[0].hints == [])
    #expect(world.history("dm:ann:bob") == [base])
  }

  @Test func aTakeoverWritesTheRowsThatWereNotCommittedAgain() {
    let (world, first) = world()
    world.append("room:r", id: "0", kind: .create, body: room)
    first.settle()
    first.pass(2_000)
    first.before = { if case .commit = $0 { false } else { true } }
    world.append("room:r", from: "bob", id: "1", kind: .join)
    first.settle()
    first.isDead = true
    #expect(world.stateOutcomes().count == 1)
    let second = next(world)
    second.pass(2_000)
    #expect(world.stateOutcomes() == [base: .event, base + 1: .event])
    #expect(world.state.filter { $0.seq == base }.count == 3)
    #expect(world.committed == base + 1)
  }

  @Test func anIdleLogWhoseRecordsRetentionTookIsTakenOver() {
    let (world, first) = world()
    world.append("dm:ann:bob", id: "1")
    first.settle()
    first.isDead = true
    world.wall += Limits().windowMilliseconds * 2
    world.trim(below: base + 1)
    let second = next(world)
    second.pass(3_000)
    #expect(second.owner.isInService)
    #expect(second.stops.isEmpty)
  }

  @Test func twoOwnersApplyEachRecordOnce() {
    let (world, first) = world()
    let second = next(world)
    for n in 0..<20 {
      world.append("dm:ann:bob", id: "\(n)")
      if n % 3 == 0 { first.settle() } else { second.settle() }
      first.pass(100)
    }
    second.pass(1_000)
    first.pass(1_000)
    #expect(world.history("dm:ann:bob") == Array(base..<base + 20))
    #expect(first.owner.appliedPosition == base + 19)
    #expect(second.owner.appliedPosition == base + 19)
  }

  // MARK: Rebuilding

  @Test func aViewThatIsGoneIsRebuiltWithTheSameOutcomes() {
    let (world, host) = world()
    world.append("room:r", id: "0", kind: .join)
    world.append("room:r", id: "1", kind: .create, body: room)
    world.append("room:r", from: "bob", id: "2", kind: .join)
    world.append("dm:ann:bob", id: "3")
    host.settle()
    host.pass(2_000)
    let before = world.view
    world.view = OwnerBackends.View()
    host.pass(2_000)
    #expect(host.rebuilds.count == 1)
    #expect(world.view.state.id != before.state.id)
    #expect(world.view.state.rebuildingUntil == nil)
    #expect(world.view.history == before.history)
    #expect(world.view.outcomes == before.outcomes)
    #expect(world.members("room:r") == ["ann", "bob"])
    #expect(host.sent.last?.batch.view == world.view.state.id)
    #expect(host.verdicts.count == 1)
    #expect(host.sent.flatMap(\.hints).sorted() == [base + 1, base + 2, base + 3])
  }

  @Test func aViewThatWentBackByLessThanTheCommitLagIsNoticedAndBroughtBack() {
    let (world, host) = world()
    world.append("room:r", id: "0", kind: .create, body: room)
    host.settle()
    host.pass(2_000)
    let old = world.view
    host.before = { if case .commit = $0 { false } else { true } }
    world.append("room:r", from: "bob", id: "1", kind: .join)
    world.append("room:r", from: "bob", id: "2")
    host.settle()
    let new = world.view
    world.view = old
    host.pass(2_000)
    #expect(host.rebuilds.map(\.until) == [base + 2])
    #expect(world.view.state.applied == base + 2)
    #expect(world.view.history == new.history)
    #expect(world.members("room:r") == ["ann", "bob"])
    #expect(host.applies.filter(\.isReplay).flatMap(\.records).map(\.seq) == [base + 1, base + 2])
  }

  @Test func anAppliedThatIsBelowWhatWasCommittedIsRebuilt() {
    let (world, first) = world()
    world.append("dm:ann:bob", id: "1")
    first.settle()
    let old = world.view
    world.append("dm:ann:bob", id: "2")
    first.settle()
    first.pass(2_000)
    first.isDead = true
    world.view = old
    let second = next(world)
    #expect(second.rebuilds.map(\.until) == [base + 1])
    #expect(world.history("dm:ann:bob") == [base, base + 1])
  }

  @Test func anOutcomeIsReplayedAndNotJudgedAgain() {
    let (world, first) = world()
    // Bob was refused before there was a room; from the restored rows it would look as if there was one.
    world.append("room:r", from: "bob", id: "1", kind: .join)
    world.append("room:r", id: "2", kind: .create, body: room)
    world.append("room:r", from: "eve", id: "3", kind: .join)
    world.append("room:r", from: "eve", id: "4", kind: .leave)
    world.append("room:r", from: "eve", id: "5", isRepeat: true)
    first.settle()
    first.pass(2_000)
    first.isDead = true
    let before = world.view
    world.view = OwnerBackends.View()
    let second = next(world)
    second.pass(500)
    let forced = second.applies.flatMap(\.records).map { $0.forced?.outcome }
    #expect(forced == [.notFound, .event, .event, .event, .forbidden])
    #expect(world.view.history == before.history)
    #expect(world.members("room:r") == ["ann"])
  }

  @Test func aRecordThatWasCommittedWithoutARowWasRefused() {
    let (world, first) = world()
    world.append("room:r", id: "1", kind: .create, body: room)
    world.append("room:r", from: "bob", id: "2", kind: .join)
    first.settle()
    first.pass(2_000)
    first.isDead = true
    world.state.removeAll { $0.seq == base + 1 }
    world.view = OwnerBackends.View()
    _ = next(world)
    #expect(world.members("room:r") == ["ann"])
    #expect(world.history("room:r") == [base])
  }

  @Test func aRebuildWhoseOwnerDiedBeforeItsRowsBeginsAgainUnderAnotherID() {
    let (world, first) = world()
    world.append("room:r", id: "1", kind: .create, body: room)
    first.settle()
    first.pass(2_000)
    first.isDead = true
    world.view = OwnerBackends.View()
    let second = OwnerHost(world, seed: 2)
    second.before = { action in
      if case .restore = action { second.isDead = true }
      return true
    }
    second.start()
    #expect(world.view.state.applied == nil)
    let id = world.view.state.id
    let third = next(world, seed: 3)
    #expect(third.owner.isInService)
    #expect(world.view.state.id != id)
    #expect(world.members("room:r") == ["ann"])
  }

  @Test func aRebuildWhoseOwnerDiedDuringTheReplayGoesOnUnderItsID() {
    let (world, first) = world()
    for n in 0..<5 { world.append("dm:ann:bob", id: "a\(n)") }
    world.append("room:r", from: "bob", id: "1", kind: .join)
    world.append("room:r", id: "2", kind: .create, body: room)
    first.settle()
    first.pass(2_000)
    first.isDead = true
    world.view = OwnerBackends.View()
    let second = OwnerHost(world, seed: 2)
    second.after = { action in
      if case .apply(let request) = action, request.upto >= base + 2 { second.isDead = true }
      return true
    }
    second.start()
    let half = world.view.state
    #expect(half.applied == base + 2)
    #expect(half.rebuildingUntil == base + 6)
    world.append("room:r", from: "bob", id: "1", kind: .join, isRepeat: true)
    let third = next(world, seed: 3)
    third.pass(200)
    #expect(third.rebuilds.isEmpty)
    #expect(world.view.state.id == half.id)
    #expect(world.view.state.rebuildingUntil == nil)
    #expect(world.history("dm:ann:bob") == Array(base..<base + 5))
    #expect(world.members("room:r") == ["ann"])
    #expect(third.verdicts.map(\.first) == [.notFound])
  }

  @Test func lostAnswersInARebuildChangeNothing() {
    let (world, first) = world()
    world.append("room:r", id: "1", kind: .create, body: room)
    for n in 0..<20 {
      world.append("room:r", from: "u\(n % 3)", id: "\(n)", kind: n % 2 == 0 ? .join : .leave)
    }
    first.settle()
    first.pass(2_000)
    first.isDead = true
    let before = world.view
    world.view = OwnerBackends.View()
    let second = OwnerHost(world, seed: 2)
    var count = 0
    second.after = { action in
      switch action {
      case .apply, .beginRebuild, .restore:
        count += 1
        return count % 2 == 0
      default: return true
      }
    }
    second.start()
    second.pass(60_000)
    #expect(second.owner.isInService)
    #expect(world.view.history == before.history)
    #expect(world.view.outcomes == before.outcomes)
    #expect(
      world.view.members.mapValues { $0.mapValues(\.role) }
        == before.members.mapValues { $0.mapValues(\.role) })
  }

  @Test func anotherOwnersRebuildIsWaitedForUntilItStandsStill() {
    let (world, host) = world()
    world.append("dm:ann:bob", id: "1")
    host.settle()
    host.pass(2_000)
    world.view.state = ViewState(id: 99, rebuildingUntil: base)
    host.pass(9_000)
    #expect(host.rebuilds.isEmpty)
    #expect(!host.owner.isInService)
    host.pass(5_000)
    #expect(host.rebuilds.count == 1)
    #expect(host.owner.isInService)
    #expect(world.history("dm:ann:bob") == [base])
  }

  @Test func anotherOwnersViewIsTakenAsItStands() {
    let (world, host) = world()
    world.append("dm:ann:bob", id: "1")
    host.settle()
    host.pass(2_000)
    world.view.state.id = 99
    host.pass(2_000)
    world.append("dm:ann:bob", id: "1", isRepeat: true)
    world.append("dm:ann:bob", id: "2")
    host.settle()
    #expect(host.rebuilds.isEmpty)
    #expect(host.sent.last?.batch.view == 99)
    #expect(host.verdicts.map(\.seq) == [base])
    #expect(world.history("dm:ann:bob") == [base, base + 2])
  }

  @Test func whatIsAboveTheCommittedPlaceIsReplayedHoweverOldItIs() {
    let (world, first) = world()
    world.append("room:r", id: "1", kind: .create, body: room)
    first.settle()
    first.pass(2_000)
    first.isDead = true
    world.append("room:r", from: "bob", id: "2", kind: .join)
    world.wall += Limits().windowMilliseconds * 2
    world.append("dm:ann:bob", id: "3")
    world.view = OwnerBackends.View()
    let second = next(world)
    second.pass(3_000)
    #expect(world.members("room:r") == ["ann", "bob"])
    #expect(world.history("dm:ann:bob") == [base + 2])
  }

  // MARK: Stopping

  @Test func anotherRecordWhereTheViewStandsStopsThePartition() {
    let (world, first) = world()
    world.append("dm:ann:bob", id: "1")
    world.append("dm:ann:bob", id: "2")
    first.settle()
    first.isDead = true
    world.log.removeLast()
    world.append("dm:ann:bob", id: "other")
    let second = next(world)
    #expect(second.stops == [.otherRecord(at: base + 1)])
    second.pass(5_000)
    #expect(second.sent.isEmpty)
  }

  @Test func aLogThatEndsBelowTheViewStopsThePartitionAfterTenSeconds() {
    let (world, first) = world()
    world.append("dm:ann:bob", id: "1")
    world.append("dm:ann:bob", id: "2")
    first.settle()
    first.isDead = true
    world.log.removeLast()
    let second = next(world)
    second.pass(9_000)
    #expect(second.stops.isEmpty)
    second.pass(5_000)
    #expect(second.stops == [.logEndsBelow(end: base, known: base + 1)])
  }

  @Test func aLogThatEndsBelowARebuildStopsThePartition() {
    let (world, first) = world()
    for n in 0..<3 { world.append("dm:ann:bob", id: "\(n)") }
    first.settle()
    first.pass(2_000)
    first.isDead = true
    world.view = OwnerBackends.View()
    world.log.removeLast()
    let second = next(world)
    second.pass(15_000)
    #expect(second.stops == [.logEndsBelow(end: base + 1, known: base + 2)])
    #expect(world.view.state.rebuildingUntil == base + 2)
  }

  @Test func aLogThatLosesItsEndUnderAnOwnerStopsThePartition() {
    let (world, host) = world()
    for n in 0..<3 { world.append("dm:ann:bob", id: "\(n)") }
    host.settle()
    world.log.removeLast(2)
    host.pass(Owner.windowQuestionMilliseconds + 12_000)
    #expect(host.stops == [.logEndsBelow(end: base, known: base + 2)])
  }
}
