import Chaos
import Support

/// The words of `fastchat-chaos`.
struct ChaosOptions {
  var run = RunOptions()
  var base = ".build/chaos"
  /// Leave data and logs of a clean run too.
  var isKept = false
  private var words: [String] = []

  static var help: String {
    """
    Usage: fastchat-chaos [flags]
      --seconds N        how long faults go on (60)
      --seed N           what is drawn; a random one unless given
      --faults LIST      which faults, with commas: \(FaultKind.allCases.map(\.rawValue).joined(separator: ","))
      --embedded         one server on its own store, without Kafka and Redis
      --instances N      servers of the cluster (3)
      --brokers N        Kafka brokers (1); from 3 on a leader may die alone
      --partitions N     of the log (4)
      --users N          who stay in their rooms (9); a third as many come and go
      --overlap N        of a hundred faults, those that meet another one (20)
      --program FILE     the server (FASTCHAT_BINARY, else the debug build)
      --directory DIR    for data and logs (.build/chaos)
      --keep             leave them after a clean run too

    """
  }

  /// Nil where help was asked for.
  init?(_ arguments: [String]) throws {
    words = arguments
    run.seed = UInt64.random(in: 1...999_999)
    var rest = arguments[...]
    func number(_ name: String, _ text: String, _ range: ClosedRange<Int>) throws -> Int {
      guard let value = Int(text), range.contains(value) else {
        throw TestFailure("--\(name): '\(text)' is not \(range.lowerBound) to \(range.upperBound)")
      }
      return value
    }
    while let word = rest.popFirst() {
      if word == "--help" { return nil }
      if word == "--keep" {
        isKept = true
        continue
      }
      if word == "--embedded" {
        run.size.isEmbedded = true
        run.size.instances = 1
        continue
      }
      guard let value = rest.popFirst() else {
        throw TestFailure("\(word) is unknown or needs a value; see --help")
      }
      switch word {
      case "--seconds": run.seconds = try number("seconds", value, 1...86_400)
      case "--seed":
        guard let seed = UInt64(value) else { throw TestFailure("--seed: '\(value)' is no number") }
        run.seed = seed
      case "--faults":
        run.faults = try value.split(separator: ",").map { name in
          guard let kind = FaultKind(rawValue: String(name)) else {
            throw TestFailure("--faults: there is no '\(name)'; see --help")
          }
          return kind
        }
      case "--instances": run.size.instances = try number("instances", value, 1...9)
      case "--brokers": run.size.brokers = try number("brokers", value, 1...5)
      case "--partitions": run.size.partitions = try number("partitions", value, 1...64)
      case "--users": run.users = try number("users", value, 3...200)
      case "--overlap": run.overlapPercent = try number("overlap", value, 0...100)
      case "--program": run.program = value
      case "--directory": base = value
      default: throw TestFailure("\(word) is unknown; see --help")
      }
    }
    guard FaultKind.allCases.contains(where: { run.faults.contains($0) && run.isPossible($0) }) else {
      throw TestFailure("none of these faults can be done to this system")
    }
  }

  /// The command that draws the same faults again.
  var replay: String {
    var kept: [String] = []
    var rest = words[...]
    while let word = rest.popFirst() {
      if word == "--seed" || word == "--seconds" { _ = rest.popFirst() } else { kept.append(word) }
    }
    let arguments = kept.isEmpty ? "" : " ARGS=\"\(kept.joined(separator: " "))\""
    return "make chaos SECONDS=\(run.seconds) SEED=\(run.seed)\(arguments)"
  }
}
