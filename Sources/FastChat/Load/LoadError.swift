/// Why a run ended early, in one line for people.
struct LoadError: Error, CustomStringConvertible {
  enum Kind: Sendable {
    /// The command line is wrong: exit code 2.
    case usage
    /// The server or the machine failed the run: exit code 1.
    case failure
  }

  let kind: Kind
  let description: String

  static func usage(_ text: String) -> LoadError { LoadError(kind: .usage, description: text) }
  static func failure(_ text: String) -> LoadError { LoadError(kind: .failure, description: text) }
}
