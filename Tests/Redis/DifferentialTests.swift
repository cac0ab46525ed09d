import Foundation
import Support
import Testing

/// The scripts on a real Redis server and the simulated ones say and hold the same, whatever is asked.
///
/// `FASTCHAT_SEEDS` says how many schedules are tried, `FASTCHAT_SEED` which one comes first.
@Suite struct DifferentialTests {
  static let steps = 400
  static let stepsBetweenComparisons = 25

  /// What a run of 20 schedules must have met.
  static let kinds = [
    "apply done", "apply empty", "apply refused", "apply error", "apply outcome 0", "apply outcome 1",
    "apply outcome 3", "apply outcome 4", "apply outcome 5", "beginRebuild done", "beginRebuild refused",
    "restore done", "restore refused", "query after rows", "query after rows more", "query after rebuilding",
    "query before rows", "query before rows more", "query chats rows", "query chats rows more",
    "query members rows", "query recent rows", "query recent rows more", "raiseRead nothing",
    "raiseRead number", "restoreReads nothing", "restoreReads some", "readView some", "readLeases some",
    "registerSessions some", "removeSessions 1",
    "removeSessions 0", "removeRoom 0", "removeRoom 1", "takeLease 1", "takeLease text", "renewLease 1",
    "renewLease nothing", "renewLease text", "dropLease 0", "dropLease 1",
  ]

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
      guard count >= 20 else { return }
      for kind in Self.kinds { #expect(both.seen[kind, default: 0] > 0, "\(kind) was never seen") }
    }
  }
}
