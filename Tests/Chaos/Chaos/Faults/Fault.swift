import Support

/// What can be done to a running system, by the names that `--faults` takes.
public enum FaultKind: String, CaseIterable, Sendable {
  /// kill -9 of an instance, started again soon.
  case kill
  /// kill -9 of an instance, which stays dead for longer than others wait for it.
  case dead
  /// SIGSTOP of an instance, for up to 30 s.
  case stop
  /// SIGTERM and a new start of each instance in turn.
  case rolling
  /// kill -9 of all brokers, started again on their data.
  case brokerKill = "broker-kill"
  /// kill -9 of the broker that leads a partition, the others go on.
  case brokerLeader = "broker-leader"
  /// kill -9 of Redis, started again with its files.
  case redisKill = "redis-kill"
  /// kill -9 of Redis, started again without its files.
  case redisEmpty = "redis-empty"
  /// kill -9 of Redis, started again with what it held a while ago.
  case redisRollback = "redis-rollback"
  case flushall
  /// The ways of an instance's clients, of an instance to Redis, and of one to Kafka: reset, held or slow.
  case clientCut = "client-cut"
  case redisCut = "redis-cut"
  case kafkaCut = "kafka-cut"

  /// How often it is drawn beside the others.
  var weight: Int {
    switch self {
    case .kill: 5
    case .dead, .stop, .clientCut, .redisCut, .kafkaCut: 3
    case .rolling, .redisKill, .redisEmpty, .redisRollback, .flushall, .brokerLeader: 2
    case .brokerKill: 1
    }
  }

  /// Whether it can be done to this system.
  func fits(_ size: WorldSize) -> Bool {
    switch self {
    case .kill, .stop, .rolling, .clientCut: true
    case .dead: size.isEmbedded || size.instances > 1
    case .brokerLeader: !size.isEmbedded && size.brokers > 2
    default: !size.isEmbedded
    }
  }

  /// Whether it hits what all instances share.
  var hitsAll: Bool {
    switch self {
    case .brokerKill, .brokerLeader, .redisKill, .redisEmpty, .redisRollback, .flushall: true
    default: false
    }
  }
}

/// One thing to do, so many milliseconds after its fault began.
struct Step: Sendable, Equatable {
  enum Action: Sendable, Equatable {
    case kill(Int)
    case start(Int)
    case stop(Int)
    case resume(Int)
    /// Drains an instance, starts it again and waits until it is ready.
    case restart(Int)
    case killBrokers, resumeBrokers
    case killLeader
    case takeSnapshot
    case killRedis, startRedis, startRedisEmpty, startRedisFromSnapshot
    case flushRedis
    case cutClients(Int, Relay.Rule)
    case cutRedis(Int, Relay.Rule)
    case cutKafka(Int, Relay.Rule)
  }

  let at: Int
  let action: Action
}

/// A fault as it was drawn: all that is random in it is decided.
struct Fault: Sendable, Equatable {
  var name: String
  var kinds: [FaultKind]
  /// Instances that it is on.
  var hit: Set<Int>
  var hitsAll: Bool
  /// In the order of their times; the last one ends the fault.
  var steps: [Step]
}

/// Draws faults by a seed, the same ones each time.
struct FaultPlan: Sendable {
  private let size: WorldSize
  private let kinds: [FaultKind]
  /// Of a hundred faults, those that meet another one.
  private let overlapPercent: Int
  private var generator: SeededGenerator

  /// - Parameter kinds: what may be drawn, of those that fit.
  init(seed: UInt64, size: WorldSize, kinds: [FaultKind], overlapPercent: Int = 20) {
    self.size = size
    self.kinds = kinds.filter { $0.fits(size) }
    self.overlapPercent = overlapPercent
    generator = SeededGenerator(seed: seed)
  }

  var isEmpty: Bool { kinds.isEmpty }

  mutating func next() -> Fault {
    let first = make(kind())
    guard generator.chance(overlapPercent) else { return first }
    let second = make(kind())
    // A restart waits until the instance is ready, which it is not without what the other one takes away: that
    // would come back only when all waits are over.
    let kinds = first.kinds + second.kinds
    if kinds.contains(.rolling), kinds.contains(where: \.hitsAll) { return first }
    let shift = Int.random(in: 0...max(first.steps.last?.at ?? 0, 1), using: &generator)
    let steps = first.steps + second.steps.map { Step(at: $0.at + shift, action: $0.action) }
    return Fault(
      name: "two at once", kinds: kinds, hit: first.hit.union(second.hit),
      hitsAll: first.hitsAll || second.hitsAll, steps: steps.sorted { $0.at < $1.at })
  }

  private mutating func kind() -> FaultKind {
    var draw = Int.random(in: 0..<kinds.reduce(0) { $0 + $1.weight }, using: &generator)
    for kind in kinds {
      draw -= kind.weight
      if draw < 0 { return kind }
    }
    preconditionFailure("the weights do not add up")
  }

  private mutating func make(_ kind: FaultKind) -> Fault {
    let instance = Int.random(in: 0..<size.instances, using: &generator)
    var hit: Set<Int> = kind.hitsAll ? [] : [instance]
    var name = kind.rawValue
    let steps: [Step]
    switch kind {
    case .kill: steps = span(.kill(instance), .start(instance), 0...1_500)
    case .dead: steps = span(.kill(instance), .start(instance), 8_000...15_000)
    case .stop: steps = span(.stop(instance), .resume(instance), 500...30_000)
    case .rolling:
      hit = Set(0..<size.instances)
      steps = (0..<size.instances).map { Step(at: 0, action: .restart($0)) }
    case .brokerKill: steps = span(.killBrokers, .resumeBrokers, 0...4_000)
    case .brokerLeader: steps = span(.killLeader, .resumeBrokers, 3_000...12_000)
    case .redisKill: steps = span(.killRedis, .startRedis, 0...6_000)
    case .redisEmpty: steps = span(.killRedis, .startRedisEmpty, 0...6_000)
    case .redisRollback:
      let kept = Int.random(in: 500...12_000, using: &generator)
      let down = Int.random(in: 0...3_000, using: &generator)
      steps = [
        Step(at: 0, action: .takeSnapshot), Step(at: kept, action: .killRedis),
        Step(at: kept + down, action: .startRedisFromSnapshot),
      ]
    case .flushall: steps = [Step(at: 0, action: .flushRedis)]
    case .clientCut, .redisCut, .kafkaCut:
      let (rule, word, longest) = cut()
      name += " (\(word))"
      let pair: (Step.Action, Step.Action) =
        switch kind {
        case .clientCut: (.cutClients(instance, rule), .cutClients(instance, .pass))
        case .redisCut: (.cutRedis(instance, rule), .cutRedis(instance, .pass))
        default: (.cutKafka(instance, rule), .cutKafka(instance, .pass))
        }
      steps = span(pair.0, pair.1, 500...longest)
    }
    return Fault(name: name, kinds: [kind], hit: hit, hitsAll: kind.hitsAll, steps: steps)
  }

  private mutating func span(
    _ begin: Step.Action, _ end: Step.Action, _ milliseconds: ClosedRange<Int>
  ) -> [Step] {
    [
      Step(at: 0, action: begin),
      Step(at: Int.random(in: milliseconds, using: &generator), action: end),
    ]
  }

  private mutating func cut() -> (Relay.Rule, String, longest: Int) {
    switch Int.random(in: 0..<3, using: &generator) {
    case 0: (.refuse, "reset", 12_000)
    case 1: (.hold, "held", 20_000)
    default: (.delay(Int.random(in: 50...1_500, using: &generator)), "slow", 15_000)
    }
  }
}
