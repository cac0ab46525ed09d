import Chat
import Redis
import SimulatedRedis

/// A whole cluster in one process: servers, brokers, Redis and clients under one clock.
final class Cluster {
  static let logID = "sim"
  /// Milliseconds in which everything has to settle once the faults are over.
  static let settleMilliseconds: Tick = 240_000
  /// And for which it is watched after that.
  static let quietMilliseconds: Tick = 20_000
  static let answerMilliseconds: Tick = 15_000

  let engine: Engine
  let plan: Plan
  let limits: Limits
  /// Faults that may happen now.
  private(set) var faults: FaultSet
  let kafka: SimulatedKafka
  let primaries: [RedisPrimary]
  private(set) var servers: [Server] = []
  private(set) var clients: [ClientHost] = []
  let checks: Checks
  /// The server whose renewals do not arrive.
  var stalledLease: String?
  private var operations = 0
  /// What the clocks of the servers are ahead, by the epochs that these were in.
  private var skews: [Epoch: Tick] = [:]
  private(set) var isSettling = false
  private var injector: Injector!
  private var graves: [ServerProcess] = []
  private var troubles: [Trouble] = []
  /// Partitions that stopped loudly.
  private(set) var stoppedPartitions: [Int32] = []

  private struct Trouble {
    var kind: Checks.Trouble
    /// Nil: all servers.
    var server: String?
    var until: Tick
  }

  init(_ engine: Engine, plan: Plan, faults: FaultSet) {
    self.engine = engine
    self.plan = plan
    self.faults = faults
    var limits = Limits()
    limits.ratePerSecond = 1_000
    if faults.contains(.retention) {
      // Longer than the minute after which the head of a quiet chat is written to the state topic.
      limits.windowMilliseconds = engine.random.between(150_000, 300_000)
      limits.windowEvents = 8 + engine.random.below(30)
    }
    self.limits = limits
    kafka = SimulatedKafka(engine, partitions: plan.partitions, faults: faults)
    primaries = (0..<plan.primaries).map { RedisPrimary(index: $0, engine: engine) }
    checks = Checks(truth: Truth(roster: Roster(partitions: plan.partitions), limits: limits))
    checks.owesPassedStays = false
    kafka.onAppend = { [unowned self] partition, record in appended(partition, record) }
    for primary in primaries {
      primary.onApply = { [unowned self, unowned primary] in checkPositions(primary) }
    }
    servers = (0..<plan.instances).map { Server(index: $0, cluster: self) }
    if faults.contains(.clockSkew) {
      for server in servers { server.skew = engine.random.between(-3_000, 3_000) }
      engine.coverage.count(.clockSkew)
    }
    let workload = Workload(plan.profile, roster: checks.roster)
    for user in workload.users {
      for device in 0..<plan.profile.devicesPerUser {
        let client = SimulatedClient(
          user: user, device: "d\(device)", workload: workload, checks: checks, seed: engine.random.next(),
          startsAt: 200 + engine.random.between(0, 3_000))
        clients.append(ClientHost(client, index: clients.count, cluster: self))
      }
    }
  }

  // MARK: Running

  func run() {
    for server in servers { engine.after(engine.random.between(0, 300)) { server.start() } }
    keepTrimming()
    watchViews()
    injector = Injector(self)
    injector.begin()
    engine.run(until: plan.activity) { [self] in
      isBroken || operations >= plan.operations
    }
    settle()
    // What waits for a broker waits until the end of its server's cut.
    let wait = servers.map(\.link.wait).max() ?? 0
    if wait > 0 { engine.run(until: engine.now + wait) { [self] in isBroken } }
    let end = engine.now + Cluster.settleMilliseconds
    while engine.now < end, !isBroken, !clients.allSatisfy(\.client.isSettled) {
      engine.run(until: min(engine.now + 1_000, end)) { [self] in isBroken }
    }
    let ends = (0..<plan.partitions).map { checks.truth.end(Int($0)) }
    engine.run(until: engine.now + Cluster.quietMilliseconds) { [self] in isBroken }
    // Who asked something just now has his answer a little later, and so has the view what the log took late.
    let latest = engine.now + Cluster.answerMilliseconds
    while engine.now < latest, !isBroken,
      !clients.allSatisfy(\.client.isSettled) || !hasApplied(whatCameAfter: ends)
    {
      engine.run(until: engine.now + 100) { [self] in isBroken }
    }
    checks.tick(engine.now)
    if !isBroken, checks.truth.lost.isEmpty {
      for host in clients {
        if let complaint = host.client.complaint { checks.note(.liveness, complaint) }
      }
    }
    if !isBroken { checkViews(whole: true) }
    // Where a log lost what it had taken, attaches wait for an operator: what was handed until then counts.
    if !isBroken, checks.truth.lost.isEmpty {
      checks.finish()
      checkViews()
    }
    engine.coverage.count(.operations, operations)
    engine.coverage.count(.resets, clients.reduce(0) { $0 + $1.client.ledger.resets })
    tearDown()
  }

  /// Nothing goes wrong any more.
  private func settle() {
    engine.note("faults are over")
    isSettling = true
    faults = FaultSet()
    kafka.faults = faults
    kafka.group.settle()
    kafka.commitsStalledUntil = 0
    stalledLease = nil
    for server in servers {
      server.process?.goOn()
      for connection in server.process?.router.connections ?? [] { connection.heal() }
      for shard in server.process?.shards ?? [] { shard.thread.goOn() }
      server.start()
    }
    for partition in kafka.log { partition.mistakenEnd = nil }
    for client in clients { client.settle() }
  }

  private func tearDown() {
    engine.end()
    kafka.end()
    for client in clients { client.end() }
    for server in servers {
      server.kill()
      server.link.end()
    }
    engine.end()
    graves.removeAll()
  }

  var isBroken: Bool { !checks.violations.isEmpty }

  func countOperation() { operations += 1 }

  // MARK: What is told to the checks

  private func appended(_ partition: Int32, _ record: LogPartition.Record) {
    record.bytes.withUnsafeBytes { bytes in
      engine.note("log: p\(partition) \(record.offset) \(Self.describe(bytes))")
      checks.tick(engine.now)
      _ = checks.appended(
        partition: Int(partition), seq: LogPartition.seq(record.offset), appended: record.appended,
        bytes: bytes, wallOffset: Engine.wallAtStart + skew(of: bytes))
    }
    if hasRetention { trim(partition) }
  }

  /// A server is in that epoch: a record's time is by its clock.
  func noteClock(of server: Server, _ epoch: Epoch) { skews[epoch] = server.skew }

  private func skew(of bytes: UnsafeRawBufferPointer) -> Tick {
    var offset = 0
    return AppendCodec.decode(bytes, at: &offset).flatMap { skews[$0.origin.epoch] } ?? 0
  }

  private var hasRetention: Bool { limits.windowEvents < Limits().windowEvents }

  /// Time alone takes events too.
  private func keepTrimming() {
    guard hasRetention else { return }
    for partition in 0..<plan.partitions { trim(partition) }
    engine.after(1_000) { [unowned self] in keepTrimming() }
  }

  private func trim(_ partition: Int32) {
    // The clock of the owner may be ahead.
    let begin = engine.wall - limits.windowMilliseconds + 5_000
    let log = kafka.log[Int(partition)]
    let before = checks.truth.chats.reduce(0) { $0 + $1.trimmed }
    checks.truth.trim(
      partition: Int(partition), below: LogPartition.seq(log.offset(since: begin) ?? log.nextOffset))
    let taken = checks.truth.chats.reduce(0) { $0 + $1.trimmed } - before
    if taken > 0 { engine.coverage.count(.retention) }
  }

  private func checkPositions(_ primary: RedisPrimary) {
    for partition in 0..<plan.partitions {
      guard let state = primary.node.redis.keyspace.partitions[partition]?.positions else { continue }
      checks.checkPositions(partition: Int(partition), state)
    }
  }

  /// Partitions whose logs lost nothing.
  private var wholePartitions: [Int32] {
    (0..<plan.partitions).filter { !checks.truth.lost.contains(Int($0)) }
  }

  private func space(of partition: Int32) -> PartitionSpace? {
    let slot = RedisCommand.readView(partition: partition, outcomesAfter: .max).slot!
    let node = primaries[Int(slot) * primaries.count / HashSlot.count].node
    return node.redis.keyspace.partitions[partition]
  }

  private func isWhole(_ state: ViewState, of partition: Int32) -> Bool {
    state.applied ?? 0 >= checks.truth.end(Int(partition)) && state.rebuildingUntil == nil
  }

  /// Whether the views hold what their logs took after these ends; of any other view nothing is asked.
  private func hasApplied(whatCameAfter ends: [Seq]) -> Bool {
    wholePartitions.filter { checks.truth.end(Int($0)) > ends[Int($0)] }.allSatisfy { p in
      space(of: p).map { isWhole($0.positions, of: p) } ?? false
    }
  }

  /// At the end every view holds what its whole log comes to.
  private func checkViews() {
    for partition in wholePartitions {
      guard let space = space(of: partition) else {
        checks.note(.liveness, "p\(partition) has no view")
        continue
      }
      let state = space.positions
      if !isWhole(state, of: partition) {
        let end = checks.truth.end(Int(partition))
        checks.note(.liveness, "the view of p\(partition) stands at \(state.applied ?? 0), the log at \(end)")
      }
      checks.checkView(partition: Int(partition), state, space.reading(now: engine.wall))
    }
  }

  private static func describe(_ bytes: UnsafeRawBufferPointer) -> String {
    var offset = 0
    guard let record = AppendCodec.decode(bytes, at: &offset) else { return "?" }
    return
      "\(record.kind)\(record.isRepeat ? " repeat" : "") \(String(decoding: record.chat, as: UTF8.self)) "
      + "\(String(decoding: record.id, as: UTF8.self)) from \(record.origin.epoch.short)"
  }

  func stopped(_ partition: Int32, _ reason: StopReason, by name: String) {
    engine.note("\(name): p\(partition) is stopped: \(reason)")
    engine.coverage.count(.stops)
    if !stoppedPartitions.contains(partition) { stoppedPartitions.append(partition) }
    if !checks.truth.lost.contains(Int(partition)) {
      checks.note(.liveness, "\(name) stopped p\(partition), whose log lost nothing: \(reason)")
    }
  }

  func refused(_ process: ServerProcess) {
    engine.after(0) { [self] in
      let server = process.server
      guard server.process === process else { return }
      server.kill()
      engine.after(2_000) { server.start() }
    }
  }

  // MARK: Processes

  func isGone(_ holder: LeaseHolder) -> Bool {
    graves.contains { $0.name == holder.host && $0.number == holder.process }
  }

  /// A dead process stays until the end of the run: what was under way to it still names it.
  func keep(_ process: ServerProcess) { graves.append(process) }

  func trouble(_ kind: Checks.Trouble, server: String? = nil, for milliseconds: Tick) {
    troubles.append(Trouble(kind: kind, server: server, until: engine.now + milliseconds))
  }

  /// Removals may be unknown to some for so long: a view went back, or what tells of them is late.
  func excuseRemovals(for milliseconds: Tick) {
    for partition in 0..<Int(plan.partitions) {
      checks.viewWentBack(partition: partition, until: engine.now + milliseconds)
    }
  }

  func trouble(of process: ServerProcess) -> Checks.Trouble {
    var kinds: Checks.Trouble = process.isDead || process.isDraining ? .stopped : []
    for trouble in troubles where trouble.until >= engine.now {
      if trouble.server == nil || trouble.server == process.name { kinds.formUnion(trouble.kind) }
    }
    return kinds
  }
}
