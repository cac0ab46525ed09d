import CCommandLine

extension LoadOptions {
  /// Reads the command and its flags by getopt_long. Nil: help was asked for.
  static func read() throws(LoadError) -> LoadOptions? {
    let words = CommandLine.arguments
    if words.contains("--help") || words.contains("-h") { return nil }
    guard words.count > 1, let command = Command(rawValue: words[1]) else {
      throw .usage("the first word is one of \(Command.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    var options = LoadOptions(command)
    try options.read(behind: words)
    if options.command != .echo, options.command != .idle, options.size < leastBodyBytes {
      throw .usage("--size is at least \(leastBodyBytes) here")
    }
    if options.isRaw, options.threads > 1 { throw .usage("--raw makes load with one thread") }
    if options.isRaw, options.command == .pairs, options.rate > 0 || options.peerURL != nil {
      throw .usage("--raw pairs have one server and a depth")
    }
    if options.command == .pairs, options.rate > 0, options.rate < options.threads {
      throw .usage("--rate is at least one message a second for each thread")
    }
    return options
  }

  /// getopt_long takes the command for the program's name, and the flags behind it.
  private mutating func read(behind words: [String]) throws(LoadError) {
    let names = LoadOptions.flags.map { flag -> UnsafePointer<CChar>? in
      UnsafeRawPointer(flag.name.utf8Start).assumingMemoryBound(to: CChar.self)
    }
    let needsValue = LoadOptions.flags.map { $0.placeholder != nil }
    commandline_begin()
    var next = 1
    while true {
      let word = next < words.count - 1 ? words[next + 1] : ""
      let result = commandline_next(
        CommandLine.argc - 1, CommandLine.unsafeArgv + 1, names, needsValue, Int32(names.count))
      next = Int(result.next)
      switch result.kind {
      case COMMANDLINE_FLAG:
        let flag = LoadOptions.flags[Int(result.flag)]
        guard flag.commands.contains(command) else {
          throw .usage("--\(flag.name) means nothing to \(command.rawValue)")
        }
        guard flag.apply(&self, result.value.map { String(cString: $0) } ?? "") else {
          throw .usage("--\(flag.name): not allowed: \(result.value.map { String(cString: $0) } ?? "")")
        }
      case COMMANDLINE_MISSING_VALUE: throw .usage("\(word) needs a value")
      case COMMANDLINE_UNKNOWN: throw .usage("unknown flag \(word), see --help")
      default:
        guard next < words.count - 1 else { return }
        throw .usage("unexpected \(words[next + 1]), flags begin with --")
      }
    }
  }
}
