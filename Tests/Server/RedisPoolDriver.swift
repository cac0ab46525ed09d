import Chat
import EventLoop
import Redis
import Support

@testable import Server

/// A pool on a loop of its own, driven by the test's thread as a router drives it.
final class RedisPoolDriver {
  let loop: EventLoop
  let pool: RedisPool
  /// The places of which `onReconnected` was told.
  private(set) var reconnected: [Int] = []

  init(_ address: String) throws {
    var configuration = LoopConfiguration()
    configuration.connections = 64
    configuration.reserve = 16
    configuration.receiveBuffers = 64
    configuration.completionEntries = 1_024
    loop = try EventLoop(configuration)
    pool = try RedisPool(try RedisAddress(address), name: "test", loop: loop)
    pool.onReconnected = { [unowned self] in reconnected.append($0) }
  }

  deinit {
    pool.close()
    loop.shutdown()
  }

  func turn() {
    loop.turn(waitAtMostMilliseconds: 5)
    while let event = loop.next() { _ = pool.handle(event) }
    pool.tick(loop.tick)
    pool.flush()
  }

  /// Turns until something is so, or throws.
  func pump(_ what: String, until condition: () throws -> Bool) throws {
    let deadline = Deadline.usual
    while try !condition() {
      guard !deadline.hasPassed else {
        throw TestFailure("\(what) did not happen; last: \(pool.lastFailure.map { "\($0)" } ?? "nothing")")
      }
      turn()
    }
  }

  func waitUntilReady() throws { try pump("being connected") { pool.isReady } }

  /// Asks, and turns until it is answered.
  func ask(_ command: RedisCommand, primary: Int? = nil) throws -> RedisReply? {
    var answers: [RedisReply?] = []
    pool.send(command, primary: primary ?? pool.primary(of: command)) { answers.append($0) }
    guard answers.isEmpty else { throw TestFailure("an answer out of send") }
    try pump("an answer") { !answers.isEmpty }
    return answers[0]
  }

  /// Asks again until there is an answer that is no error.
  func askUntilAnswered(_ command: RedisCommand) throws -> RedisReply {
    var reply: RedisReply?
    try pump("a good answer") {
      reply = try ask(command)
      if case .error = reply { return false }
      return reply != nil
    }
    return reply!
  }

  func directory(_ primary: Int = 0) throws -> UInt64? {
    try ask(.readDirectory, primary: primary).flatMap { DirectoryID(reply: $0) }
  }
}
