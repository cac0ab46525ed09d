import Chat
import Redis
import Support
import Testing

@testable import Server

/// Primaries that change: by sentinels, by hand, in a Redis Cluster.
@Suite(.serialized) struct RedisFailoverTests {
  private static let lease = LeaseHolder(epoch: 7, host: "h", boot: "b", process: 1)

  private func take(_ server: String) -> RedisCommand {
    .takeLease(server: server, Self.lease, replacing: nil)
  }

  @Test func sentinelsAreAskedForThePrimaryEachTime() throws {
    try withRedisSentinels(password: "geheim") { primary, replica, sentinels in
      let driver = try RedisPoolDriver("sentinel://:geheim@127.0.0.1:1,127.0.0.1:\(sentinels[0].port)/main")
      try driver.waitUntilReady()
      #expect(driver.pool.places[0].host?.port == primary.port)
      var names = [try driver.directory()]
      #expect(try driver.ask(take("s")) == .integer(1))
      primary.kill()
      try driver.pump("the replica as primary") { driver.reconnected == [0] && driver.pool.isReady }
      #expect(driver.pool.places[0].host?.port == replica.port)
      names.append(try driver.directory())
      #expect(!names.contains(nil) && Set(names).count == 2)
      #expect(try driver.askUntilAnswered(take("s")) == .integer(1))
    }
  }

  @Test func aSentinelThatDoesNotKnowThePrimaryIsNoAnswer() throws {
    try withRedisSentinels { _, _, sentinels in
      let driver = try RedisPoolDriver("sentinel://127.0.0.1:\(sentinels[0].port)/other")
      try driver.pump("no answer") { driver.pool.lastFailure != nil }
      #expect("\(driver.pool.lastFailure!.failure)".contains("does not know"))
      #expect(try driver.ask(take("s")) == nil)
    }
  }

  /// One address, behind which the primary changes to a replica that had not got the last writes, and back,
  /// while the connection stands.
  @Test func aFailoverToAReplicaThatLagsIsSeenByItsName() throws {
    let first = try RedisServerProcess()
    let second = try RedisServerProcess(.server, ["--replicaof", "127.0.0.1 \(first.port)"])
    try withRedisServers([first, second]) { _ in
      try second.wait("INFO", "replication") { $0.contains("master_link_status:up") }
      let driver = try RedisPoolDriver("127.0.0.1:\(first.port)")
      try driver.waitUntilReady()
      #expect(try driver.ask(take("early")) == .integer(1))
      try second.wait("EXISTS", "fc:{srv}:early") { $0.hasPrefix("1") }
      let before = try driver.directory()
      // Cut off, it does not get this one.
      second.freeze()
      #expect(try driver.ask(take("late")) == .integer(1))
      // While it stands still, the link of the two is cut: what waits in it is lost.
      try first.ask("CLIENT", "KILL", "TYPE", "replica")
      try first.ask("CONFIG", "SET", "requirepass", "cut")
      second.thaw()
      try second.ask("REPLICAOF", "NO", "ONE")
      try second.ask("DEL", "fc:{srv}:late")
      // And back: the first one takes what the second one has.
      _ = try? first.ask("AUTH", "cut")
      let cli = ["redis-cli", "--no-auth-warning", "-a", "cut", "-p", "\(first.port)"]
      _ = try ServerProcess.execute(cli + ["REPLICAOF", "127.0.0.1", "\(second.port)"])
      try driver.pump("the end of the demoted one") { driver.pool.lastFailure != nil }
      #expect(try driver.ask(.readLeases) == nil)
      _ = try ServerProcess.execute(cli + ["CONFIG", "SET", "requirepass", ""])
      try first.wait("INFO", "replication") { $0.contains("master_link_status:up") }
      try first.ask("REPLICAOF", "NO", "ONE")
      try driver.pump("a new connection") { driver.reconnected == [0] }
      #expect(try driver.directory() != before)
      let leases = LeasesRead(tag: 0, reply: try #require(try driver.ask(.readLeases)))
      #expect(!leases.living.contains { $0.server == "late" })
    }
  }
}
