import Foundation
import Support
import Testing

/// The scripts on a real Redis server and the simulated ones say and hold the same, whatever is asked.
///
/// `FASTCHAT_SEEDS` says how many schedules are tried, `FASTCHAT_SEED` which one comes first.
@Suite struct DifferentialTests {
  static let steps = 400
  static let stepsBetweenComparisons = 25

  @Test func theSimulatedScriptsAreTheRealOnes() throws {
    let environment = ProcessInfo.processInfo.environment
    let first = environment["FASTCHAT_SEED"].flatMap(UInt64.init) ?? 1
    let count = environment["FASTCHAT_SEEDS"].flatMap(UInt64.init) ?? 20
    try withBothServers { both in
      for seed in first..<(first + count) {
        try both.flush()
        var schedule = RandomSchedule(seed: seed, both)
        for step in 0..<Self.steps {
          both.context = "FASTCHAT_SEED=\(seed), step \(step)"
          try schedule.step()
          if step % Self.stepsBetweenComparisons == 0 { try both.compareStates() }
        }
        try both.compareStates()
      }
    }
  }
}
