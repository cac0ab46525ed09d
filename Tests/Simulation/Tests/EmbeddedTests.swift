import Foundation
import Simulation
import Testing

/// Servers that stand alone, under random schedules: `FASTCHAT_SEEDS` says how many, `FASTCHAT_SEED` which
/// one comes first, `FASTCHAT_FAULTS` names the faults in place of those that each seed draws.
@Suite struct EmbeddedTests {
  @Test func noScheduleBreaksAnInvariant() {
    let environment = ProcessInfo.processInfo.environment
    let first = environment["FASTCHAT_SEED"].flatMap(UInt64.init) ?? 1
    let count = environment["FASTCHAT_SEEDS"].flatMap(UInt64.init) ?? 60
    let faults = environment["FASTCHAT_FAULTS"].map {
      EmbeddedFaults($0.split(separator: ",").map { EmbeddedFault(name: String($0))! })
    }
    var coverage = EmbeddedCoverage()
    for seed in first..<first + count {
      let result = EmbeddedRun(seed: seed, faults: faults).run()
      coverage.add(result.coverage)
      guard let violation = result.violations.first else { continue }
      let told = EmbeddedRun(seed: seed, faults: faults, traceLines: 120).run()
      let names = result.faults.faults.map(\.name).joined(separator: ",")
      Issue.record(
        "FASTCHAT_SEED=\(seed) (\(names)): \(violation)\n\(told.trace.joined(separator: "\n"))")
      return
    }
    #expect(coverage.events > 0 && coverage.handed > coverage.events)
    if environment["FASTCHAT_SEEDS"] != nil { print(coverage) }
  }

  @Test func aSeedGivesTheSameRunEachTime() {
    let first = EmbeddedRun(seed: 12, faults: .all).run()
    let second = EmbeddedRun(seed: 12, faults: .all).run()
    #expect(first.digest == second.digest && first.steps == second.steps)
  }
}
