import Chat
import Redis
import Support
import Testing

@testable import Server

/// The pool beside a real Redis Cluster.
@Suite(.serialized) struct RedisClusterTests {
  private func register(_ number: Int) -> RedisCommand {
    .registerSessions(
      server: ServerEpoch(server: "s", epoch: 7),
      [SessionEntry(session: SessionID(raw: 1), user: user(number), device: Array("d".utf8), helloAt: nil)])[
        0]
  }

  private static func query(_ partition: Int) -> RedisCommand {
    .query(
      ViewQuery(tag: 1, partition: Int32(partition), what: .member, chat: Array("room:r".utf8)))
  }

  private func user(_ number: Int) -> [UInt8] { Array("user\(number)".utf8) }

  @Test func eachCommandGoesToThePrimaryOfItsSlot() throws {
    try withRedisCluster { nodes in
      let driver = try RedisPoolDriver("redis://127.0.0.1:1,127.0.0.1:\(nodes[1].port)")
      try driver.waitUntilReady()
      #expect(driver.pool.primaries == 3)
      var names: Set<UInt64?> = []
      for primary in 0..<3 { names.insert(try driver.directory(primary)) }
      #expect(names.count == 3 && !names.contains(nil))
      var used: Set<Int> = []
      for number in 0..<50 {
        used.insert(driver.pool.primary(of: register(number)))
        #expect([SessionRegistered](reply: try #require(try driver.ask(register(number))))?.count == 1)
      }
      #expect(used == [0, 1, 2])
      #expect(driver.pool.figures.redirections == 0)
      #expect(driver.reconnected.isEmpty)
    }
  }

  @Test func oneAddressOfAClusterIsEnough() throws {
    try withRedisCluster { nodes in
      let driver = try RedisPoolDriver("127.0.0.1:\(nodes[2].port)")
      try driver.pump("the whole cluster") { driver.pool.isReady && driver.pool.primaries == 3 }
      for number in 0..<20 {
        #expect([SessionRegistered](reply: try #require(try driver.ask(register(number))))?.count == 1)
      }
    }
  }

  @Test func aSlotThatMovesIsFollowed() throws {
    try withRedisCluster { nodes in
      let driver = try RedisPoolDriver("redis://127.0.0.1:\(nodes[0].port)?cluster")
      try driver.waitUntilReady()
      // A user whose slot the first node has, and another one in the same slot.
      let number = try #require((0..<100).first { register($0).slot! <= 5_460 })
      let slot = "\(register(number).slot!)"
      #expect(try driver.ask(register(number)) != nil)
      let ids = try nodes.map { try $0.ask("CLUSTER", "MYID") }
      try nodes[1].ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
      try nodes[0].ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
      // It is on its way and its key still here, ...
      #expect([SessionRegistered](reply: try #require(try driver.ask(register(number))))?.count == 1)
      // ... and there already.
      let key = "fc:{u:user\(number)}:d"
      try nodes[0].ask("MIGRATE", "127.0.0.1", "\(nodes[1].port)", key, "0", "5000")
      let before = driver.pool.figures.redirections
      #expect([SessionRegistered](reply: try #require(try driver.ask(register(number))))?.count == 1)
      // Not a look-up: its answer would be one of a primary whose name is not read behind it.
      #expect(try driver.ask(.sessions(ofUser: user(number))) == nil)
      #expect(driver.pool.figures.redirections == before + 2)
      // It has arrived.
      for place in [1, 0, 2] { try nodes[place].ask("CLUSTER", "SETSLOT", slot, "NODE", ids[1]) }
      #expect(try driver.ask(register(number)) == nil)
      #expect([SessionRegistered](reply: try #require(try driver.ask(register(number))))?.count == 1)
      #expect(driver.pool.figures.redirections == before + 3)
      #expect(
        driver.pool.primary(of: register(number))
          == driver.pool.places.firstIndex { $0.host?.port == nodes[1].port })
      #expect(driver.pool.isReady && driver.reconnected.isEmpty)
    }
  }

  /// A script goes on to keys beside the one it is given: it must not be asked where only that one is.
  @Test func aPartitionOnItsWayIsNoAnswer() throws {
    try withRedisCluster { nodes in
      let driver = try RedisPoolDriver("redis://127.0.0.1:\(nodes[0].port)?cluster")
      try driver.waitUntilReady()
      let partition = try #require(
        (0..<100).first { Self.query($0).slot! <= 5_460 })
      let query = Self.query(partition)
      #expect(try driver.ask(query) != nil)
      let ids = try nodes.map { try $0.ask("CLUSTER", "MYID") }
      try nodes[1].ask("CLUSTER", "SETSLOT", "\(query.slot!)", "IMPORTING", ids[0])
      try nodes[0].ask("CLUSTER", "SETSLOT", "\(query.slot!)", "MIGRATING", ids[1])
      #expect(try driver.ask(query) == nil)
      for place in [1, 0, 2] { try nodes[place].ask("CLUSTER", "SETSLOT", "\(query.slot!)", "NODE", ids[1]) }
      try driver.pump("an answer from where it is now") { try driver.ask(query) != nil }
    }
  }

  @Test func aPrimaryThatDiesIsReplacedInItsPlace() throws {
    try withRedisCluster(replicas: 1) { nodes in
      let driver = try RedisPoolDriver("redis://127.0.0.1:\(nodes[0].port),127.0.0.1:\(nodes[1].port)")
      try driver.waitUntilReady()
      let place = try #require(driver.pool.places.firstIndex { $0.host?.port == nodes[0].port })
      let number = try #require((0..<100).first { driver.pool.primary(of: register($0)) == place })
      let before = try driver.directory(place)
      #expect(try driver.ask(register(number)) != nil)
      nodes[0].kill()
      try driver.pump("the replica in its place") {
        driver.pool.isReady && driver.pool.places[place].host?.port == nodes[3].port
      }
      #expect(driver.pool.primaries == 3)
      #expect(driver.reconnected == [place])
      #expect(try driver.directory(place) != before)
      #expect([SessionRegistered](reply: try driver.askUntilAnswered(register(number)))?.count == 1)
    }
  }

  @Test func aPrimaryMoreOrLessIsTaken() throws {
    try withRedisCluster { nodes in
      let driver = try RedisPoolDriver("redis://127.0.0.1:\(nodes[0].port)?cluster")
      try driver.waitUntilReady()
      // All that the third one has goes to the second one. The third one forgets it first: what it says of itself,
      // others that have forgotten it would learn again.
      for node in nodes.reversed() { try node.ask("CLUSTER", "DELSLOTSRANGE", "10923", "16383") }
      try nodes[1].wait("CLUSTER", "ADDSLOTSRANGE", "10923", "16383") { answer in
        if answer.hasPrefix("OK") { return true }
        _ = try? nodes[1].ask("CLUSTER", "DELSLOTSRANGE", "10923", "16383")
        return false
      }
      try nodes[1].ask("CLUSTER", "BUMPEPOCH")
      try nodes[0].wait("CLUSTER", "SLOTS") { !$0.contains("\(nodes[2].port)") && $0.contains("16383") }
      let number = try #require((0..<100).first { register($0).slot! >= 10_923 })
      #expect([SessionRegistered](reply: try driver.askUntilAnswered(register(number)))?.count == 1)
      try driver.pump("two primaries") { driver.pool.primaries == 2 && driver.pool.isReady }
      for primary in 0..<2 { #expect(try driver.directory(primary) != nil) }
      #expect(try driver.ask(.readDirectory, primary: 2) == nil)
    }
  }
}
