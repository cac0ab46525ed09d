import Redis
import Support
import Testing

@testable import Server

/// What a server says at its start of the Redis that it was given.
@Suite(.serialized) struct RedisCheckTests {
  private func failure(_ text: String) -> String? {
    guard let address = try? RedisAddress(text) else { return "no address" }
    do throws(StartFailure) {
      try RedisCheck.run(address, name: "test")
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
        failure(address) == "redis \(address): its maxmemory-policy is allkeys-lru and must be noeviction"
      )
    }
  }

  @Test func nobodyThereIsSaid() throws {
    let address = "127.0.0.1:\(try RedisServerProcess.freePort())"
    #expect(failure(address) == "redis \(address): connect: Connection refused")
  }

  @Test func aReplicaIsRefused() throws {
    try withRedisServer { server in
      try server.ask("REPLICAOF", "127.0.0.1", "1")
      let address = "127.0.0.1:\(server.port)"
      #expect(failure(address) == "redis \(address): it is a replica, not a primary")
    }
  }

  @Test func aWrongPasswordIsSaidWithoutIt() throws {
    try withRedisServers([try RedisServerProcess(password: "geheim")]) { servers in
      let address = "127.0.0.1:\(servers[0].port)"
      let words = try #require(failure("redis://:falsch@\(address)"))
      #expect(words.hasPrefix("redis \(address): it refuses: WRONGPASS") && !words.contains("falsch"))
      #expect(failure(address)?.hasPrefix("redis \(address): it refuses: NOAUTH") == true)
    }
  }

  @Test func somebodyElsesPortIsSaid() throws {
    try withRedisServers([try RedisServerProcess(.sentinel(of: 1))]) { servers in
      // A sentinel knows none of what a primary is asked.
      #expect(failure("127.0.0.1:\(servers[0].port)")?.contains("it ") == true)
    }
  }
}
