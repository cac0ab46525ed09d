import Chat
import Foundation
import Redis
import SimulatedRedis
import Support
import Testing

/// Leases, sessions and rooms, on both servers.
@Suite struct DirectoryScriptTests {
  private let server = ServerEpoch(server: "s1", epoch: .max)

  private func holder(_ epoch: Epoch, process: Int64 = 7) -> LeaseHolder {
    LeaseHolder(epoch: epoch, host: "host:1", boot: "boot", process: process)
  }

  private func take(
    _ both: BothServers, _ holder: LeaseHolder, replacing: LeaseHolder? = nil, milliseconds: Int64 = 60_000
  ) throws -> LeaseAnswer {
    let command = RedisCommand.takeLease(
      server: "s1", holder, replacing: replacing, milliseconds: milliseconds)
    return LeaseAnswer(reply: try both.run(command))
  }

  private func renew(_ both: BothServers, _ epoch: Epoch) throws -> LeaseAnswer {
    LeaseAnswer(reply: try both.run(.renewLease(server: "s1", epoch, milliseconds: 60_000)))
  }

  @Test func aLeaseIsTakenFromNobodyButWhoIsKnownToBeGone() throws {
    try withBothServers { (both) throws in
      #expect(try take(both, holder(1)) == .held)
      #expect(try take(both, holder(2)) == .other(holder(1)))
      #expect(try take(both, holder(2), replacing: holder(3)) == .other(holder(1)))
      #expect(try take(both, holder(1)) == .held)
      #expect(try take(both, holder(2), replacing: holder(1)) == .held)
      #expect(try renew(both, 1) == .other(holder(2)))
      #expect(try renew(both, 2) == .held)
      #expect(try both.run(.dropLease(server: "s1", 1)) == .integer(0))
      #expect(try both.run(.dropLease(server: "s1", 2)) == .integer(1))
      #expect(try renew(both, 2) == .absent)
    }
  }

  @Test func aLeaseThatIsNotRenewedLapses() throws {
    try withBothServers { (both) throws in
      #expect(try take(both, holder(1), milliseconds: 30) == .held)
      usleep(60_000)
      #expect(LeasesRead(tag: 1, reply: try both.run(.readLeases)).living.isEmpty)
      #expect(try renew(both, 1) == .absent)
      #expect(try take(both, holder(2)) == .held)
      let read = LeasesRead(tag: 1, reply: try both.run(.readLeases))
      #expect(read.living == [ServerEpoch(server: "s1", epoch: 2)])
      #expect(read.directories == [both.simulated.replicationID])
    }
  }

  /// Whoever lost it would have to register everything again, which a full one does not take.
  @Test func aFullRedisTakesLeasesAndLocksAndMarks() throws {
    try withRedisServer { (process) throws in
      let redis = try RedisTestClient(port: process.port)
      func answer(_ command: RedisCommand) throws -> LeaseAnswer {
        LeaseAnswer(reply: try redis.run(command))
      }
      #expect(try answer(.takeLease(server: "s1", holder(.max), replacing: nil)) == .held)
      _ = try redis.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
      _ = try redis.ask("CONFIG", "SET", "maxmemory", "1")
      let room = RedisCommand.registerRoom(Array("room:r".utf8), server: server, partitions: 16)
      guard case .error(let complaint) = try redis.run(room) else {
        throw TestFailure("it is not full")
      }
      #expect(RedisComplaint(complaint) == .full)
      #expect(try answer(.renewLease(server: "s1", .max)) == .held)
      #expect(try answer(.takeLease(server: "s2", holder(2), replacing: nil)) == .held)
      #expect(try answer(.takeLock(server: "s3", holder: server)) == .held)
      #expect(try answer(.markCut(server)) == .held)
      #expect(LeasesRead(tag: 1, reply: try redis.run(.readCuts)).living == [server])
      #expect(
        LeasesRead(tag: 1, reply: try redis.run(.readLeases)).living.map(\.server).sorted() == ["s1", "s2"])
      #expect(try redis.run(.unmarkCut(server)) == .integer(1))
      #expect(try redis.run(.dropLock(server: "s3", holder: server)) == .integer(1))
    }
  }

  private func register(
    _ both: BothServers, _ session: UInt64, at server: ServerEpoch, earlier: [Epoch] = [],
    device: String = "phone", helloAt: WallTime? = nil
  ) throws -> SessionRegistered {
    let entry = SessionEntry(
      session: SessionID(raw: session), user: Array("ann".utf8), device: Array(device.utf8), helloAt: helloAt)
    let command = RedisCommand.registerSessions(server: server, earlier: earlier, [entry])[0]
    return try #require([SessionRegistered](reply: try both.run(command))?.first)
  }

  @Test func aNewerSessionOfADeviceReplacesTheOlder() throws {
    try withBothServers { (both) throws in
      let other = ServerEpoch(server: "s2", epoch: 5)
      let first = try register(both, 1, at: server)
      #expect(!first.isOutdated && first.replaced.isEmpty)
      let elsewhere = try register(both, 1, at: other, device: "tab")
      #expect(elsewhere.replaced.isEmpty)
      let second = try register(both, 1, at: other)
      #expect(second.helloAt > first.helloAt && !second.isOutdated)
      #expect(second.replaced == [ReplacedSession(server: server, session: SessionID(raw: 1))])
    }
  }

  private func servers(_ both: BothServers) throws -> [ServerEpoch] {
    var lookUp = LookUp()
    lookUp.users = [Array("ann".utf8)]
    let replies = try RedisCommand.lookUp(lookUp, partitions: 16).map { try both.run($0) }
    let found = LookedUp(tag: 1, lookUp, replies: replies, primaries: [try both.run(.readDirectory)])
    return try #require(found.users.first)
  }

  /// It stood in a socket when its process was killed. Both number their sessions in the same way.
  @Test(arguments: [nil, BothServers.clock - 5_000])
  func aLateRegistrationOfADeadProcessLeavesItsSuccessorsSessionAlone(helloAt: WallTime?) throws {
    try withBothServers { (both) throws in
      let dead = ServerEpoch(server: "s1", epoch: 4)
      let living = try register(both, 1, at: server)
      _ = try register(both, 1, at: dead, helloAt: helloAt)
      #expect(try servers(both) == [dead, server])
      let again = try register(both, 1, at: server, helloAt: living.helloAt)
      #expect(again.helloAt == living.helloAt && !again.isOutdated)
      let entry = SessionEntry(session: SessionID(raw: 1), user: Array("ann".utf8), device: [])
      #expect(try both.run(RedisCommand.removeSessions(server: dead, [entry])[0]) == .integer(1))
      #expect(try servers(both) == [server])
      try both.compareStates()
    }
  }

  @Test func aProcessThatTookAnotherEpochTakesItsEarlierEntriesOut() throws {
    try withBothServers { (both) throws in
      let before = ServerEpoch(server: "s1", epoch: 4)
      let first = try register(both, 1, at: before)
      _ = try register(both, 2, at: before, device: "tab")
      let moved = try register(both, 1, at: server, earlier: [3, 4], helloAt: first.helloAt)
      #expect(moved.helloAt == first.helloAt && moved.replaced.isEmpty)
      #expect(try both.real.lines().count == 2)
      // One that ended before it was registered again.
      let entry = SessionEntry(session: SessionID(raw: 2), user: Array("ann".utf8), device: [])
      #expect(
        try both.run(RedisCommand.removeSessions(server: server, earlier: [3, 4], [entry])[0]) == .integer(1))
      #expect(try servers(both) == [server])
      try both.compareStates()
    }
  }

  @Test func registeringAgainNeverEndsANewerSession() throws {
    try withBothServers { (both) throws in
      let first = try register(both, 1, at: server)
      let second = try register(both, 2, at: server)
      let again = try register(both, 1, at: server, helloAt: first.helloAt)
      #expect(again.replaced.isEmpty && again.helloAt == first.helloAt)
      // Nor does it take out the older one, which its server does when it was told: this may be a late request of
      // a process that is gone, and nobody would be told.
      #expect(!again.isOutdated)
      let back = try register(both, 2, at: server, helloAt: second.helloAt)
      #expect(!back.isOutdated && back.replaced.map(\.session.raw) == [1])
    }
  }

  @Test func aDeviceKeepsItsNewestSessions() throws {
    try withBothServers { (both) throws in
      let time = BothServers.clock
      for session in 1...8 as ClosedRange<UInt64> {
        #expect(try !register(both, session, at: server, helloAt: time + Int64(session)).isOutdated)
      }
      let ninth = try register(both, 9, at: server, helloAt: time + 9)
      #expect(ninth.replaced.map(\.session.raw) == [1, 2, 3, 4, 5, 6, 7, 8])
      // The oldest went; it is not kept when it comes again, nor ends anybody.
      #expect(try register(both, 1, at: server, helloAt: time + 1).isOutdated)
      #expect(try register(both, 2, at: server, helloAt: time + 2).replaced.isEmpty)
      try both.compareStates()
    }
  }

  @Test func aRegistrationWhoseAnswerWasLostGivesTheSameTimeAgain() throws {
    try withBothServers { (both) throws in
      let first = try register(both, 1, at: server)
      usleep(3_000)
      #expect(try register(both, 1, at: server) == first)
    }
  }

  @Test func aSessionIsNewerThanOneOfAClockThatWasAhead() throws {
    try withBothServers { (both) throws in
      let ahead = BothServers.clock + 3_600_000
      _ = try register(both, 1, at: server, helloAt: ahead)
      let second = try register(both, 2, at: server)
      #expect(second.helloAt == ahead + 1 && second.replaced.map(\.session.raw) == [1])
    }
  }

  @Test func sessionsAndRoomsAreRemovedByTheirOwnEpochOnly() throws {
    try withBothServers { (both) throws in
      let old = ServerEpoch(server: "s1", epoch: 4)
      let room = Array("room:lobby".utf8)
      _ = try register(both, 1, at: server)
      try both.run(.registerRoom(room, server: server, partitions: 16))
      let entry = SessionEntry(session: SessionID(raw: 1), user: Array("ann".utf8), device: [])
      #expect(try both.run(RedisCommand.removeSessions(server: old, [entry])[0]) == .integer(0))
      #expect(try both.run(.removeRoom(room, server: old, partitions: 16)) == .integer(0))
      var lookUp = LookUp()
      lookUp.users = [Array("ann".utf8), Array("nobody".utf8)]
      lookUp.rooms = [room]
      let replies = try RedisCommand.lookUp(lookUp, partitions: 16).map { try both.run($0) }
      let found = LookedUp(tag: 1, lookUp, replies: replies, primaries: [try both.run(.readDirectory)])
      #expect(!found.hasFailed && found.users == [[server], []] && found.rooms == [[server]])
      #expect(found.directories == [both.simulated.replicationID])
      #expect(try both.run(RedisCommand.removeSessions(server: server, [entry])[0]) == .integer(1))
      #expect(try both.run(.removeRoom(room, server: server, partitions: 16)) == .integer(1))
      #expect(try both.real.lines().isEmpty)
      try both.compareStates()
    }
  }

  @Test func entriesOfOneUserGoInOneStep() {
    func entry(_ session: UInt64, _ user: String) -> SessionEntry {
      SessionEntry(session: SessionID(raw: session), user: Array(user.utf8), device: [])
    }
    let commands = RedisCommand.registerSessions(
      server: server, [entry(1, "a"), entry(2, "b"), entry(3, "a")])
    #expect(commands.map(\.count) == [4 + 6, 4 + 3])
  }
}
