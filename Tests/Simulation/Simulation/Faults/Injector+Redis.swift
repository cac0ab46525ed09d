import Chat
import SimulatedRedis

/// What goes wrong with Redis.
extension Injector {
  /// How long a view that went back may not know of removals again.
  private static let excuseMilliseconds: Tick = 60_000

  func happenToRedis(_ kind: FaultKind) -> Bool {
    guard let primary = engine.random.element(of: cluster.primaries) else { return false }
    cluster.trouble(.directory, for: 60_000)
    cluster.excuseRemovals(for: Self.excuseMilliseconds)
    switch kind {
    case .viewBack: return goBack(primary, by: engine.random.between(200, 40_000))
    case .viewFarBack: return goBack(primary, by: engine.random.between(61_000, 200_000))
    case .slotBack: return setSlotBack(primary, isSeen: true)
    case .slotBackUnseen: return setSlotBack(primary, isSeen: false)
    case .flush:
      // All of them: one that is emptied alone is not noticed, as the documentation says.
      for primary in cluster.primaries { primary.flush() }
      return true
    case .failover: return failOver(primary)
    case .directoryBack: return loseLastSecond(primary)
    case .redisFreeze:
      primary.node.frozenUntil = engine.now + engine.random.between(300, 4_500)
      return true
    default: return false
    }
  }

  /// Restarted from an older file: another life, under another id.
  private func goBack(_ primary: RedisPrimary, by age: Tick) -> Bool {
    guard let snapshot = primary.snapshot(age: age) else { return false }
    engine.note("primary \(primary.index) goes back to \(snapshot.at)")
    primary.replace(with: snapshot.keyspace)
    return true
  }

  /// One partition's keys; under another id of the primary, where it can be seen.
  private func setSlotBack(_ primary: RedisPrimary, isSeen: Bool) -> Bool {
    guard let snapshot = primary.snapshot(age: engine.random.between(200, 40_000)) else { return false }
    let numbers = primary.node.redis.keyspace.partitions.keys.sorted()
    guard let partition = engine.random.element(of: numbers) else { return false }
    // A slot that loses nothing but entries of rooms, under the same id, is not noticed by anybody.
    let before = snapshot.keyspace.partitions[partition]?.positions.applied ?? 0
    guard before < primary.node.redis.keyspace.partitions[partition]?.positions.applied ?? 0 else {
      return false
    }
    engine.note("p\(partition) goes back to \(snapshot.at)")
    if isSeen { primary.replace(with: primary.node.redis.keyspace) }
    primary.node.redis.keyspace.partitions[partition] = snapshot.keyspace.partitions[partition]
    return true
  }

  private func failOver(_ primary: RedisPrimary) -> Bool {
    guard let snapshot = primary.snapshot(age: engine.random.between(0, 2_000)) else { return false }
    primary.replace(with: snapshot.keyspace, oldStays: engine.random.between(100, 6_000))
    // Some find the new one at once, others when the old one is gone.
    for server in cluster.servers where engine.random.chance(0.5) {
      server.process?.router.connections[primary.index].breakOff()
    }
    if engine.random.chance(0.4) {
      engine.after(engine.random.between(1_000, 10_000)) { [self] in
        guard !cluster.isSettling else { return }
        primary.replace(with: primary.node.redis.keyspace, oldStays: engine.random.between(100, 3_000))
      }
    }
    return true
  }

  /// A restart that takes less time than a lease lasts: what was written in the last second is gone, leases
  /// are there.
  private func loseLastSecond(_ primary: RedisPrimary) -> Bool {
    guard let snapshot = primary.snapshot(age: engine.random.between(300, 1_500)) else { return false }
    var keyspace = snapshot.keyspace
    keyspace.leases = primary.node.redis.keyspace.leases
    keyspace.servers = primary.node.redis.keyspace.servers
    keyspace.cut = primary.node.redis.keyspace.cut
    primary.replace(with: keyspace)
    return true
  }

  func keepSnapshots() {
    let kinds: [FaultKind] = [.viewBack, .viewFarBack, .slotBack, .slotBackUnseen, .failover, .directoryBack]
    guard kinds.contains(where: cluster.faults.contains) else { return }
    engine.after(RedisPrimary.snapshotMilliseconds) { [self] in
      guard !cluster.isSettling else { return }
      for primary in cluster.primaries { primary.keepSnapshot() }
      keepSnapshots()
    }
  }

  // MARK: Between servers and Redis

  func disconnect() -> Bool {
    guard let process = engine.random.element(of: cluster.servers)?.process else { return false }
    cluster.trouble(.directory, for: 60_000)
    process.router.connections[engine.random.below(process.router.connections.count)].breakOff()
    return true
  }

  func slowRedis() -> Bool {
    guard let process = engine.random.element(of: cluster.servers)?.process else { return false }
    let pause = engine.random.between(2_000, 20_000)
    cluster.trouble(.directory, for: pause + 60_000)
    cluster.excuseRemovals(for: pause + 10_000)
    let delay = engine.random.between(50, 900)
    for connection in process.router.connections { connection.delay = delay }
    engine.after(pause) { for connection in process.router.connections { connection.delay = 0 } }
    return true
  }

  func cutFromRedis() -> Bool {
    guard let process = engine.random.element(of: cluster.servers)?.process else { return false }
    let pause =
      engine.random.chance(0.4) ? engine.random.between(3_000, 15_000) : engine.random.between(50_000, 90_000)
    cutFromRedis(process, for: pause)
    return true
  }

  func cutFromRedis(_ process: ServerProcess, for pause: Tick) {
    cluster.trouble(.directory, for: pause + 60_000)
    cluster.excuseRemovals(for: pause + 60_000)
    for connection in process.router.connections { connection.cut(for: pause) }
  }

  func stallLease() -> Bool {
    guard let server = engine.random.element(of: cluster.servers), cluster.stalledLease == nil else {
      return false
    }
    let pause = engine.random.between(1_500, 12_000)
    cluster.trouble(.lease, server: server.name, for: pause + 30_000)
    cluster.stalledLease = server.name
    engine.after(pause) { [unowned cluster] in cluster.stalledLease = nil }
    return true
  }
}
