/// What the program was asked to do: its words, its environment and its configuration file, read.
public enum Invocation: Sendable {
  /// Serve; `notes` are lines to log as warnings.
  case serve(Configuration, notes: [String])
  /// Check the machine for what `serve` would be asked; `notes` are findings too.
  case doctor(Configuration, notes: [String], json: Bool)
  /// Have the view in Redis made again from Kafka, or compare the two.
  case rebuild(Configuration, RebuildOrder)
  /// Begin a new generation of the log.
  case newGeneration(Configuration, GenerationOrder)
  /// Print a text on standard output and end with 0.
  case show(String)
  /// Talk to a server from a terminal; the words behind the command.
  case client([String])

  /// Reads a command line.
  ///
  /// - Parameters:
  ///   - arguments: the words behind the program's name.
  ///   - environment: names and values of the environment.
  ///   - descriptors: how many files the process may have open.
  /// - Throws: the one line that says what is wrong and what to do.
  public init(
    arguments: [String], environment: [(name: String, value: String)], descriptors: Int
  ) throws(ConfigurationError) {
    var words = arguments[...]
    var command = "serve"
    if let first = words.first, !first.hasPrefix("-") {
      command = first
      words.removeFirst()
    }
    guard Self.commands.contains(command) else {
      let suggestion = Suggestion.text(for: command, among: Self.commands)
      throw ConfigurationError(
        "unknown command '\(Printable.short(command))'\(suggestion.isEmpty ? "; see --help" : suggestion)")
    }
    if command == "client" {
      self = .client(Array(words))
      return
    }
    let flags = try Flags(Array(words), own: Self.ownFlags[command] ?? [])
    if flags.wantsHelp {
      self = .show(Help.text)
    } else if flags.wantsVersion {
      self = .show("fastchat \(Version.text)\n")
    } else if command == "options" {
      guard flags.given.isEmpty else { throw ConfigurationError("options takes no flags; see --help") }
      self = .show(OptionsPage.text)
    } else if command == "doctor" {
      // Too few descriptors are a finding of its own, with what to do.
      let (configuration, notes) = try Self.configuration(flags, environment, descriptors: .max)
      self = .doctor(configuration, notes: notes, json: flags.has("json"))
    } else if command == "rebuild" {
      let order = try RebuildOrder(flags)
      self = .rebuild(try Self.cluster(command, flags, environment), order)
    } else if command == "new-generation" {
      self = .newGeneration(try Self.cluster(command, flags, environment), GenerationOrder(flags))
    } else {
      let (configuration, notes) = try Self.configuration(flags, environment, descriptors: descriptors)
      self = .serve(configuration, notes: notes)
    }
  }

  private static let commands = ["serve", "client", "doctor", "options", "rebuild", "new-generation"]
  private static let ownFlags: [String: [Flags.Own]] = [
    "doctor": [Flags.Own(name: "json")], "rebuild": RebuildOrder.flags,
    "new-generation": GenerationOrder.flags,
  ]
  private static let configOption = "config"

  /// What a command of an operator works on.
  private static func cluster(
    _ command: String, _ flags: Flags, _ environment: [(name: String, value: String)]
  ) throws(ConfigurationError) -> Configuration {
    let (configuration, _) = try configuration(flags, environment, descriptors: .max)
    guard configuration.cluster != nil else {
      throw ConfigurationError("\(command) needs --kafka and --redis, as serve got them")
    }
    return configuration
  }

  private static func configuration(
    _ flags: Flags, _ environment: [(name: String, value: String)], descriptors: Int
  ) throws(ConfigurationError) -> (Configuration, notes: [String]) {
    let variables = Variables(environment)
    var configuration = Configuration()
    var given: Set<String> = []
    let flagged = flags.given.last { $0.option.name == configOption }?.text
    if let path = flagged ?? variables.given.first(where: { $0.option.name == configOption })?.text {
      try apply(ConfigurationFile(path: path), path, to: &configuration, noting: &given)
    }
    for (option, text) in variables.given where option.name != configOption {
      given.insert(option.name)
      try option.apply(text, from: .variable, to: &configuration)
    }
    for (option, text) in flags.given where option.name != configOption {
      given.insert(option.name)
      try option.apply(text ?? "true", from: .flag, to: &configuration)
    }
    try configuration.settleCluster(given: given, hostName: Surroundings.hostName())
    try configuration.check(descriptors: descriptors)
    return (configuration, variables.notes)
  }

  private static func apply(
    _ file: ConfigurationFile, _ path: String, to configuration: inout Configuration,
    noting given: inout Set<String>
  ) throws(ConfigurationError) {
    // A list may go on in further lines; anything else that comes twice is a mistake.
    var texts: [String: (line: Int, text: String)] = [:]
    for line in file.lines {
      let at = "\(path):\(line.number):"
      guard let option = Options.named(line.name) else {
        let suggestion = Suggestion.text(for: line.name, among: Options.all.map(\.name))
        throw ConfigurationError("\(at) unknown name '\(Printable.short(line.name))'\(suggestion)")
      }
      guard option.name != configOption else {
        throw ConfigurationError("\(at) a configuration file names no other")
      }
      var text = line.text
      given.insert(option.name)
      if let earlier = texts[option.name], !option.isRepeatable {
        guard option.isList else {
          throw ConfigurationError("\(at) \(option.name) was given in line \(earlier.line) already")
        }
        text = earlier.text + "," + text
      }
      texts[option.name] = (line.number, text)
      try option.apply(text, from: .file(path: path, line: line.number), to: &configuration)
    }
  }
}

/// The `FASTCHAT_...` variables of an environment. An empty one counts as not set.
private struct Variables {
  private(set) var given: [(option: Option, text: String)] = []
  /// Names that are no option's. Not an error: other programs of a machine may use the prefix too.
  private(set) var notes: [String] = []

  init(_ environment: [(name: String, value: String)]) {
    for (name, value) in environment where name.hasPrefix("FASTCHAT_") && !value.isEmpty {
      if let option = Options.all.first(where: { $0.variable == name }) {
        given.append((option, value))
      } else {
        let suggestion = Suggestion.text(for: name, among: Options.all.map(\.variable))
        notes.append("the variable \(Printable.short(name)) is no option\(suggestion)")
      }
    }
  }
}
