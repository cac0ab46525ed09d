/// One thread's part of a run, from the first connection to the last answer.
enum Worker {
  /// What the set-up may take, and what is under way at the end.
  private static let setUpNanosecondsMax: UInt64 = 120_000_000_000
  private static let drainNanosecondsMax: UInt64 = 10_000_000_000
  /// The longest wait in a turn, so that a change of phase is seen.
  private static let turnMilliseconds = 10

  static func run(_ options: LoadOptions, index: Int, of threads: Int, _ control: Control) {
    do throws(LoadError) {
      switch options.command {
      case .echo: try run(control, Wire(options)) { Echo(options, share(options.connections), $0) }
      case .idle: try run(control, Wire(options)) { Idle(options, index, share(options.connections), $0) }
      case .pairs where options.isRaw: try run(control, Wire(options)) { Relay(options, $0) }
      case .pairs:
        try run(control, Wire(options)) { wire throws(LoadError) in
          try Pairs(options, index, share(options.pairs), share(options.rate), wire)
        }
      case .fanout: try run(control, Wire(options)) { Fanout(options, $0) }
      }
    } catch {
      control.fail(error)
    }
    /// This worker's part of a number.
    func share(_ count: Int) -> Int { count * (index + 1) / threads - count * index / threads }
  }

  private static func run<S: Scenario>(
    _ control: Control, _ wire: Wire, _ make: (Wire) throws(LoadError) -> S
  ) throws(LoadError) {
    defer { wire.shutdown() }
    let scenario = try make(wire)
    try wire.open(scenario)
    var deadline = monotonicNanoseconds() + setUpNanosecondsMax
    while !scenario.isReady {
      try turn()
      guard monotonicNanoseconds() < deadline else { throw .failure("the set-up took too long") }
    }
    control.markReady()
    while control.phase == .setUp { try turn() }
    try scenario.begin()
    while control.phase == .warmUp { try turn() }
    scenario.beginMeasuring()
    control.markMeasuring()
    while control.phase == .measured { try turn() }
    let outcome = scenario.end()
    deadline = monotonicNanoseconds() + drainNanosecondsMax
    while !scenario.isDrained, control.phase != .failed {
      try turn()
      guard monotonicNanoseconds() < deadline else { throw .failure("answers or deliveries are missing") }
    }
    try scenario.check()
    control.report(outcome)

    func turn() throws(LoadError) { try wire.turn(scenario, waitAtMostMilliseconds: turnMilliseconds) }
  }
}
