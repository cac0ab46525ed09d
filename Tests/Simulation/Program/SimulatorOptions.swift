import CCommandLine
import Simulation

/// What the program is to run.
struct SimulatorOptions: Sendable {
  var first: UInt64 = 1
  var isFirstGiven = false
  var seeds: UInt64 = 1_000
  var areSeedsGiven = false
  var threads = 2
  var run = SimulationOptions(seed: 1)
  var isEmbedded = false
  var shrinks = false
  var tellsAll = false
  var stopsAtFailure = false
  var isJSON = false

  /// One flag: what it is called, what stands for its value in the help (nil for a toggle), what it means.
  struct Flag: Sendable {
    let name: StaticString
    let placeholder: String?
    let meaning: String
    let apply: @Sendable (inout SimulatorOptions, String) -> Bool

    init(
      _ name: StaticString, _ placeholder: String?, _ meaning: String,
      _ apply: @escaping @Sendable (inout SimulatorOptions, String) -> Bool
    ) {
      self.name = name
      self.placeholder = placeholder
      self.meaning = meaning
      self.apply = apply
    }
  }

  static let flags: [Flag] = [
    Flag("seeds", "N", "how many seeds to run; 1 where --seed is given alone") {
      guard let count = UInt64($1), count > 0 else { return false }
      $0.seeds = count
      $0.areSeedsGiven = true
      return true
    },
    Flag("seed", "FIRST", "the first of them") {
      guard let first = UInt64($1) else { return false }
      $0.first = first
      $0.isFirstGiven = true
      return true
    },
    Flag("faults", "LIST", "exactly these faults, or none; without it each seed draws its own") {
      guard let set = faultSet($1) else { return false }
      $0.run.faults = set
      return true
    },
    Flag("without", "LIST", "all that was drawn but these") {
      guard let set = faultSet($1) else { return false }
      $0.run.without = set
      return true
    },
    Flag("operations", "N", "at most so many frames of clients") { set(&$0.run.operationsMax, $1) },
    Flag("activity", "MS", "at most so many virtual milliseconds of them") {
      guard let value = Int64($1), value > 0 else { return false }
      $0.run.activityMax = value
      return true
    },
    Flag("instances", "N", "at most so many servers") { set(&$0.run.instancesMax, $1) },
    Flag("embedded", nil, "the embedded backbone in place of a cluster") { options, _ in
      options.isEmbedded = true
      return true
    },
    Flag("threads", "N", "threads that run seeds") {
      guard let value = Int($1), (1...64).contains(value) else { return false }
      $0.threads = value
      return true
    },
    Flag("shrink", nil, "make the first failure smaller") { options, _ in
      options.shrinks = true
      return true
    },
    Flag("trace", nil, "tell the whole story of each failure, or of the one seed") { options, _ in
      options.tellsAll = true
      return true
    },
    Flag("until-failure", nil, "stop at the first failure") { options, _ in
      options.stopsAtFailure = true
      return true
    },
    Flag("json", nil, "one JSON object in place of the lines for people") { options, _ in
      options.isJSON = true
      return true
    },
  ]

  private static func set(_ field: inout Int?, _ text: String) -> Bool {
    guard let value = Int(text), value > 0 else { return false }
    field = value
    return true
  }

  /// Names with commas between them; `none` and `all` are two more.
  static func faultSet(_ text: String) -> FaultSet? {
    if text == "none" { return FaultSet() }
    if text == "all" { return .all }
    var set = FaultSet()
    for name in text.split(separator: ",") {
      guard let kind = FaultKind(name: String(name)) else { return nil }
      set.insert(kind)
    }
    return set
  }

  static let help: String = {
    var text = "usage: fastchat-sim [flags]\n\n"
    for flag in flags {
      let name = "--\(flag.name)" + (flag.placeholder.map { " \($0)" } ?? "")
      text += "  \(name)" + String(repeating: " ", count: max(1, 20 - name.utf8.count)) + flag.meaning + "\n"
    }
    text += "\nfaults: " + FaultKind.allCases.map(\.name).joined(separator: " ") + "\n"
    return text
  }()

  /// Reads the flags by getopt_long. Nil: help was asked for.
  static func read() throws(UsageError) -> SimulatorOptions? {
    let words = CommandLine.arguments
    if words.contains("--help") || words.contains("-h") { return nil }
    var options = SimulatorOptions()
    let names = flags.map { flag -> UnsafePointer<CChar>? in
      UnsafeRawPointer(flag.name.utf8Start).assumingMemoryBound(to: CChar.self)
    }
    let needsValue = flags.map { $0.placeholder != nil }
    commandline_begin()
    var next = 1
    while true {
      let word = next < words.count ? words[next] : ""
      let result = commandline_next(
        CommandLine.argc, CommandLine.unsafeArgv, names, needsValue, Int32(names.count))
      next = Int(result.next)
      switch result.kind {
      case COMMANDLINE_FLAG:
        let flag = flags[Int(result.flag)]
        let value = result.value.map { String(cString: $0) } ?? ""
        guard flag.apply(&options, value) else {
          throw UsageError(description: "--\(flag.name): not allowed: \(value)")
        }
      case COMMANDLINE_MISSING_VALUE: throw UsageError(description: "\(word) needs a value")
      case COMMANDLINE_UNKNOWN: throw UsageError(description: "unknown flag \(word), see --help")
      default:
        guard next >= words.count else {
          throw UsageError(description: "unexpected \(words[next]), flags begin with --")
        }
        if options.isFirstGiven, !options.areSeedsGiven { options.seeds = 1 }
        return options
      }
    }
  }
}

/// The command line is wrong: exit code 2.
struct UsageError: Error {
  let description: String
}
