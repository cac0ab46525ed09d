import Chat
import Redis
import SimulatedRedis

/// What goes wrong between servers and brokers.
extension Injector {
  /// Milliseconds that a server is cut off alone before others are expected to stand in for it: it says so after
  /// `CutWatch.cutSeconds` and a probe's time; they read it, take its lock and its place, and take over.
  private static let standInMilliseconds: Tick = 12_000
  /// And until its partitions have caught up.
  private static let catchUpMilliseconds: Tick = 8_000
  /// Faults beside which that is expected.
  private static let calm: FaultSet = FaultSet([.kafkaCut, .cut, .slowReader])

  func cutFromBrokers() -> Bool {
    guard let one = engine.random.element(of: cluster.servers) else { return false }
    let chosen = engine.random.chance(0.2) ? cluster.servers : [one]
    let times = engine.random.chance(0.3) ? 2 + engine.random.below(5) : 1
    var begin: Tick = 0
    for _ in 0..<times {
      let pause = pause()
      let length = begin + pause
      for server in chosen {
        // All of them lose a broker at once, and find it again at different times.
        let own = chosen.count > 1 ? pause + engine.random.between(0, 3_000) : pause
        cut(server, after: begin, for: own, isAlone: chosen.count == 1)
      }
      cluster.trouble(.brokers, for: length + 40_000)
      cluster.excuseRemovals(for: length + 15_000)
      begin = length + engine.random.between(100, 6_000)
    }
    return true
  }

  /// Shorter than what is called a cut, longer, and longer than a session in the group.
  private func pause() -> Tick {
    if engine.random.chance(0.4) { return engine.random.between(200, 6_000) }
    return engine.random.chance(0.6)
      ? engine.random.between(5_000, 20_000) : engine.random.between(20_000, 50_000)
  }

  private func cut(_ server: Server, after delay: Tick, for pause: Tick, isAlone: Bool) {
    engine.after(delay) { [self] in
      guard !cluster.isSettling else { return }
      let others = cluster.servers.filter { $0 !== server }
      engine.note("\(server.name) is cut off from the brokers for \(pause)")
      server.link.cut(for: pause)
      let needed = Self.standInMilliseconds + Self.catchUpMilliseconds
      if isAlone, !others.isEmpty, pause > needed, cluster.faults.isSubset(of: Self.calm) {
        expectStandIn(for: server, others)
      }
    }
  }

  /// What is appended while a server is cut off alone is applied by others, as if it were dead.
  private func expectStandIn(for server: Server, _ others: [Server]) {
    let begin = engine.now
    engine.after(Self.standInMilliseconds) { [self] in
      let ends = (0..<Int(cluster.plan.partitions)).map { cluster.checks.truth.end($0) }
      engine.after(Self.catchUpMilliseconds) { [self] in
        // Who was without brokers himself believes it of nobody, and a server has to have been seen alive.
        let doubt = CutWatch.doubtMilliseconds + 5_000
        guard !cluster.isSettling, begin > doubt, server.link.isCut,
          others.allSatisfy({ $0.link.lastCut.map { $0 < begin - doubt } ?? true })
        else { return }
        engine.coverage.count(.standInsExpected)
        for (partition, end) in ends.enumerated() where applied(partition) < end {
          cluster.checks.note(
            .liveness,
            "p\(partition) stands at \(applied(partition)) and not at \(end): nobody stands in for "
              + "\(server.name), which is cut off from the brokers since \(begin)")
        }
      }
    }
  }

  private func applied(_ partition: Int) -> Seq {
    let slot = RedisCommand.readView(partition: Int32(partition), outcomesAfter: .max).slot!
    let node = cluster.primaries[Int(slot) * cluster.primaries.count / HashSlot.count].node
    return node.redis.keyspace.partitions[Int32(partition)]?.positions.applied ?? 0
  }
}
