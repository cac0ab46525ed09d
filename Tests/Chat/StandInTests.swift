import Chat
import Testing

/// A directory with locks, read each second, around the stand-ins of a few servers.
private final class Locks {
  var now: Tick = 1_000
  var living: [String: Epoch] = [:]
  var directory: DirectoryID = 1
  var isDown = false
  var locks: [String: (holder: ServerEpoch, until: Tick)] = [:]
  var standIns: [String: StandIns] = [:]
  var joined: [String: String] = [:]
  var fences = 0

  init(_ servers: String...) {
    for (number, server) in servers.enumerated() {
      living[server] = Epoch(number + 1)
      standIns[server] = StandIns(server: server)
    }
  }

  func run(_ milliseconds: Int64) {
    let end = now + milliseconds
    while now < end {
      now += 100
      for server in standIns.keys.sorted() {
        guard let standIn = standIns[server] else { continue }
        if let epoch = living[server], !isDown {
          standIn.leaseHolds(epoch: epoch, until: now + Limits.leaseMilliseconds)
        }
        standIn.tick(now)
        perform(standIn, of: server)
        guard now % 1_000 == 0 else { continue }
        var read = LeasesRead(tag: 0)
        read.hasFailed = isDown
        read.directories = [directory]
        read.living = living.map { ServerEpoch(server: $0.key, epoch: $0.value) }
        standIn.leasesRead(read, tick: now)
        perform(standIn, of: server)
      }
    }
  }

  func die(_ server: String) {
    living[server] = nil
    standIns[server] = nil
  }

  private func perform(_ standIn: StandIns, of server: String) {
    while !standIn.actions.isEmpty {
      let actions = standIn.actions
      standIn.actionsPerformed()
      for action in actions {
        switch action {
        case .takeLock(let tag, let dead, let holder):
          guard !isDown else {
            standIn.lockAnswered(tag, isHeld: nil)
            continue
          }
          let other = locks[dead].flatMap { $0.until > now && $0.holder != holder ? $0.holder : nil }
          if other == nil { locks[dead] = (holder, now + Limits.leaseMilliseconds) }
          standIn.lockAnswered(tag, isHeld: other == nil)
        case .dropLock(let dead, let holder):
          if locks[dead]?.holder == holder { locks[dead] = nil }
        case .join(let dead): joined[dead] = server
        case .leave(let dead): if joined[dead] == server { joined[dead] = nil }
        }
      }
    }
  }
}

@Suite struct StandInTests {
  @Test func oneOfTheSurvivorsJoinsForAServerWhoseLeaseIsGone() {
    let world = Locks("a", "b", "c")
    world.run(10_000)
    world.die("c")
    world.run(3_000)
    #expect(world.joined.keys.sorted() == ["c"])
    #expect(world.standIns.values.count { !$0.joined.isEmpty } == 1)
  }

  @Test func aMissingLeaseIsJudgedByTheFirstReadThatHasTheOwn() {
    let world = Locks("a", "b")
    world.run(10_000)
    world.living["b"] = nil
    world.run(1_000)
    #expect(world.joined == ["b": "a"])
  }

  @Test func leasesThatAllWereLostAreNotJudgedBeforeTheirHoldersCouldSetThemAgain() {
    let world = Locks("a", "b")
    world.run(10_000)
    world.living = [:]
    world.run(1_000)
    world.living = ["a": 1, "b": 2]
    world.run(5_000)
    #expect(world.locks.isEmpty && world.joined.isEmpty)
  }

  /// It lost its own and set it again between two reads.
  @Test func whoseOwnLeaseLapsedWaitsForTheOthers() {
    let world = Locks("a", "b")
    world.run(10_000)
    world.living["b"] = nil
    world.standIns["a"]!.leaseLapsed()
    world.run(1_000)
    world.living["b"] = 2
    world.run(5_000)
    #expect(world.locks.isEmpty && world.joined.isEmpty)
  }

  @Test func itLeavesWhenTheServerIsBack() {
    let world = Locks("a", "b")
    world.run(10_000)
    world.living["b"] = nil
    world.run(4_000)
    #expect(world.joined == ["b": "a"])
    world.living["b"] = 7
    world.run(1_100)
    #expect(world.joined.isEmpty && world.locks.isEmpty)
  }

  @Test func nobodyIsJudgedForTwoLifetimesAfterTheDirectoryCameBack() {
    let world = Locks("a", "b")
    world.run(10_000)
    world.isDown = true
    world.run(10_000)
    world.living["b"] = nil
    world.isDown = false
    world.run(StandIns.judgementMilliseconds)
    #expect(world.joined.isEmpty)
    world.run(2_000)
    #expect(world.joined == ["b": "a"])
  }

  @Test func anotherDirectoryPutsOffJudgementToo() {
    let world = Locks("a", "b")
    world.run(10_000)
    world.directory = 2
    world.living["b"] = nil
    world.run(StandIns.judgementMilliseconds)
    #expect(world.joined.isEmpty)
    world.run(2_000)
    #expect(world.joined == ["b": "a"])
  }

  @Test func aServerThatWasNeverSeenAliveIsNotStoodInFor() {
    let world = Locks("a")
    world.run(20_000)
    #expect(world.joined.isEmpty)
  }

  @Test func aStandInThatDiesIsFollowedByAnother() {
    let world = Locks("a", "b", "c")
    world.run(10_000)
    world.die("c")
    world.run(4_000)
    let first = world.joined["c"]!
    world.die(first)
    world.run(8_000)
    let last = first == "a" ? "b" : "a"
    #expect(world.joined == ["c": last, first: last])
  }

  @Test func itLeavesAllWhenItsOwnLeaseLapses() {
    let world = Locks("a", "b")
    world.run(10_000)
    world.living["b"] = nil
    world.run(4_000)
    world.standIns["a"]!.leaseLapsed()
    #expect(world.standIns["a"]!.joined.isEmpty)
    #expect(world.standIns["a"]!.actions.first == .leave(server: "b"))
  }

  @Test func itLeavesWhenItsLockMayBeAnothers() {
    let world = Locks("a", "b")
    world.run(10_000)
    world.living["b"] = nil
    world.run(4_000)
    world.locks["b"] = (ServerEpoch(server: "z", epoch: 9), .max)
    world.run(1_100)
    #expect(world.joined.isEmpty)
  }

  @Test func oneThatWasPutOutDoesNotJoinAgainBeforeTheServerWasSeen() {
    let world = Locks("a", "b")
    world.run(10_000)
    world.living["b"] = nil
    world.run(4_000)
    world.standIns["a"]!.fenced(server: "b")
    world.joined = [:]
    world.run(5_000)
    #expect(world.joined.isEmpty && world.locks.isEmpty)
    world.living["b"] = 8
    world.run(2_000)
    world.living["b"] = nil
    world.run(4_000)
    #expect(world.joined == ["b": "a"])
  }

  @Test func itStandsInForAFewAtOnce() {
    let world = Locks("a", "b", "c", "d", "e", "f", "g")
    world.run(10_000)
    for server in ["b", "c", "d", "e", "f", "g"] { world.die(server) }
    world.run(6_000)
    #expect(world.joined.count == StandIns.serversAtOnce)
  }
}

@Suite struct CollectorTests {
  private let dead = ServerEpoch(server: "a", epoch: 1)
  private let alive = ServerEpoch(server: "a", epoch: 2)

  private func read(
    _ collector: Collector, at tick: Tick, hasFailed: Bool = false, directory: DirectoryID = 1
  ) {
    var read = LeasesRead(tag: 0)
    read.hasFailed = hasFailed
    read.directories = [directory]
    read.living = [alive]
    collector.leasesRead(read, tick: tick)
  }

  /// When the dead epoch's inbox may be deleted first, looked at each second.
  private func deletedAt(disturb: (Collector, Tick) -> Void = { _, _ in }) -> Tick? {
    let collector = Collector()
    for tick in stride(from: Tick(0), through: 900_000, by: 1_000) {
      read(collector, at: tick)
      disturb(collector, tick)
      let deletable = collector.inboxesListed([dead, alive], tick: tick)
      if !deletable.isEmpty {
        #expect(deletable == [dead])
        return tick
      }
    }
    return nil
  }

  @Test func anInboxIsDeletedOnceItsEpochWasWithoutALeaseForMinutes() {
    #expect(deletedAt() == Collector.deadMilliseconds)
  }

  @Test func aFailedReadBeginsTheWaitingAnew() {
    let at = deletedAt { if $1 == 200_000 { read($0, at: $1, hasFailed: true) } }
    #expect(at == 201_000 + Collector.deadMilliseconds)
  }

  @Test func anotherDirectoryBeginsTheWaitingAnew() {
    let at = deletedAt { if $1 == 200_000 { read($0, at: $1, directory: 2) } }
    #expect(at == 201_000 + Collector.deadMilliseconds)
  }
}
