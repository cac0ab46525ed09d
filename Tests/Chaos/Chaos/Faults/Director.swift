import Glibc
import Support

/// Does faults to the world, one after the other, and waits for everybody to be well again in between. It
/// belongs to the main thread, with which the processes that it starts would end.
final class Director {
  /// Milliseconds without a fault between two, and for how long to wait for everybody to be well.
  private static let calm = 1_000...3_000
  private static let recoveryMax = 90_000
  /// A request that waits no longer than this is nobody's trouble.
  private static let wellBelow = 1_000
  /// Milliseconds that a server may take to say that it cannot start, and between two of its starts.
  private static let startFailureMax = 10_000
  private static let startPause = 500

  private let world: World
  private let board: Board
  private var plan: FaultPlan
  private var generator: SeededGenerator
  private let say: (String) -> Void
  private let isInterrupted: () -> Bool
  /// What instances stand on and cannot reach: the brokers, ways to Redis and Kafka; and when that was so last.
  private var areBrokersDown = false
  private var cut: Set<String> = []
  private var lastOutage = Int.min / 2
  /// When an instance that ended by itself is started again.
  private var startAt = Int.min / 2
  /// What went wrong with the processes themselves.
  private(set) var differences: [String] = []

  init(
    _ world: World, board: Board, plan: FaultPlan, seed: UInt64, say: @escaping (String) -> Void,
    isInterrupted: @escaping () -> Bool
  ) {
    self.world = world
    self.board = board
    self.plan = plan
    self.say = say
    self.isInterrupted = isInterrupted
    generator = SeededGenerator(seed: seed ^ 0xD1EC_7085)
  }

  /// Goes on until the time is up.
  func run(until end: Int) throws {
    try wait(Int.random(in: Self.calm, using: &generator))
    while RunClock.milliseconds < end, !isInterrupted() {
      let fault = plan.next()
      try perform(fault)
      recover(fault)
      world.doors.begin(hitting: [])
      board.begin(Interruptions.calm, hitsAll: false)
      try wait(Int.random(in: Self.calm, using: &generator))
    }
    try world.heal()
  }

  private func perform(_ fault: Fault) throws {
    let kinds = fault.kinds.map(\.rawValue).joined(separator: " + ")
    let counts = board.counts
    say(
      "\(kinds) on \(fault.hitsAll ? "all" : fault.hit.sorted().description), \((fault.steps.last?.at ?? 0) / 100) ds"
        + " (\(counts.sent) sent, \(counts.acknowledged) acknowledged, \(counts.delivered) delivered)")
    world.doors.begin(hitting: fault.hit)
    board.begin(fault.name, hitsAll: fault.hitsAll)
    let begin = RunClock.milliseconds
    for step in fault.steps {
      try wait(begin + step.at - RunClock.milliseconds)
      try perform(step.action)
    }
  }

  private func perform(_ action: Step.Action) throws {
    switch action {
    case .kill(let instance): world.instances[instance].kill()
    case .start(let instance): try world.instances[instance].start()
    case .stop(let instance): world.instances[instance].stop()
    case .resume(let instance): world.instances[instance].resume()
    case .restart(let instance):
      if let difference = world.instances[instance].drain() {
        differences.append("instance \(instance) \(difference)")
      }
      try world.instances[instance].start()
      let deadline = Deadline.after(.seconds(30))
      while !world.instances[instance].isReady, !deadline.hasPassed, !isInterrupted() { try wait(50) }
    case .killBrokers:
      areBrokersDown = true
      for broker in 1...world.size.brokers { try world.kafka?.kill(broker) }
    case .resumeBrokers:
      try world.kafka?.resumeAll()
      areBrokersDown = false
    case .killLeader:
      guard let kafka = world.kafka else { return }
      let reader = try LogReader(brokers: kafka.addresses, prefix: World.topicPrefix)
      let partition = Int32.random(in: 0..<Int32(world.size.partitions), using: &generator)
      try kafka.kill(reader.leader(of: partition) ?? 1)
    case .takeSnapshot: try world.redis?.takeSnapshot()
    case .killRedis: world.redis?.kill()
    case .startRedis: try world.redis?.start()
    case .startRedisEmpty: try world.redis?.startEmpty()
    case .startRedisFromSnapshot: try world.redis?.startFromSnapshot()
    case .flushRedis: try world.redis?.flush()
    case .cutClients(let instance, let rule):
      world.relay.set(rule, on: world.instances[instance].clientLink)
    case .cutRedis(let instance, let rule):
      note(rule, "redis \(instance)")
      if let link = world.instances[instance].redisLink { world.relay.set(rule, on: link) }
    case .cutKafka(let instance, let rule):
      note(rule, "kafka \(instance)")
      for link in world.instances[instance].kafkaLinks { world.relay.set(rule, on: link) }
    }
  }

  private func note(_ rule: Relay.Rule, _ way: String) {
    if rule == .pass { cut.remove(way) } else { cut.insert(way) }
  }

  /// Waits until all instances are ready and nobody's request has been waiting for long.
  private func recover(_ fault: Fault) {
    let begin = RunClock.milliseconds
    var wellSince: Int?
    while !isInterrupted() {
      checkProcesses()
      let now = RunClock.milliseconds
      let isWell = board.longestWait < Self.wellBelow && world.instances.allSatisfy(\.isReady)
      wellSince = isWell ? wellSince ?? now : nil
      if let wellSince, now - wellSince >= Self.wellBelow { return }
      if now - begin > Self.recoveryMax {
        let waits = "\(board.longestWait) ms: \(board.longestWaitStory)"
        let unready = world.instances.filter { !$0.isReady }.map { "\($0.index)" }.joined(separator: ",")
        differences.append(
          "\(fault.kinds.map(\.rawValue)): not well after \(Self.recoveryMax / 1_000) s: \(waits); "
            + "not ready: [\(unready)]")
        say(differences.last!)
        return
      }
      usleep(50_000)
    }
  }

  private func wait(_ milliseconds: Int) throws {
    let end = RunClock.milliseconds + milliseconds
    while RunClock.milliseconds < end, !isInterrupted() {
      checkProcesses()
      usleep(UInt32(min(20, max(1, end - RunClock.milliseconds))) * 1_000)
    }
  }

  private func checkProcesses() {
    let now = RunClock.milliseconds
    if areBrokersDown || !cut.isEmpty || world.redis?.isRunning == false { lastOutage = now }
    for instance in world.instances {
      guard let end = instance.unwantedEnd, now >= startAt else { continue }
      startAt = now + Self.startPause
      // One that is started without what it stands on says so and ends with 1, and is started again.
      if instance.program.lastStatus != 1 || now - lastOutage > Self.startFailureMax {
        differences.append("instance \(instance.index) \(end)")
        say(differences.last!)
      }
      try? instance.start()
    }
  }
}
