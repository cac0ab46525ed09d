import Chat
import Support
import Testing

@testable import Redis

/// The link beside a real Redis server.
@Suite struct LinkTests {
  private static let lease = LeaseHolder(epoch: 7, host: "h", boot: "b", process: 1)

  private func take(_ server: String) -> RedisCommand {
    .takeLease(server: server, Self.lease, replacing: nil)
  }

  private func withClient(_ body: (RedisTestClient, RedisServerProcess) throws -> Void) throws {
    try withRedisServer { try body(RedisTestClient(port: $0.port), $0) }
  }

  @Test func aPipelineIsAnsweredInItsOrder() throws {
    try withClient { client, _ in
      var commands: [RedisCommand] = []
      for number in 0..<2_000 {
        commands.append(number % 3 == 0 ? take("s\(number)") : .words(["ECHO", "\(number)"]))
      }
      let replies = try client.run(commands)
      for number in 0..<2_000 {
        let expected: RedisReply = number % 3 == 0 ? .integer(1) : .bytes(Array("\(number)".utf8))
        #expect(replies[number] == expected)
      }
      #expect(client.link.waitingBytes == 0)
    }
  }

  @Test func scriptsThatTheServerLostAreLoadedAgainAndTheOrderHolds() throws {
    try withClient { client, server in
      try server.ask("SCRIPT", "FLUSH")
      let renew = RedisCommand.renewLease(server: "s", Self.lease.epoch)
      // Out of order, the renewal would find nothing, or the lease be dropped before it is there.
      let replies = try client.run([take("s"), renew, .dropLease(server: "s", Self.lease.epoch), renew])
      #expect(replies == [.integer(1), .integer(1), .integer(1), .null])
      #expect(client.link.waitingBytes == 0)
    }
  }

  @Test func whatRanBeforeItsTurnIsUnknown() throws {
    try withClient { client, server in
      try server.ask("SCRIPT", "FLUSH")
      // The plain one runs before the script that stands in front of it: it did not see the lease.
      let replies = try client.run([take("s"), .words(["EXISTS", "fc:{srv}:s"])])
      #expect(replies == [.integer(1), nil])
      #expect(try client.ask("EXISTS", "fc:{srv}:s") == .integer(1))
    }
  }

  @Test func whatIsAskedWhileScriptsAreLoadedAgainComesBehindThem() throws {
    try withClient { client, server in
      try server.ask("SCRIPT", "FLUSH")
      #expect(client.send(take("s")))
      // Its answer, `-NOSCRIPT`, comes while a second one is under way; only then the third is asked.
      #expect(client.send(take("t")))
      #expect(try client.run([.renewLease(server: "s", Self.lease.epoch)]) == [.integer(1)])
    }
  }

  @Test func commandsAndBytesThatWaitHaveABound() throws {
    try withClient { client, _ in
      let large = RedisCommand.words(["ECHO", String(repeating: "x", count: 1 << 20)])
      var taken = 0
      while client.send(large) { taken += 1 }
      #expect(taken == RedisLink.bytesMax / large.bytes.count)
      #expect(client.link.waitingBytes <= RedisLink.bytesMax)
    }
    try withClient { client, _ in
      var taken = 0
      while client.send(.words(["PING"])) { taken += 1 }
      #expect(taken == RedisLink.commandsMax)
      #expect(client.link.end().count == RedisLink.commandsMax)
      #expect(!client.send(.words(["PING"])))
    }
  }

  @Test func anAnswerThatIsOverdueEndsTheConnection() throws {
    try withClient { client, _ in
      try client.link.tick(RedisLink.answerMilliseconds * 10)
      let end = client.link.end()
      #expect(end.isEmpty)
    }
    try withClient { client, _ in
      #expect(client.send(.words(["PING"])))
      try client.link.tick(RedisLink.answerMilliseconds - 1)
      #expect(throws: RedisFailure.noAnswer) { try client.link.tick(RedisLink.answerMilliseconds) }
      #expect(client.link.end().count == 1)
    }
  }

  @Test func aReplicaIsNoPrimary() throws {
    try withClient { client, server in
      try server.ask("REPLICAOF", "127.0.0.1", "1")
      #expect(throws: RedisFailure.notPrimary) { _ = try RedisTestClient(port: server.port) }
      // One that becomes it is found out by the first write, which is answered, or by the heartbeat.
      guard case .error = try client.run(take("s")) else {
        Issue.record("a replica takes writes")
        return
      }
      #expect(client.failure == .notPrimary)
    }
    try withClient { client, server in
      try server.ask("REPLICAOF", "127.0.0.1", "1")
      try client.link.tick(RedisLink.heartbeatMilliseconds)
      #expect(throws: RedisFailure.notPrimary) { _ = try client.ask("PING") }
    }
  }

  @Test func passwordsAreGiven() throws {
    try withRedisServers([try RedisServerProcess(password: "geheim")]) { servers in
      let server = servers[0]
      #expect(try RedisTestClient(port: server.port, password: "geheim").ask("PING") == .status("PONG"))
      for password in ["falsch", nil] {
        do {
          _ = try RedisTestClient(port: server.port, password: password)
          Issue.record("let in")
        } catch let failure as RedisFailure {
          guard case .refused(let words) = failure else { throw failure }
          #expect(words.hasPrefix(password == nil ? "NOAUTH" : "WRONGPASS"))
          #expect(!failure.description.contains("falsch"))
        }
      }
      try server.ask("ACL", "SETUSER", "chat", "on", ">wort", "~fc:*", "+@all")
      let client = try RedisTestClient(port: server.port, user: "chat", password: "wort")
      #expect(try client.ask("ACL", "WHOAMI") == .bytes(Array("chat".utf8)))
    }
  }

  @Test func ofARefusalOfThePasswordOnlyTheFirstWordIsKept() throws {
    var address = try RedisAddress("127.0.0.1:1")
    address.password = "geheim"
    // What a server without AUTH says.
    let answer = "-ERR unknown command 'AUTH', with args beginning with: 'geheim' \r\n"
    let link = RedisLink(.primary, to: address, name: "test", now: 0)
    Array(answer.utf8).withUnsafeBytes { link.received($0) }
    #expect(throws: RedisFailure.refused("ERR")) { try link.nextAnswer(now: 0) }
    // One that loads its data is not yet asked for good.
    let loading = RedisLink(.primary, to: address, name: "test", now: 0)
    Array("-LOADING geheim\r\n".utf8).withUnsafeBytes { loading.received($0) }
    #expect(throws: RedisFailure.notReady) { try loading.nextAnswer(now: 0) }
  }

  @Test func aFullRedisSaysSoAndWritesNothing() throws {
    try withClient { client, server in
      // A lease may be taken on a full one too, a listener may not.
      let listen = RedisCommand.registerRoom(
        Array("room:r".utf8), server: ServerEpoch(server: "s", epoch: 7), partitions: 4)
      #expect(try client.run(take("s")) == .integer(1))
      try server.ask("CONFIG", "SET", "maxmemory", "1")
      guard case .error(let text) = try client.run(listen) else {
        Issue.record("it takes more")
        return
      }
      #expect(RedisComplaint(text) == .full)
      // What only reads goes on.
      #expect(LeasesRead(tag: 0, reply: try client.run(.readLeases)).living.map(\.server) == ["s"])
      try server.ask("CONFIG", "SET", "maxmemory", "0")
      #expect(try client.run(listen) == .integer(1))
    }
  }
}
