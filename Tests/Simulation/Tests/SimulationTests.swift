import Foundation
import Simulation
import Testing

@Suite struct SimulationTests {
  /// A line of the file `kept-seeds`.
  struct KeptSeed: Sendable, CustomTestStringConvertible {
    var options: SimulationOptions
    var testDescription: String { options.flags }
  }

  static let kept: [KeptSeed] = {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("kept-seeds")
    let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
    return text.split(separator: "\n").compactMap { line in
      let words = line.prefix { $0 != "#" }.split(separator: " ")
      guard words.count == 2, let seed = UInt64(words[0]) else { return nil }
      var options = SimulationOptions(seed: seed)
      if words[1] != "drawn" {
        options.faults = FaultSet(words[1].split(separator: ",").compactMap { FaultKind(name: String($0)) })
      }
      return KeptSeed(options: options)
    }
  }()

  @Test(arguments: kept) func aSeedThatFailedOnceDoesNotFailAgain(_ seed: KeptSeed) {
    #expect(Simulation.run(seed.options).violations.isEmpty)
  }

  @Test func theKeptSeedsAreRead() { #expect(Self.kept.count >= 10) }

  /// `FASTCHAT_SEEDS` says how many; they begin where the kept ones of a fresh campaign would.
  @Test func noInvariantBreaksUnderFreshSeeds() {
    let count = ProcessInfo.processInfo.environment["FASTCHAT_SEEDS"].flatMap { UInt64($0) } ?? 60
    for seed in 1...count {
      let result = Simulation.run(SimulationOptions(seed: seed))
      #expect(result.violations.isEmpty, "fastchat-sim \(result.options.flags)")
    }
  }

  @Test func noInvariantBreaksOverTheEmbeddedBackbone() {
    let count = ProcessInfo.processInfo.environment["FASTCHAT_SEEDS"].flatMap { UInt64($0) } ?? 60
    for seed in 1...count {
      let result = Simulation.runEmbedded(SimulationOptions(seed: seed))
      #expect(result.violations.isEmpty, "fastchat-sim --embedded \(result.options.flags)")
    }
  }

  @Test(arguments: [3, 77, 1_234] as [UInt64]) func aSeedGivesTheSameRunEachTime(_ seed: UInt64) {
    var options = SimulationOptions(seed: seed)
    options.faults = .all
    options.faults?.remove(.logLost)
    let first = Simulation.run(options)
    options.traceLines = 10
    let second = Simulation.run(options)
    #expect(first.digest == second.digest)
    #expect(first.steps == second.steps)
    #expect(first.virtualMilliseconds == second.virtualMilliseconds)
  }

  /// The events of a run that has one fault show that it really happened.
  @Test(arguments: FaultKind.allCases) func eachFaultReallyHappens(_ kind: FaultKind) {
    var times = 0
    for seed in 1...40 as ClosedRange<UInt64> where times == 0 {
      var options = SimulationOptions(seed: seed)
      options.faults = FaultSet([kind])
      times += Simulation.run(options).coverage.times(kind)
    }
    #expect(times > 0)
  }
}
