public import Chat

/// What a run over the embedded backbone came to.
public struct EmbeddedResult: Sendable {
  public var seed: UInt64
  public var faults: EmbeddedFaults
  public var violations: [Violation]
  public var digest: UInt64
  public var steps: Int
  public var virtualMilliseconds: Tick
  public var coverage: EmbeddedCoverage
  public var trace: [String]
}

/// One server that stands alone, with its clients, its crashes and its returns, under a seed (DESIGN
/// section 8).
public final class EmbeddedRun {
  /// Milliseconds in which everything has to settle once the faults are over, and for which it is watched
  /// after that.
  static let settleMilliseconds: Tick = 240_000
  static let quietMilliseconds: Tick = 10_000
  static let answerMilliseconds: Tick = 2_000

  let engine: Engine
  let faults: EmbeddedFaults
  let store: EmbeddedStore
  let checks: Checks
  var coverage = EmbeddedCoverage()
  private(set) var faultsAreOn = true
  private let seed: UInt64
  private let limits: Limits
  private let shardCount: Int
  private let activity: Tick
  private var process: EmbeddedProcess?
  private var graves: [EmbeddedProcess] = []
  private var clients: [EmbeddedClient] = []
  private var epochs: Epoch = 0

  /// The faults that a seed draws.
  public static func faults(seed: UInt64) -> EmbeddedFaults {
    var random = Generator(seed: seed)
    return .draw(&random)
  }

  /// `faults`: nil draws them from the seed. `traceLines`: lines of the run's story to keep.
  public init(seed: UInt64, faults chosen: EmbeddedFaults? = nil, traceLines: Int = 0) {
    self.seed = seed
    engine = Engine(seed: seed, traceLines: traceLines)
    let drawn = EmbeddedFaults.draw(&engine.random)
    faults = chosen ?? drawn
    var limits = Limits()
    limits.ratePerSecond = engine.random.chance(0.1) ? 3 : 1_000
    limits.pendingRequests = 4 + engine.random.below(8)
    self.limits = limits
    shardCount = 1 + engine.random.below(3)
    let isLong = engine.random.chance(0.08)
    activity = isLong ? engine.random.between(400_000, 700_000) : engine.random.between(8_000, 40_000)
    var profile = Profile()
    profile.users = 2 + engine.random.below(3)
    profile.devicesPerUser = 1 + engine.random.below(2)
    profile.rooms = 1 + engine.random.below(2)
    profile.instances = 1
    profile.pauseMilliseconds = isLong ? 12_000 : 500
    profile.weights.sleep = isLong ? 4 : 0
    profile.longAbsenceMilliseconds = isLong ? 120_000 : 10_000
    profile.weights.absence = faults.contains(.retention) ? 2 : 0
    if !faults.contains(.cut) {
      profile.weights.cut = 0
      profile.weights.overlap = 0
    }
    let roster = Roster(partitions: 1)
    checks = Checks(truth: Truth(roster: roster, limits: limits))
    store = EmbeddedStore(engine, checks: checks)
    let workload = Workload(profile, roster: roster)
    for user in workload.users {
      for device in 0..<profile.devicesPerUser {
        let client = SimulatedClient(
          user: user, device: "d\(device)", workload: workload, checks: checks, seed: engine.random.next(),
          startsAt: engine.random.between(0, 3_000))
        clients.append(EmbeddedClient(client, run: self))
      }
    }
  }

  public func run() -> EmbeddedResult {
    engine.note("\(shardCount) shards; " + faults.faults.map(\.name).joined(separator: " "))
    start()
    if faults.contains(.retention) { forgetNow() }
    if faults.contains(.shardStall) { stall() }
    engine.run(until: activity) { [self] in isBroken }
    faultsAreOn = false
    for shard in process?.shards ?? [] { shard.thread.goOn() }
    for client in clients { client.settle() }
    let end = engine.now + Self.settleMilliseconds
    while engine.now < end, !isBroken, !clients.allSatisfy(\.client.isSettled) {
      engine.run(until: min(engine.now + 1_000, end)) { [self] in isBroken }
    }
    engine.run(until: engine.now + Self.quietMilliseconds) { [self] in isBroken }
    // Who asked something just now has his answer a little later.
    let latest = engine.now + Self.answerMilliseconds
    while engine.now < latest, !isBroken, !clients.allSatisfy(\.client.isSettled) {
      engine.run(until: engine.now + 100) { [self] in isBroken }
    }
    finish()
    return EmbeddedResult(
      seed: seed, faults: faults, violations: checks.violations, digest: engine.digest, steps: engine.steps,
      virtualMilliseconds: engine.now, coverage: coverage, trace: engine.trace.all)
  }

  private var isBroken: Bool { !checks.violations.isEmpty }

  private func finish() {
    checks.tick(engine.now)
    if !isBroken {
      for host in clients { if let complaint = host.client.complaint { checks.note(.liveness, complaint) } }
    }
    if !isBroken { checks.finish() }
    coverage.appends = checks.truth.records[0].count
    coverage.events = checks.truth.chats.reduce(0) { $0 + $1.events.count }
    for ledger in checks.ledgers {
      coverage.handed += ledger.handedEvents
      coverage.resets += ledger.resets
    }
    // What is still to happen holds on to all of this.
    engine.end()
    process?.die()
    engine.end()
    for client in clients { client.end() }
  }

  // MARK: Faults

  func happens(_ fault: EmbeddedFault, _ probability: Double) -> Bool {
    guard faultsAreOn, faults.contains(fault), engine.random.chance(probability) else { return false }
    coverage.count(fault)
    return true
  }

  private func forgetNow() {
    engine.after(engine.random.between(200, 4_000)) { [self] in
      guard faultsAreOn else { return }
      let count = checks.truth.chats.count
      if count > 0 {
        let chat = engine.random.below(count)
        coverage.count(.retention)
        engine.note("retention takes some of \(checks.roster.chats[chat].name)")
        store.forget(1 + engine.random.below(4), of: chat)
      }
      forgetNow()
    }
  }

  private func stall() {
    engine.after(engine.random.between(2_000, 20_000)) { [self] in
      guard faultsAreOn, let process else { return }
      let shard = process.shards[engine.random.below(process.shards.count)]
      coverage.count(.shardStall)
      shard.thread.stop()
      engine.after(engine.random.between(500, 45_000)) { shard.thread.goOn() }
      stall()
    }
  }

  // MARK: The process

  private func start() {
    epochs += 1
    process = EmbeddedProcess(self, epoch: epochs, shards: shardCount, limits: limits)
  }

  /// It dies with all that it had in memory, and comes back.
  func crash() {
    guard let dead = process else { return }
    engine.note("the process dies")
    process = nil
    dead.die()
    graves.append(dead)
    engine.after(engine.random.between(50, 3_000)) { [self] in start() }
  }

  /// A shard that takes a connection now.
  var listeningShard: EmbeddedShard? {
    guard let process else { return nil }
    return process.shards[engine.random.below(process.shards.count)]
  }
}
