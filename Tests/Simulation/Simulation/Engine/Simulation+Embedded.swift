extension Simulation {
  /// Runs a seed over the embedded backbone, with the faults that it draws, or with none where `options` names
  /// an empty set.
  public static func runEmbedded(_ options: SimulationOptions) -> SimulationResult {
    let faults = options.faults.map { _ in EmbeddedFaults([]) }
    let result = EmbeddedRun(seed: options.seed, faults: faults, traceLines: options.traceLines).run()
    return SimulationResult(
      options: options, faults: FaultSet(), violations: result.violations, digest: result.digest,
      steps: result.steps, virtualMilliseconds: result.virtualMilliseconds, coverage: Coverage(),
      trace: result.trace)
  }
}
