import Chat
import EventLoop
import Redis

/// What a server finds out about Redis before it serves, on the loop that will have the connections.
struct RedisStart {
  /// Until all primaries were asked: a Redis that is being started beside us gets this long.
  static let milliseconds: Tick = 5_000

  private let pool: RedisPool
  private let loop: EventLoop
  private let end: Tick

  /// As `connect(_:name:loop:)`, to the Redis of a configuration, which must not be another log's.
  static func connect(
    _ cluster: ClusterConfiguration, serverID: String, log: String, loop: EventLoop
  ) throws(StartFailure) -> RedisPool {
    let pool = try connect(try address(cluster), name: "fastchat-\(serverID)", loop: loop)
    do throws(StartFailure) {
      try RedisStart(pool: pool, loop: loop, end: loop.tick + milliseconds).mark(log)
    } catch {
      pool.close()
      throw error
    }
    return pool
  }

  /// Where the Redis of a configuration is, with its password.
  static func address(_ cluster: ClusterConfiguration) throws(StartFailure) -> RedisAddress {
    do throws(RedisAddress.Invalid) {
      var address = try RedisAddress(cluster.redis)
      if let password = cluster.redisPassword { address.password = password }
      return address
    } catch {
      throw StartFailure("--redis: \(error.description)")
    }
  }

  /// Two clusters in one Redis would apply their logs to each other's positions.
  private func mark(_ log: String) throws(StartFailure) {
    var marked: RedisReply?
    var isAnswered = false
    pool.mark(log: log) {
      marked = $0
      isAnswered = true
    }
    try turn { isAnswered }
    guard let marked else { throw failure() }
    if pool.isOfAnotherLog(marked, than: log) {
      throw StartFailure(
        "Redis \(pool.host(ofPrimary: 0)) has what belongs to another log; give each cluster a Redis of its own, "
          + "or empty it where that log is gone")
    }
  }

  /// Waits until all primaries are connected and found to be usable. What should be otherwise, but is no
  /// danger yet, is logged.
  /// - Throws: one line that says why this Redis cannot be used.
  static func connect(
    _ address: RedisAddress, name: String, loop: EventLoop
  ) throws(StartFailure) -> RedisPool {
    let pool = try starting { () throws(LoopError) in try RedisPool(address, name: name, loop: loop) }
    pool.saysFailures = false
    defer { pool.saysFailures = true }
    let start = RedisStart(pool: pool, loop: loop, end: loop.tick + milliseconds)
    do throws(StartFailure) {
      try start.turn { pool.isReady }
      for primary in 0..<pool.primaries { try start.check(primary) }
    } catch {
      pool.close()
      throw error
    }
    return pool
  }

  /// What all primaries say of themselves, for `fastchat doctor`.
  /// - Throws: one line that says why they could not be asked.
  static func look(
    _ address: RedisAddress, loop: EventLoop
  ) throws(StartFailure) -> [RedisFacts.Primary] {
    let pool = try starting { () throws(LoopError) in
      try RedisPool(address, name: "fastchat-doctor", loop: loop)
    }
    pool.saysFailures = false
    defer { pool.close() }
    let start = RedisStart(pool: pool, loop: loop, end: loop.tick + milliseconds)
    try start.turn { pool.isReady }
    var found: [RedisFacts.Primary] = []
    for primary in 0..<pool.primaries { found.append(try start.look(at: primary)) }
    return found
  }

  private func look(at primary: Int) throws(StartFailure) -> RedisFacts.Primary {
    var replies: [RedisReply?] = []
    let sections: [StaticString] = ["server", "memory", "persistence", "replication"]
    for section in sections { pool.send(.info(section), primary: primary) { replies.append($0) } }
    try turn { replies.count == sections.count }
    let asked = Clock.wall()
    pool.send(.time, primary: primary) { replies.append($0) }
    try turn { replies.count > sections.count }
    let answered = Clock.wall()
    let info = replies.map { $0.flatMap { RedisInfo(reply: $0) } }
    guard
      var facts = RedisFacts.Primary(
        host: pool.host(ofPrimary: primary), server: info[0], memory: info[1], persistence: info[2],
        replication: info[3])
    else { throw failure() }
    facts.compare(replies[4], asked: asked...max(asked, answered))
    return facts
  }

  private func check(_ primary: Int) throws(StartFailure) {
    var replies: [RedisReply?] = []
    pool.send(.info("memory"), primary: primary) { replies.append($0) }
    pool.send(.readDirectory, primary: primary) { replies.append($0) }
    try turn { replies.count == 2 }
    let host = pool.host(ofPrimary: primary)
    guard let memory = replies[0].flatMap({ RedisInfo(reply: $0) }),
      let replication = replies[1].flatMap({ RedisInfo(reply: $0) })
    else { throw failure() }
    if let problem = Self.evictionProblem(memory) {
      // Without a limit nothing is evicted yet.
      guard memory["maxmemory"] == "0" else { throw StartFailure("Redis \(host): \(problem)") }
      Log.warning("redis settings", ["primary": host, "problem": problem])
    }
    if let problem = Self.replicationProblem(replication) {
      Log.warning("redis settings", ["primary": host, "problem": problem])
    }
  }

  /// A Redis that throws keys away when it is full would lose members and positions without a word.
  private static func evictionProblem(_ memory: RedisInfo) -> String? {
    guard let policy = memory["maxmemory_policy"], policy != "noeviction" else { return nil }
    return "its maxmemory-policy is \(policy) and must be noeviction"
  }

  /// `INFO` tells how many replicas are good only where some are asked for.
  private static func replicationProblem(_ replication: RedisInfo) -> String? {
    guard replication["connected_slaves"] != "0", replication["min_slaves_good_slaves"] == nil else {
      return nil
    }
    return "it has replicas; min-replicas-to-write 1 keeps a primary that is cut off from taking writes"
  }

  /// Turns until something is so. What trying again cannot help ends it at once.
  private func turn(until isOver: () -> Bool) throws(StartFailure) {
    while !isOver() {
      guard loop.tick < end, pool.lastFailure?.failure.isLasting != true else { throw failure() }
      pool.tick(loop.tick)
      loop.turn(waitAtMostMilliseconds: 20)
      while let event = loop.next() { _ = pool.handle(event) }
    }
  }

  private func failure() -> StartFailure {
    let last = pool.lastFailure
    let host = last?.host?.description ?? pool.address.description
    return StartFailure("Redis \(host): \(last?.failure ?? .noAnswer); check --redis")
  }
}

extension RedisPool {
  /// Marks this Redis as one of that log, and tells whose it is; nil where it did not say.
  func mark(log: String, _ answer: @escaping (RedisReply?) -> Void) {
    let commands = RedisCommand.mark(log: log)
    send(commands[0]) { _ in }
    send(commands[1], answer)
  }

  func isOfAnotherLog(_ reply: RedisReply, than log: String) -> Bool {
    if case .bytes(let id) = reply { !id.elementsEqual(log.utf8) } else { false }
  }
}
