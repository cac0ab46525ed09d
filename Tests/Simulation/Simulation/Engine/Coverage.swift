/// How often something that a simulation is made for really happened.
public struct Coverage: Sendable {
  /// States worth seeing, beside the faults.
  public enum State: Int, CaseIterable, Sendable {
    case operations, appends, batches, applies
    case refusals, takeovers, jumps, rebuilds, commits, fencedCommits
    case standIns, cutMarks, standInsExpected, fencings, rebalances
    case newEpochs, reRegistrations, inboxDoubts, registrationDoubts, doubts
    case mailboxOverflows
    case attaches, resets, pullModes, replaced, closed
    case stops, repeatedAppends
  }

  public private(set) var faults = [Int](repeating: 0, count: FaultKind.allCases.count)
  public private(set) var states = [Int](repeating: 0, count: State.allCases.count)
  /// Runs in which each happened.
  public private(set) var faultRuns = [Int](repeating: 0, count: FaultKind.allCases.count)
  public private(set) var stateRuns = [Int](repeating: 0, count: State.allCases.count)

  public init() {}

  public mutating func count(_ fault: FaultKind) { faults[fault.rawValue] += 1 }
  public mutating func count(_ state: State, _ times: Int = 1) { states[state.rawValue] += times }
  public func times(_ fault: FaultKind) -> Int { faults[fault.rawValue] }
  public func times(_ state: State) -> Int { states[state.rawValue] }

  /// Adds what one run, or the runs of one thread, came to.
  public mutating func add(_ other: Coverage, isRun: Bool) {
    for i in faults.indices {
      faults[i] += other.faults[i]
      faultRuns[i] += isRun ? (other.faults[i] > 0 ? 1 : 0) : other.faultRuns[i]
    }
    for i in states.indices {
      states[i] += other.states[i]
      stateRuns[i] += isRun ? (other.states[i] > 0 ? 1 : 0) : other.stateRuns[i]
    }
  }
}
