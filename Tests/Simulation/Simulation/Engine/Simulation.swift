public import Chat

/// One run of the simulated cluster: what it is to be like.
public struct SimulationOptions: Sendable {
  public var seed: UInt64
  /// Nil: drawn from the seed.
  public var faults: FaultSet?
  /// Faults that are left out of what was drawn.
  public var without = FaultSet()
  /// Caps on what was drawn.
  public var operationsMax: Int?
  public var activityMax: Tick?
  public var instancesMax: Int?
  /// Lines of the run's story to keep; 0: none.
  public var traceLines = 0

  public init(seed: UInt64) { self.seed = seed }

  /// The flags with which the program makes this run again.
  public var flags: String {
    var text = "--seed \(seed)"
    if let faults {
      text += " --faults " + (faults.kinds.isEmpty ? "none" : faults.kinds.map(\.name).joined(separator: ","))
    }
    if !without.kinds.isEmpty { text += " --without " + without.kinds.map(\.name).joined(separator: ",") }
    if let operationsMax { text += " --operations \(operationsMax)" }
    if let activityMax { text += " --activity \(activityMax)" }
    if let instancesMax { text += " --instances \(instancesMax)" }
    return text
  }
}

/// What a run came to.
public struct SimulationResult: Sendable {
  public var options: SimulationOptions
  /// The faults that it had.
  public var faults: FaultSet
  public var violations: [Violation]
  public var digest: UInt64
  public var steps: Int
  public var virtualMilliseconds: Tick
  public var coverage: Coverage
  public var trace: [String]
}

public enum Simulation {
  /// Runs a seed of the cluster, until all is settled or an invariant is broken.
  public static func run(_ options: SimulationOptions) -> SimulationResult {
    let engine = Engine(seed: options.seed, traceLines: options.traceLines)
    // Drawn first, whatever is chosen: the rest of the run is the same with them and without.
    let drawn = FaultSet.draw(seed: options.seed)
    var faults = options.faults ?? drawn
    for kind in options.without.kinds { faults.remove(kind) }
    var plan = Plan(&engine.random, faults: faults)
    // By a chance of its own, so that the rest of the run is what it was.
    var coin = Generator(seed: ~options.seed &+ 1)
    plan.takesShortWays = coin.chance(0.5)
    if let most = options.operationsMax { plan.operations = min(plan.operations, most) }
    if let most = options.activityMax { plan.activity = min(plan.activity, most) }
    if let most = options.instancesMax {
      plan.instances = min(plan.instances, most)
      plan.profile.instances = plan.instances
    }
    engine.note(
      "\(plan.instances) servers of \(plan.shards) shards, \(plan.partitions) partitions, "
        + "\(plan.primaries) primaries, \(plan.profile.users) users of \(plan.profile.devicesPerUser) devices, "
        + "\(plan.operations) operations in \(plan.activity) ms; "
        + faults.kinds.map(\.name).joined(separator: " "))
    let cluster = Cluster(engine, plan: plan, faults: faults)
    cluster.run()
    return SimulationResult(
      options: options, faults: faults,
      violations: cluster.checks.violations(onlyHintsFailed: faults.isOfHintsOnly), digest: engine.digest,
      steps: engine.steps, virtualMilliseconds: engine.now, coverage: engine.coverage,
      trace: engine.trace.all)
  }
}
