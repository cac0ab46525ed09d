import Simulation

/// What a campaign came to, for people and for scripts.
struct Report {
  let options: SimulatorOptions
  let outcome: Campaign.Outcome
  let seconds: Double

  var text: String {
    let hours = Double(outcome.virtualMilliseconds) / 3_600_000
    var text = ""
    let faults = FaultKind.allCases.filter { outcome.coverage.times($0) > 0 }
    for kind in faults {
      let index = kind.rawValue
      text += line(kind.name, outcome.coverage.faults[index], outcome.coverage.faultRuns[index])
    }
    text += "\n"
    for state in Coverage.State.allCases {
      let index = state.rawValue
      text += line("\(state)", outcome.coverage.states[index], outcome.coverage.stateRuns[index])
    }
    text += "\n\(outcome.runs) seeds, \(outcome.failures.count) failed; \(rounded(seconds)) s, "
    text += "\(rounded(Double(outcome.runs) / seconds)) seeds/s, \(rounded(hours)) simulated hours, "
    text += "\(rounded(hours / seconds * 3_600)) of them an hour\n"
    return text
  }

  private func line(_ name: String, _ times: Int, _ runs: Int) -> String {
    let words = name + String(repeating: " ", count: max(1, 30 - name.utf8.count))
    let count = "\(times)"
    return words + String(repeating: " ", count: max(0, 10 - count.utf8.count)) + count
      + "  in \(runs) runs\n"
  }

  private func rounded(_ value: Double) -> String {
    let tenths = Int64((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }

  var json: String {
    let failures = outcome.failures.map { failure in
      "{\"seed\":\(failure.options.seed),\"invariant\":\"\(failure.violations[0].invariant.rawValue)\"}"
    }
    func object(_ pairs: [(String, Int)]) -> String {
      "{" + pairs.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}"
    }
    let faults = FaultKind.allCases.map { ($0.name, outcome.coverage.times($0)) }
    let states = Coverage.State.allCases.map { ("\($0)", outcome.coverage.times($0)) }
    return "{\"seeds\":\(outcome.runs),\"seconds\":\(rounded(seconds)),"
      + "\"virtualMilliseconds\":\(outcome.virtualMilliseconds),\"failures\":["
      + failures.joined(separator: ",") + "],\"faults\":\(object(faults)),\"states\":\(object(states))}\n"
  }
}

extension SimulationResult {
  /// A failure as it is told: what broke, the command that shows it again, the last events before it.
  func story(lines: Int, isEmbedded: Bool) -> String {
    var text = "seed \(options.seed): "
    text += violations.isEmpty ? "nothing is broken" : violations[0].description
    text += "\n  step \(steps), after \(virtualMilliseconds) ms; faults: "
    text += faults.kinds.isEmpty ? "none" : faults.kinds.map(\.name).joined(separator: " ")
    text += "\n  fastchat-sim\(isEmbedded ? " --embedded" : "") \(options.flags)\n"
    for violation in violations.dropFirst() { text += "  also \(violation)\n" }
    for line in trace.suffix(lines) { text += "    \(line)\n" }
    return text
  }
}
