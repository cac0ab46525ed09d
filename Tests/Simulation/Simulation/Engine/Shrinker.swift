/// Makes a failing run smaller while the same invariant still breaks: fewer operations, a shorter time, fewer
/// faults, fewer servers.
public enum Shrinker {
  /// Runs that are tried at most.
  public static let attemptsMax = 200

  public static func shrink(_ failed: SimulationResult) -> SimulationResult {
    guard let invariant = failed.violations.first?.invariant else { return failed }
    var best = failed
    var attempts = 0
    func take(_ options: SimulationOptions) -> Bool {
      attempts += 1
      guard attempts <= attemptsMax else { return false }
      let result = Simulation.run(options)
      guard result.violations.contains(where: { $0.invariant == invariant }) else { return false }
      best = result
      return true
    }

    for kind in failed.faults.kinds {
      var options = best.options
      options.without.insert(kind)
      _ = take(options)
    }
    for instances in 1..<3 {
      var options = best.options
      options.instancesMax = instances
      if take(options) { break }
    }
    while attempts < attemptsMax {
      var options = best.options
      let operations = best.coverage.times(.operations)
      options.operationsMax = operations * 3 / 4
      guard operations > 1, take(options) || take(fewer(best, operations - 1)) else { break }
    }
    return best
  }

  private static func fewer(_ result: SimulationResult, _ operations: Int) -> SimulationOptions {
    var options = result.options
    options.operationsMax = operations
    return options
  }
}
