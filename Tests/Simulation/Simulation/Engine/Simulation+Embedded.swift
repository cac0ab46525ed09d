extension Simulation {
  /// Runs a seed over the embedded backbone. Faults go by the names of a cluster's that they are most like.
  public static func runEmbedded(_ options: SimulationOptions) -> SimulationResult {
    var chosen = options.faults.map { faults in
      EmbeddedFaults(EmbeddedFault.allCases.filter { faults.contains($0.kind) })
    }
    if !options.without.kinds.isEmpty {
      let drawn = chosen ?? EmbeddedRun.faults(seed: options.seed)
      chosen = EmbeddedFaults(drawn.faults.filter { !options.without.contains($0.kind) })
    }
    let result = EmbeddedRun(seed: options.seed, faults: chosen, traceLines: options.traceLines).run()
    var coverage = Coverage()
    for fault in EmbeddedFault.allCases {
      for _ in 0..<result.coverage.faults[fault.rawValue] { coverage.count(fault.kind) }
    }
    coverage.count(.appends, result.coverage.appends)
    coverage.count(.resets, result.coverage.resets)
    coverage.count(.doubts, result.coverage.doubts)
    return SimulationResult(
      options: options, faults: FaultSet(result.faults.faults.map(\.kind)), violations: result.violations,
      digest: result.digest, steps: result.steps, virtualMilliseconds: result.virtualMilliseconds,
      coverage: coverage, trace: result.trace)
  }
}

extension EmbeddedFault {
  /// What a cluster has that is most like it.
  var kind: FaultKind {
    switch self {
    case .failedCommit: .appendDespiteError
    case .crash: .kill
    case .slowDisk: .reportLate
    case .failedRead: .disconnect
    case .slowReader: .redisFreeze
    case .mailboxFull: .mailboxFull
    case .pullMode: .slowReader
    case .retention: .retention
    case .shardStall: .shardStall
    case .cut: .cut
    }
  }
}
