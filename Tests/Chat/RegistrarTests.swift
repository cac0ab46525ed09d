import Chat
import Testing

@Suite struct RegistrarTests {
  let room = Array("r".utf8)

  @Test func itsInboxStandsBeforeItsLeaseAndItsLeaseBeforeAnyShardGoesOn() {
    let stage = RegistrarStage.standing()
    #expect(
      stage.kinds.prefix(8) == [
        "makeInbox", "takeLease", "readInbox", "readDirectories", "readDirectories", "registeredAgain",
        "leaseHolds", "registeredAgain",
      ])
    #expect(stage.shards.allSatisfy { $0.epoch == stage.registrar.epoch && $0.directories == [1] })
    #expect(stage.failures == [])
  }

  @Test func aPredecessorOfAnEarlierBootIsReplacedAtOnce() {
    let stage = RegistrarStage()
    let dead = LeaseHolder(epoch: 5, host: "host", boot: "before", process: 7)
    stage.primaries[1]!.lease = (dead, .max)
    stage.start()
    stage.run(200)
    #expect(stage.registrar.isStanding)
  }

  @Test func aPredecessorWhoseProcessIsGoneIsReplacedWhenTheCallerSaysSo() {
    let stage = RegistrarStage()
    let dead = LeaseHolder(epoch: 5, host: "host", boot: "boot", process: 6)
    stage.primaries[1]!.lease = (dead, .max)
    stage.start()
    stage.run(500)
    #expect(!stage.registrar.isStanding)
    stage.input { $0.predecessorIsGone(dead) }
    stage.run(200)
    #expect(stage.registrar.isStanding)
  }

  @Test func aPredecessorElsewhereIsWaitedForAsLongAsItsLeaseLasts() {
    let stage = RegistrarStage()
    stage.primaries[1]!.lease = (elsewhere, stage.now + 2_900)
    stage.start()
    stage.run(2_500)
    #expect(!stage.registrar.isStanding)
    stage.run(1_000)
    #expect(stage.registrar.isStanding)
  }

  @Test func aServerWhoseIdIsInUseElsewhereRefusesToStart() {
    let stage = RegistrarStage()
    stage.primaries[1]!.lease = (elsewhere, .max)
    stage.start()
    stage.run(6_000)
    #expect(stage.kinds.last == "refuseStart")
    #expect(stage.primaries[1]!.lease?.holder == elsewhere)
  }

  @Test func theLeaseHoldsFromWhenItsRenewalWasAskedForNotAnswered() {
    let stage = RegistrarStage.standing()
    stage.run(5_000)
    for shard in stage.shards {
      #expect(shard.leaseUntil <= stage.primaries[1]!.lease!.until)
      #expect(shard.leaseUntil > stage.now + 1_900)
    }
  }

  @Test func renewalsThatAreNotAnsweredLapseNothingByThemselves() {
    let stage = RegistrarStage.standing()
    stage.isDown = true
    stage.run(8_000)
    #expect(stage.registrar.isStanding)
    #expect(stage.shards.allSatisfy { $0.leaseUntil < stage.now && !$0.isDoubted })
  }

  @Test func aLapseIsDoubtedEverywhereBeforeTheLeaseIsSetAgain() {
    let stage = RegistrarStage.standing()
    stage.attach(1)
    stage.listen(1, "r")
    stage.run(500)
    let epoch = stage.registrar.epoch
    stage.history = []
    stage.primaries[1]!.lease = nil
    stage.run(1_500)
    let kinds = stage.kinds.drop { $0 != "registrationDoubted" }.filter { $0 != "leaseHolds" }
    #expect(
      kinds.prefix(10) == [
        "registrationDoubted", "registrationDoubted", "checkInbox", "takeLease", "readDirectories",
        "registerSessions", "registerRooms", "readDirectories", "registeredAgain", "registeredAgain",
      ])
    #expect(stage.registrar.epoch == epoch)
    stage.checkQuiet()
    #expect(stage.failures == [])
  }

  @Test func aLapseWhoseInboxWasCollectedBeginsANewEpoch() {
    let stage = RegistrarStage.standing()
    stage.attach(1)
    stage.run(500)
    let epoch = stage.registrar.epoch
    stage.inboxes = []
    stage.primaries[1]!.lease = nil
    stage.run(1_500)
    #expect(stage.registrar.epoch != epoch)
    #expect(stage.shards.allSatisfy { $0.epoch == stage.registrar.epoch })
    stage.checkQuiet()
    #expect(stage.failures == [])
  }

  @Test func anInboxThatIsGoneIsReplacedInANewEpochWhileTheLeaseStands() {
    let stage = RegistrarStage.standing()
    let epoch = stage.registrar.epoch
    stage.inboxes = []
    stage.input { $0.inboxLost() }
    stage.run(500)
    #expect(stage.registrar.epoch != epoch)
    #expect(stage.primaries[1]!.lease?.holder.epoch == stage.registrar.epoch)
    stage.checkQuiet()
    #expect(stage.failures == [])
  }

  @Test func anInboxThatWasCutOffIsReadAgainInTheSameEpochAfterTheDoubt() {
    let stage = RegistrarStage.standing()
    let epoch = stage.registrar.epoch
    stage.history = []
    stage.input { $0.inboxLost() }
    stage.run(300)
    let deeds = stage.deeds.filter { $0 != "readDirectories" }
    #expect(deeds.prefix(4) == ["inboxDoubted", "inboxDoubted", "checkInbox", "readInbox"])
    #expect(stage.registrar.epoch == epoch)
  }

  @Test func anInboxThatIsLostAgainAtOnceIsReadAgainWithPauses() {
    let stage = RegistrarStage.standing()
    stage.history = []
    // Whenever it is read again, it is lost again.
    for _ in 0..<60 {
      stage.input { $0.inboxLost() }
      stage.run(50)
    }
    let reads = stage.kinds.filter { $0 == "readInbox" }.count
    #expect(reads >= 3 && reads <= 4)
    #expect(stage.kinds.filter { $0 == "checkInbox" }.count == reads)
    stage.checkQuiet()
    #expect(stage.failures == [])
  }

  @Test func anotherHolderOfTheLeaseBeginsANewEpochOnceItIsGone() {
    let stage = RegistrarStage.standing()
    let epoch = stage.registrar.epoch
    stage.primaries[1]!.lease = (elsewhere, stage.now + 2_000)
    stage.run(1_500)
    #expect(stage.shards.allSatisfy { $0.isDoubted })
    #expect(stage.registrar.leaseHeldUntil == .min)
    stage.run(2_000)
    #expect(stage.registrar.isStanding && stage.registrar.epoch != epoch)
    #expect(stage.failures == [])
  }

  @Test func aSessionIsToldOnlyAfterTheDirectoriesWereReadAfterItsAnswer() {
    let stage = RegistrarStage.standing()
    stage.history = []
    let session = stage.attach(1)
    stage.run(200)
    // The first of the two was on its way already, and says nothing about what was written after it.
    #expect(
      stage.deeds.prefix(4) == ["registerSessions", "readDirectories", "readDirectories", "registered"])
    #expect(stage.shards[0].registered == [session])
  }

  @Test func aSessionWrittenToAPrimaryThatTheShardsDoNotKnowWaitsForThePass() {
    let stage = RegistrarStage.standing()
    stage.faults.delay = 0
    stage.failOver()
    stage.history = []
    let session = stage.attach(1)
    stage.run(1_500)
    let registered = stage.kinds.firstIndex(of: "registered")!
    #expect(stage.kinds.firstIndex(of: "registrationDoubted")! < registered)
    #expect(stage.kinds.firstIndex(of: "registeredAgain")! < registered)
    #expect(stage.shards[0].registered == [session] && stage.shards[0].directories == [2])
    #expect(stage.failures == [])
  }

  @Test func directoriesThatChangeDuringAPassAreRegisteredWithFromTheBeginning() {
    let stage = RegistrarStage.standing()
    stage.attach(1)
    stage.run(300)
    stage.failOver()
    stage.faults.delay = 100
    stage.input { $0.registrationAsked(shard: 0) }
    while !stage.kinds.suffix(3).contains("registerSessions") { stage.run(50) }
    stage.failOver()
    stage.faults.delay = 0
    stage.run(2_000)
    #expect(stage.shards.allSatisfy { $0.directories == [3] })
    stage.checkQuiet()
    #expect(stage.failures == [])
  }

  @Test func aShardThatAsksIsAnsweredByIdsReadAfterwards() {
    let stage = RegistrarStage.standing()
    stage.history = []
    stage.input { $0.registrationAsked(shard: 1) }
    stage.run(50)
    #expect(stage.deeds.prefix(3) == ["readDirectories", "registrationDoubted", "registeredAgain"])
  }

  @Test func whatAttachesWhileARequestIsUnderWayGoesIntoAFewRequests() {
    let stage = RegistrarStage.standing()
    stage.history = []
    for number in 1...2_000 { stage.attach(number, user: "u\(number)") }
    stage.run(500)
    let batches = stage.history.compactMap { action -> Int? in
      if case .registerSessions(_, _, let entries) = action { entries.count } else { nil }
    }
    #expect(batches.reduce(0, +) == 2_000)
    #expect(batches.count < 10 && batches.allSatisfy { $0 <= Registrar.entriesAtOnce })
    #expect(stage.failures == [])
  }

  @Test func anOlderSessionOfTheDeviceIsToldThatItIsReplaced() {
    let stage = RegistrarStage.standing()
    let old = stage.attach(1, shard: 1)
    stage.run(200)
    let new = stage.attach(2, shard: 0)
    stage.run(200)
    #expect(stage.shards[1].replaced == [old] && stage.shards[0].registered == [new])
    stage.detach(old)
    stage.run(500)
    stage.checkQuiet()
    #expect(stage.failures == [])
  }

  @Test func aSessionOfAnotherServerIsToldThroughItsInbox() {
    let stage = RegistrarStage.standing()
    let registrar = stage.registrar
    let session = stage.attach(1)
    let replaced = ReplacedSession(
      server: ServerEpoch(server: "two", epoch: 4), session: SessionID(shard: 0, generation: 1, slot: 9))
    let registered = SessionRegistered(session: session, helloAt: 1, isOutdated: false, replaced: [replaced])
    registrar.sessionsRegistered(0, [registered])
    guard case .tellReplaced(let told)? = registrar.actions.first else {
      Issue.record("nobody is told")
      return
    }
    #expect(told == replaced)
    // A late answer for one that is gone: its client may be back at what looks older.
    stage.detach(session)
    registrar.actionsPerformed()
    registrar.sessionsRegistered(0, [registered])
    #expect(!registrar.actions.contains { if case .tellReplaced = $0 { true } else { false } })
  }

  @Test func aSessionThatEndsWhileItIsRegisteredIsRemovedAfterwards() {
    let stage = RegistrarStage.standing()
    stage.faults.delay = 300
    stage.history = []
    let session = stage.attach(1)
    stage.detach(session)
    stage.run(3_000)
    #expect(stage.kinds.contains("removeSessions"))
    #expect(!stage.kinds.contains("registered"))
    stage.checkQuiet()
    #expect(stage.failures == [])
  }

  @Test func everyListenOfARegisteredRoomIsAnsweredAtOnce() {
    let stage = RegistrarStage.standing()
    stage.listen(0, "r")
    #expect(stage.shards[0].words.isEmpty)
    stage.run(200)
    #expect(stage.shards[0].words == [room: 1])
    stage.listen(1, "r")
    #expect(stage.shards[1].words == [room: 1])
  }

  @Test func aRoomWithoutListenersIsRemovedLater() {
    let stage = RegistrarStage.standing()
    stage.listen(0, "r")
    stage.run(200)
    stage.unlisten(0, "r")
    stage.run(Registrar.roomLingerMilliseconds - 500)
    #expect(stage.primaries[1]!.rooms[room] != nil)
    stage.run(1_000)
    #expect(stage.primaries[1]!.rooms.isEmpty && stage.registrar.roomCount == 0)
  }

  @Test func aListenDuringARemovalWaitsForItAndIsRegisteredAgain() {
    let stage = RegistrarStage.standing()
    stage.listen(0, "r")
    stage.run(200)
    stage.unlisten(0, "r")
    stage.faults.delay = 400
    while stage.kinds.last != "removeRooms" { stage.run(50) }
    stage.history = []
    stage.listen(0, "r")
    #expect(stage.kinds == [])
    stage.run(3_000)
    #expect(stage.kinds.contains("registerRooms"))
    stage.checkQuiet()
    #expect(stage.failures == [])
  }

  @Test func aRoomIsNotRegisteredWhileARemovalThatWasGivenUpMayStillCome() {
    let stage = RegistrarStage.standing()
    stage.listen(0, "r")
    stage.run(200)
    stage.unlisten(0, "r")
    stage.run(Registrar.roomLingerMilliseconds - 300)
    stage.faults.lateRequests = 100
    while stage.kinds.last != "removeRooms" { stage.run(50) }
    stage.faults.lateRequests = 0
    stage.listen(0, "r")
    stage.run(10_000)
    stage.checkQuiet()
    #expect(stage.failures == [])
  }

  @Test func aServerThatStopsGivesItsLeaseUp() {
    let stage = RegistrarStage.standing()
    stage.input { $0.stop() }
    stage.run(3_000)
    #expect(stage.primaries[1]!.lease == nil)
    #expect(stage.kinds.last == "dropLease")
  }

  private var elsewhere: LeaseHolder { LeaseHolder(epoch: 9, host: "elsewhere", boot: "b", process: 1) }
}

extension RegistrarStage {
  /// All but the lease's renewal, which has a rhythm of its own.
  var deeds: [String] { kinds.filter { $0 != "renewLease" && $0 != "leaseHolds" } }

  /// The names of all that the registrar wanted.
  var kinds: [String] {
    history.map { action in
      switch action {
      case .takeLease: "takeLease"
      case .renewLease: "renewLease"
      case .dropLease: "dropLease"
      case .registerSessions: "registerSessions"
      case .removeSessions: "removeSessions"
      case .registerRooms: "registerRooms"
      case .removeRooms: "removeRooms"
      case .readDirectories: "readDirectories"
      case .makeInbox: "makeInbox"
      case .checkInbox: "checkInbox"
      case .readInbox: "readInbox"
      case .tellReplaced: "tellReplaced"
      case .refuseStart: "refuseStart"
      case .tell(_, let word):
        switch word {
        case .registered: "registered"
        case .replaced: "replaced"
        case .roomRegistered: "roomRegistered"
        case .registrationDoubted: "registrationDoubted"
        case .registeredAgain: "registeredAgain"
        case .inboxDoubted: "inboxDoubted"
        case .leaseHolds: "leaseHolds"
        }
      }
    }
  }
}
