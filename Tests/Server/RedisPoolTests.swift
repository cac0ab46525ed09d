import Chat
import Redis
import Support
import Testing

@testable import Server

/// The pool beside real Redis servers, one primary at a time.
@Suite(.serialized) struct RedisPoolTests {
  private static let lease = LeaseHolder(epoch: 7, host: "h", boot: "b", process: 1)

  private func take(_ server: String) -> RedisCommand {
    .takeLease(server: server, Self.lease, replacing: nil)
  }

  private func withPool(_ body: (RedisPoolDriver, RedisServerProcess) throws -> Void) throws {
    try withRedisServer { server in
      let driver = try RedisPoolDriver("127.0.0.1:\(server.port)")
      try driver.waitUntilReady()
      try body(driver, server)
    }
  }

  @Test func commandsOfOneTurnAreAnsweredInTheirOrder() throws {
    try withPool { driver, _ in
      var order: [Int] = []
      for number in 0..<500 {
        driver.pool.send(number % 2 == 0 ? take("s\(number)") : .readDirectory) {
          #expect($0 != nil)
          order.append(number)
        }
      }
      try driver.pump("all answers") { order.count == 500 }
      #expect(order == Array(0..<500))
      #expect(driver.pool.waiting.commands == 0)
      #expect(driver.reconnected.isEmpty)
    }
  }

  @Test func anAnswerMayAskTheNextThing() throws {
    try withPool { driver, _ in
      var left = 100
      func next() {
        driver.pool.send(.readLeases) { _ in
          left -= 1
          if left > 0 { next() }
        }
      }
      next()
      try driver.pump("the last answer") { left == 0 }
    }
  }

  /// More than the loop takes at once for one connection.
  @Test func aLargeCommandLeavesInPieces() throws {
    try withPool { driver, _ in
      let user = [UInt8](repeating: UInt8(ascii: "u"), count: 3 << 20)
      let reply = try driver.ask(.sessions(ofUser: user))
      #expect(reply == .array([]))
    }
  }

  @Test func whatIsAskedWithoutAConnectionIsUnknown() throws {
    let port = try FreePort.find()
    let driver = try RedisPoolDriver("127.0.0.1:\(port)")
    #expect(driver.pool.primaries == 1)
    #expect(try driver.ask(.readLeases) == nil)
    #expect(try driver.ask(.readLeases, primary: 1) == nil)
    try driver.pump("a refused connection") { driver.pool.lastFailure != nil }
    #expect("\(driver.pool.lastFailure!.failure)".contains("refused"))
  }

  @Test func aRedisThatComesBackIsConnectedAgainAndTold() throws {
    try withPool { driver, server in
      let before = try driver.directory()
      #expect(try driver.ask(take("s")) == .integer(1))
      var answers: [RedisReply?] = []
      server.freeze()
      for _ in 0..<10 { driver.pool.send(take("s")) { answers.append($0) } }
      driver.turn()
      server.kill()
      try driver.pump("the end of the connection") { answers.count == 10 }
      #expect(answers.allSatisfy { $0 == nil })
      #expect(try driver.ask(take("s")) == nil)
      try server.restart()
      try driver.pump("a new connection") { driver.reconnected == [0] }
      // It is empty, and has another name; its scripts are there again.
      #expect(try driver.directory() != before)
      #expect(LeasesRead(tag: 0, reply: try #require(try driver.ask(.readLeases))).living.isEmpty)
      #expect(try driver.ask(take("s")) == .integer(1))
    }
  }

  @Test func aRedisThatStandsStillIsGivenUp() throws {
    try withPool { driver, server in
      server.freeze()
      let reply = try driver.ask(take("s"))
      #expect(reply == nil)
      #expect(driver.pool.lastFailure?.failure == .noAnswer)
      #expect(!driver.pool.isReady)
      server.thaw()
      try driver.pump("a new connection") { driver.reconnected == [0] }
      #expect(try driver.ask(take("t")) == .integer(1))
    }
  }

  /// Nobody asks anything: it is found out all the same.
  @Test func anIdleConnectionToAPrimaryThatWasDemotedEnds() throws {
    try withPool { driver, server in
      try server.ask("REPLICAOF", "127.0.0.1", "1")
      try driver.pump("its end") { driver.pool.lastFailure?.failure == .notPrimary }
      #expect(try driver.ask(.readLeases) == nil)
      try server.ask("REPLICAOF", "NO", "ONE")
      try driver.pump("a new connection") { driver.reconnected == [0] }
    }
  }

  @Test func passwordsAreGivenAndNeverTold() throws {
    try withRedisServers([try RedisServerProcess(password: "geheim")]) { servers in
      let port = servers[0].port
      let driver = try RedisPoolDriver("redis://:geheim@localhost:\(port)")
      try driver.waitUntilReady()
      #expect(try driver.ask(take("s")) == .integer(1))
      let stranger = try RedisPoolDriver("redis://:falsch@127.0.0.1:\(port)")
      try stranger.pump("a refusal") { stranger.pool.lastFailure != nil }
      guard case .refused(let words)? = stranger.pool.lastFailure?.failure else {
        Issue.record("not refused: \(stranger.pool.lastFailure!)")
        return
      }
      #expect(words.hasPrefix("WRONGPASS") && !words.contains("falsch"))
    }
  }

  @Test func aNameIsFollowed() throws {
    try withRedisServer { server in
      let driver = try RedisPoolDriver("redis://localhost:\(server.port)")
      try driver.waitUntilReady()
      #expect(try driver.ask(take("s")) == .integer(1))
      let lost = try RedisPoolDriver("redis://no-such-host.invalid:\(server.port)")
      try lost.pump("a failed look-up") { lost.pool.lastFailure != nil }
      #expect("\(lost.pool.lastFailure!.failure)".contains("name"))
    }
  }

  @Test func aFullRedisIsCountedAndReadsGoOn() throws {
    try withPool { driver, server in
      try server.ask("CONFIG", "SET", "maxmemory", "1")
      let listen = RedisCommand.registerRoom(
        Array("room:r".utf8), server: ServerEpoch(server: "s", epoch: 7), partitions: 4)
      guard case .error = try driver.ask(listen) else {
        Issue.record("it takes more")
        return
      }
      #expect(driver.pool.figures.refusedWrites == 1)
      #expect(try driver.directory() != nil)
      #expect(driver.pool.isReady)
    }
  }

  @Test func scriptsThatWereFlushedAreLoadedAgain() throws {
    try withPool { driver, server in
      try server.ask("SCRIPT", "FLUSH")
      #expect(try driver.ask(take("s")) == .integer(1))
      #expect(driver.pool.isReady)
    }
  }

  @Test func whatIsAskedBeyondTheBoundIsUnknownInTheSameTurn() throws {
    try withPool { driver, server in
      server.freeze()
      for _ in 0..<(RedisLink.commandsMax - driver.pool.waiting.commands) {
        driver.pool.send(.readDirectory) { _ in }
      }
      var answers: [RedisReply?] = []
      driver.pool.send(.readDirectory) { answers.append($0) }
      #expect(answers.isEmpty)
      driver.pool.flush()
      #expect(answers == [nil])
      #expect(driver.pool.waiting.commands == RedisLink.commandsMax)
    }
  }

  @Test func closingAnswersWhatWaits() throws {
    try withPool { driver, server in
      server.freeze()
      var answers: [RedisReply?] = []
      for _ in 0..<3 { driver.pool.send(take("s")) { answers.append($0) } }
      driver.turn()
      driver.pool.close()
      #expect(answers.count == 3 && answers.allSatisfy { $0 == nil })
    }
  }
}
