import EventLoop
import Redis
import Support
import Testing

@testable import Server

/// What a server says at its start of the Redis that it was given.
@Suite(.serialized) struct RedisStartTests {
  private func failure(_ text: String) -> String? {
    guard let address = try? RedisAddress(text) else { return "no address" }
    var configuration = LoopConfiguration()
    configuration.connections = 64
    guard let loop = try? EventLoop(configuration) else { return "no loop" }
    defer { loop.shutdown() }
    do throws(StartFailure) {
      let pool = try RedisStart.connect(address, name: "test", loop: loop)
      #expect(pool.isReady)
      pool.close()
      return nil
    } catch {
      #expect(!error.message.contains("\n"))
      return error.message
    }
  }

  @Test func aPrimaryThatKeepsWhatItHasIsTaken() throws {
    try withRedisServer { #expect(failure("127.0.0.1:\($0.port)") == nil) }
  }

  @Test func oneThatEvictsIsRefusedWhereItHasALimit() throws {
    try withRedisServer { server in
      try server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
      #expect(failure("127.0.0.1:\(server.port)") == nil)
      try server.ask("CONFIG", "SET", "maxmemory", "100mb")
      let address = "127.0.0.1:\(server.port)"
      #expect(
        failure(address) == "Redis \(address): its maxmemory-policy is allkeys-lru and must be noeviction"
      )
    }
  }

  @Test func nobodyThereIsSaid() throws {
    let address = "127.0.0.1:\(try FreePort.find())"
    #expect(failure(address) == "Redis \(address): connect: Connection refused; check --redis")
  }

  @Test func aReplicaIsRefused() throws {
    try withRedisServer { server in
      try server.ask("REPLICAOF", "127.0.0.1", "1")
      let address = "127.0.0.1:\(server.port)"
      #expect(failure(address) == "Redis \(address): it is a replica, not a primary; check --redis")
    }
  }

  @Test func aWrongPasswordIsSaidWithoutIt() throws {
    try withRedisServers([try RedisServerProcess(password: "geheim")]) { servers in
      let address = "127.0.0.1:\(servers[0].port)"
      let words = try #require(failure("redis://:falsch@\(address)"))
      #expect(words.hasPrefix("Redis \(address): it refuses: WRONGPASS") && !words.contains("falsch"))
      #expect(failure(address)?.hasPrefix("Redis \(address): it refuses: NOAUTH") == true)
    }
  }

  @Test func somebodyElsesPortIsSaid() throws {
    try withRedisServers([try RedisServerProcess(.sentinel(of: 1))]) { servers in
      // A sentinel knows none of what a primary is asked.
      #expect(failure("127.0.0.1:\(servers[0].port)")?.contains("it ") == true)
    }
  }
}
