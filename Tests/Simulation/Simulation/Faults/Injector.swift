import Chat

/// Lets the faults of a run happen, at times that chance gives, until the run settles.
final class Injector {
  unowned let cluster: Cluster
  let engine: Engine
  let kafka: SimulatedKafka
  /// When a broker was last mistaken about the end of a partition.
  private var mistakes: [Int32: Tick] = [:]

  init(_ cluster: Cluster) {
    self.cluster = cluster
    engine = cluster.engine
    kafka = cluster.kafka
  }

  /// Plans when each of the run's faults happens. Those of single records, reports and transactions are
  /// drawn where they happen (`SimulatedKafka.happens`); a small mailbox and skewed clocks are from the start.
  func begin() {
    for kind in cluster.faults.kinds {
      if kind == .commitStall {
        plan(kind, at: engine.random.between(500, 5_000))
        continue
      }
      if kind == .leftWhileCut {
        // It needs the time to be over.
        plan(kind, at: engine.random.between(5_000, cluster.plan.activity / 3))
        continue
      }
      let times = 1 + engine.random.below(cluster.plan.isLong ? 8 : 3)
      for _ in 0..<times { plan(kind, at: engine.random.between(500, cluster.plan.activity * 9 / 10)) }
    }
    if cluster.faults.contains(.retention) { retain() }
    keepSnapshots()
  }

  private func plan(_ kind: FaultKind, at time: Tick) {
    engine.after(time) { [self] in
      guard !cluster.isSettling, happen(kind) else { return }
      engine.note("fault: \(kind.name)")
      engine.coverage.count(kind)
    }
  }

  /// Whether there was something that it could happen to.
  private func happen(_ kind: FaultKind) -> Bool {
    switch kind {
    case .kill: kill()
    case .freeze: freeze()
    case .lateAppend: freezeWhileSending()
    case .shardStall: stallShard()
    case .slowRouter: slowRouter()
    case .drain: drain()
    case .brokerFailover: stallBrokers()
    case .kafkaCut: cutFromBrokers()
    case .logEndBack: mistakeLogEnd()
    case .logLost: loseLog()
    case .commitStall: stallCommits()
    case .inboxTruncated: truncateInbox()
    case .inboxGone: removeInbox()
    case .lateBatches: delayBatches()
    case .rebalance: rebalance()
    case .twoOwners: noticeLate()
    case .standInDies: killStandIn()
    case .viewBack, .viewFarBack, .slotBack, .slotBackUnseen, .flush, .failover, .directoryBack, .redisFreeze:
      happenToRedis(kind)
    case .disconnect: disconnect()
    case .leaseStall: stallLease()
    case .slowRedis: slowRedis()
    case .redisCut: cutFromRedis()
    case .leftWhileCut: leaveWhileCut()
    case .cut: cut()
    case .slowReader: congest()
    case .roomRace: cutAll()
    case .lapsedFirstMessage: sendDuringLapse()
    case .firstChatWhileAttaching: sendWhileAttaching()
    case .clockSkew, .mailboxFull, .retention, .reportLate, .appendDespiteError, .reportWithoutOffset,
      .reportTwice, .appendTwice, .commitLost, .batchLost, .batchTwice:
      false
    }
  }

  // MARK: Servers

  private var living: [Server] { cluster.servers.filter { $0.process.map { !$0.isStopped } ?? false } }

  private func kill() -> Bool {
    guard let server = engine.random.element(of: living) else { return false }
    server.kill()
    let pause =
      engine.random.chance(0.3) ? engine.random.between(4_000, 40_000) : engine.random.between(50, 3_000)
    engine.after(pause) { server.start() }
    return true
  }

  private func drain() -> Bool {
    guard let server = engine.random.element(of: living) else { return false }
    server.drain()
    engine.after(engine.random.between(2_000, 8_000)) { server.start() }
    return true
  }

  private func freeze() -> Bool {
    guard let server = engine.random.element(of: living), let process = server.process else { return false }
    let pause =
      engine.random.chance(0.3) ? engine.random.between(1_000, 10_000) : engine.random.between(28_000, 45_000)
    cluster.trouble(.frozen, server: server.name, for: pause + 60_000)
    process.stopAll()
    engine.after(pause) { process.goOn() }
    return true
  }

  /// A server stands still when the next of its appends is half written.
  private func freezeWhileSending() -> Bool {
    guard let server = engine.random.element(of: living), let process = server.process else { return false }
    let pause = engine.random.between(10_000, 45_000)
    process.producer.onNextSend = { [unowned self, unowned process] in
      guard !cluster.isSettling else { return }
      cluster.trouble(.frozen, server: process.name, for: pause + 60_000)
      // The shard that hands over is in the middle of its turn.
      engine.after(0) { [self] in
        process.stopAll()
        engine.after(pause) { process.goOn() }
      }
    }
    return false
  }

  private func stallShard() -> Bool {
    guard let server = engine.random.element(of: living),
      let shard = engine.random.element(of: server.process!.shards)
    else { return false }
    let pause =
      engine.random.chance(0.2) ? engine.random.between(34_000, 40_000) : engine.random.between(300, 15_000)
    cluster.trouble(.frozen, server: server.name, for: pause + 60_000)
    shard.thread.stop()
    engine.after(pause) { [unowned process = server.process!] in
      if !process.isStopped { shard.thread.goOn() }
    }
    return true
  }

  private func slowRouter() -> Bool {
    guard let server = engine.random.element(of: living), let router = server.process?.router else {
      return false
    }
    let pause = engine.random.between(3_000, 20_000)
    cluster.trouble(.brokers, server: server.name, for: pause + 30_000)
    // The three seconds in which a removal is known everywhere are those of a router that keeps up.
    cluster.excuseRemovals(for: pause + 10_000)
    router.lag = engine.random.between(300, 6_000)
    engine.after(pause) { router.lag = 0 }
    return true
  }

  // MARK: Brokers

  private func stallBrokers() -> Bool {
    let pause = engine.random.between(500, 12_000)
    cluster.trouble(.brokers, for: pause + 40_000)
    cluster.excuseRemovals(for: pause + 10_000)
    kafka.stalledUntil = max(kafka.stalledUntil, engine.now + pause)
    return true
  }

  private func stallCommits() -> Bool {
    let pause = cluster.plan.activity - 30_000 - engine.now
    cluster.trouble(.brokers, for: pause + 60_000)
    // Removals that are not applied are known to nobody.
    cluster.excuseRemovals(for: pause + 10_000)
    kafka.commitsStalledUntil = engine.now + pause
    return true
  }

  private func mistakeLogEnd() -> Bool {
    guard let partition = engine.random.element(of: kafka.log), partition.nextOffset > 0 else { return false }
    // Two close to each other would be one that lasts for longer than a broker takes to see its mistake.
    guard engine.now - (mistakes[partition.number] ?? -60_000) > 30_000 else { return false }
    mistakes[partition.number] = engine.now
    cluster.trouble(.brokers, for: 60_000)
    partition.mistakenEnd = max(partition.nextOffset - engine.random.between(1, 20), 0)
    engine.after(engine.random.between(500, 9_000)) { partition.mistakenEnd = nil }
    return true
  }

  private func loseLog() -> Bool {
    guard let partition = engine.random.element(of: kafka.log), partition.nextOffset > 0 else { return false }
    cluster.trouble(.brokers, for: 1_000_000)
    cluster.checks.truth.lose(partition: Int(partition.number))
    partition.truncate(to: max(partition.nextOffset - engine.random.between(1, 20), 0))
    return true
  }

  /// The broker keeps more than the window, and more than repeats are known for.
  private func retain() {
    engine.after(10_000) { [self] in
      guard !cluster.isSettling else { return }
      let kept = max(cluster.limits.windowMilliseconds + 30_000, Limits.dedupeSpanMilliseconds + 40_000)
      kafka.forget(before: engine.wall - kept)
      retain()
    }
  }

  private func inbox() -> InboxTopic? {
    guard let process = engine.random.element(of: living)?.process else { return nil }
    return kafka.inbox(ServerEpoch(server: process.name, epoch: process.router.registrar.epoch))
  }

  private func truncateInbox() -> Bool {
    guard let topic = inbox(), topic.end > topic.firstOffset else { return false }
    topic.truncate(to: topic.end - engine.random.below(min(topic.end - topic.firstOffset, 3)))
    return true
  }

  private func removeInbox() -> Bool {
    guard let topic = inbox() else { return false }
    kafka.removeInbox(topic.owner)
    // Whoever reads it finds out with its next fetch.
    topic.truncate(to: topic.end + 1)
    return true
  }

  private func delayBatches() -> Bool {
    guard let server = engine.random.element(of: living) else { return false }
    let pause = engine.random.between(1_000, 25_000)
    cluster.excuseRemovals(for: pause + 10_000)
    kafka.lateBatches = (server.name, engine.now + pause)
    return true
  }

  private func rebalance() -> Bool {
    guard !kafka.group.members.isEmpty else { return false }
    kafka.group.rebalance(shift: engine.random.below(3))
    return true
  }

  private func noticeLate() -> Bool {
    guard kafka.group.members.count > 1 else { return false }
    kafka.group.noticeMin = 500
    kafka.group.noticeMax = engine.random.between(2_000, 25_000)
    kafka.group.rebalance(shift: 1 + engine.random.below(2))
    engine.after(engine.random.between(1_000, 10_000)) { [kafka] in
      kafka.group.noticeMin = 1
      kafka.group.noticeMax = 300
    }
    return true
  }

  /// A server dies, and whoever stands in for it too, soon after.
  private func killStandIn() -> Bool {
    guard living.count > 1, let server = engine.random.element(of: living) else { return false }
    server.kill()
    engine.after(engine.random.between(12_000, 30_000)) { server.start() }
    lookForStandIn(of: server.name, until: engine.now + 15_000)
    return false
  }

  private func lookForStandIn(of name: String, until end: Tick) {
    engine.after(engine.random.between(20, 300)) { [self] in
      guard engine.now < end, !cluster.isSettling else { return }
      guard let server = living.first(where: { $0.process!.router.standIn.servers.contains(name) }) else {
        return lookForStandIn(of: name, until: end)
      }
      engine.after(engine.random.between(0, 1_500)) { [self] in
        guard !cluster.isSettling, server.process != nil else { return }
        engine.coverage.count(.standInDies)
        server.kill()
        engine.after(engine.random.between(100, 10_000)) { server.start() }
      }
    }
  }
}
