import Chat
import EventLoop
import Redis

/// What a server finds out about Redis before it serves.
enum RedisStart {
  /// Milliseconds until all primaries must be connected.
  private static let connectMilliseconds: Tick = 4_000
  private static let askMilliseconds: Tick = 2_000

  static func connect(_ cluster: ClusterConfiguration, serverID: String, loop: EventLoop) throws(StartFailure)
    -> RedisPool
  {
    var address: RedisAddress
    do throws(RedisAddress.Invalid) {
      address = try RedisAddress(cluster.redis)
    } catch {
      throw StartFailure("--redis: \(error.description)")
    }
    if let password = cluster.redisPassword { address.password = password }
    let settled = address
    let pool = try starting { () throws(LoopError) in
      try RedisPool(settled, name: "fastchat-\(serverID)", loop: loop)
    }
    let deadline = Clock.tick() + connectMilliseconds
    pool.tick(loop.tick)
    while !pool.isReady, Clock.tick() < deadline { turn(pool, loop) }
    guard pool.isReady else {
      let reason = pool.lastFailure.map { "\($0.failure)" } ?? "no answer"
      let host = pool.lastFailure?.host.map { " at \($0)" } ?? ""
      throw StartFailure(
        "Redis (\(cluster.redisWithoutSecrets)) could not be reached\(host): \(reason); check --redis")
    }
    try checkEviction(pool, loop)
    return pool
  }

  private static func turn(_ pool: RedisPool, _ loop: EventLoop) {
    pool.flush()
    loop.turn(waitAtMostMilliseconds: 20)
    while let event = loop.next() { _ = pool.handle(event) }
    pool.tick(loop.tick)
  }

  /// A Redis that throws keys away when it is full would lose members and positions without a word.
  private static func checkEviction(_ pool: RedisPool, _ loop: EventLoop) throws(StartFailure) {
    var left = pool.primaries
    var bad: String?
    for primary in 0..<pool.primaries {
      pool.send(.info("memory"), primary: primary) { reply in
        left -= 1
        guard let info = reply.flatMap({ RedisInfo(reply: $0) }), info["maxmemory"] != "0",
          let policy = info["maxmemory_policy"], policy != "noeviction"
        else { return }
        bad = policy
      }
    }
    let deadline = Clock.tick() + askMilliseconds
    while left > 0, Clock.tick() < deadline { turn(pool, loop) }
    if let bad {
      throw StartFailure("Redis has maxmemory-policy \(bad) and would lose keys; set it to noeviction")
    }
  }
}
