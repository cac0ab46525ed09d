extension Simulation {
  /// Runs a seed over the embedded backbone.
  public static func runEmbedded(_ options: SimulationOptions) -> SimulationResult { run(options) }
}
