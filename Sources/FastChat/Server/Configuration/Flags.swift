import CCommandLine
import Glibc
import Synchronization

/// What the words behind the program's name and its command say.
struct Flags: Sendable {
  /// The options given, in order, with their texts (nil for a toggle without one).
  private(set) var given: [(option: Option, text: String?)] = []
  private(set) var wantsHelp = false
  private(set) var wantsVersion = false
  /// Flags of the command itself that were given, in order, with their values.
  private(set) var own: [(name: String, text: String)] = []

  /// A flag of one command, which is no option of the server's.
  struct Own: Sendable {
    let name: String
    /// What stands for its value in an error; nil for a flag without one.
    var placeholder: String?
  }

  /// Reads flags with glibc's getopt_long. No abbreviations: one that is clear today may begin two
  /// flags in the next release.
  ///
  /// - Parameter own: what the command takes beside the options.
  init(_ words: [String], own: [Own] = []) throws(ConfigurationError) {
    self = try Self.getopt.withLock { _ throws(ConfigurationError) in
      try Flags(holdingGetopt: words, own)
    }
  }

  /// Whether a flag of the command was given.
  func has(_ name: String) -> Bool { own.contains { $0.name == name } }

  /// getopt_long keeps its place in variables of the process.
  private static let getopt = Mutex(())

  private init(holdingGetopt words: [String], _ takes: [Own]) throws(ConfigurationError) {
    let names = Options.all.map(\.name) + ["help", "version"] + takes.map(\.name)
    let needsValue = names.map { name in
      Options.named(name).map { !$0.isToggle } ?? takes.contains { $0.name == name && $0.placeholder != nil }
    }
    let arguments = CStrings(["fastchat"] + words)
    let flags = CStrings(names)

    commandline_begin()
    var next = 1
    while true {
      let word = next <= words.count ? words[next - 1] : ""
      let result = commandline_next(
        Int32(words.count + 1), arguments.pointers, flags.constantPointers, needsValue, Int32(names.count))
      next = Int(result.next)
      switch result.kind {
      case COMMANDLINE_FLAG:
        let index = Int(result.flag)
        guard word == "--" + names[index] || word.hasPrefix("--" + names[index] + "=") else {
          throw Self.unknown(word, among: names)
        }
        let text = result.value.map { String(cString: $0) }
        if index < Options.all.count {
          given.append((Options.all[index], text))
        } else {
          wantsHelp = wantsHelp || names[index] == "help"
          wantsVersion = wantsVersion || names[index] == "version"
          if takes.contains(where: { $0.name == names[index] }) { own.append((names[index], text ?? "")) }
        }
      case COMMANDLINE_MISSING_VALUE:
        if let flag = takes.first(where: { "--" + $0.name == word }), let placeholder = flag.placeholder {
          throw ConfigurationError("\(word) needs a value: \(word) \(placeholder)")
        }
        guard let option = Options.named(word.dropFirst(2)) else { throw Self.unknown(word, among: names) }
        guard option.isBuilt else {
          given.append((option, nil))
          continue
        }
        throw ConfigurationError("--\(option.name) needs a value: --\(option.name) \(option.placeholder)")
      case COMMANDLINE_UNKNOWN where word == "-h": wantsHelp = true
      case COMMANDLINE_UNKNOWN: throw Self.unknown(word, among: names)
      default:
        guard next <= words.count else { return }
        throw ConfigurationError(
          "unexpected argument '\(Printable.short(words[next - 1]))'; flags begin with --, see --help")
      }
    }
  }

  private static func unknown(_ word: String, among names: [String]) -> ConfigurationError {
    let name = word.drop { $0 == "-" }.prefix { $0 != "=" }
    let suggestion = Suggestion.text(for: name, among: names, prefix: "--")
    return ConfigurationError(
      "unknown flag \(Printable.short(word.prefix { $0 != "=" }))\(suggestion.isEmpty ? "; see --help" : suggestion)"
    )
  }
}

/// Strings as C wants them: pointers that stay where they are, ended by a null one.
private final class CStrings {
  let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  private let count: Int

  init(_ strings: [String]) {
    count = strings.count
    pointers = .allocate(capacity: count + 1)
    for (i, string) in strings.enumerated() { (pointers + i).initialize(to: strdup(string)) }
    (pointers + count).initialize(to: nil)
  }

  deinit {
    for i in 0..<count { free(pointers[i]) }
    pointers.deallocate()
  }

  /// The same, for a callee that promises not to write.
  var constantPointers: UnsafePointer<UnsafePointer<CChar>?> {
    UnsafeRawPointer(pointers).assumingMemoryBound(to: UnsafePointer<CChar>?.self)
  }
}
