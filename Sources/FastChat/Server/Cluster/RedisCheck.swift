import Chat
import EventLoop
import Redis

/// Whether the Redis that was named can be used: asked once at start, on the thread that starts the server.
enum RedisCheck {
  /// How long all of it may take: a Redis that is being started beside us gets this long.
  static let milliseconds: Tick = 5_000

  /// Waits until all primaries were asked. What can be used but should be otherwise is logged.
  /// - Throws: one line that says why it cannot be used.
  static func run(_ address: RedisAddress, name: String) throws(StartFailure) {
    var configuration = LoopConfiguration()
    configuration.backend = .epoll
    configuration.connections = ClusterMap.primariesMax + 1
    let loop = try starting { () throws(LoopError) in try EventLoop(configuration) }
    defer { loop.shutdown() }
    let pool = try starting { () throws(LoopError) in try RedisPool(address, name: name, loop: loop) }
    defer { pool.close() }
    let end = loop.tick + milliseconds
    try turn(loop, pool, until: end) { pool.isReady }
    for primary in 0..<pool.primaries { try ask(primary, loop, pool, until: end) }
  }

  private static func ask(
    _ primary: Int, _ loop: EventLoop, _ pool: RedisPool, until end: Tick
  ) throws(StartFailure) {
    var memory: RedisReply?
    var replication: RedisReply?
    var answers = 0
    pool.send(.info("memory"), primary: primary) {
      memory = $0
      answers += 1
    }
    pool.send(.readDirectory, primary: primary) {
      replication = $0
      answers += 1
    }
    try turn(loop, pool, until: end) { answers == 2 }
    let host = pool.host(ofPrimary: primary)
    guard let memory = memory.flatMap(RedisInfo.init), let replication = replication.flatMap(RedisInfo.init)
    else { throw failure(pool) }
    if let problem = evictionProblem(memory) {
      // Without a limit nothing is evicted yet.
      guard memory["maxmemory"] == "0" else { throw StartFailure("redis \(host): \(problem)") }
      Log.warning("redis settings", ["primary": host, "problem": problem])
    }
    if let problem = replicationProblem(replication) {
      Log.warning("redis settings", ["primary": host, "problem": problem])
    }
  }

  /// Keys that Redis throws away when it is full are messages that nobody gets.
  static func evictionProblem(_ memory: RedisInfo) -> String? {
    guard let policy = memory["maxmemory_policy"], policy != "noeviction" else { return nil }
    return "its maxmemory-policy is \(policy) and must be noeviction"
  }

  /// `INFO` tells how many replicas are good only where some are asked for.
  static func replicationProblem(_ replication: RedisInfo) -> String? {
    guard replication["connected_slaves"] != "0", replication["min_slaves_good_slaves"] == nil else {
      return nil
    }
    return "it has replicas; min-replicas-to-write 1 keeps a primary that is cut off from taking writes"
  }

  private static func turn(
    _ loop: EventLoop, _ pool: RedisPool, until end: Tick, _ isOver: () -> Bool
  ) throws(StartFailure) {
    while !isOver() {
      guard loop.tick < end, pool.lastFailure?.failure.isLasting != true else { throw failure(pool) }
      loop.turn(waitAtMostMilliseconds: 20)
      while let event = loop.next() { _ = pool.handle(event) }
      pool.tick(loop.tick)
    }
  }

  private static func failure(_ pool: RedisPool) -> StartFailure {
    guard let (host, failure) = pool.lastFailure else {
      return StartFailure("redis \(pool.address): \(RedisFailure.noAnswer)")
    }
    return StartFailure("redis \(host?.description ?? pool.address.description): \(failure)")
  }
}
