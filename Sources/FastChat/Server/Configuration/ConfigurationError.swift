/// What is wrong with the flags, the variables or the configuration file, in one line that says where it
/// stands and what to do. The program writes it on standard error and exits with 2.
public struct ConfigurationError: Error, Equatable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}

/// Where an option was given, as the user knows it.
enum OptionSource {
  case flag
  case variable
  case file(path: String, line: Int)

  func name(of option: Option) -> String {
    switch self {
    case .flag: "--\(option.name)"
    case .variable: option.variable
    case .file(let path, let line): "\(path):\(line): \(option.name)"
    }
  }
}

extension Option {
  /// Sets the option's field from what was given at `source`, or throws the line to print.
  func apply(
    _ text: String, from source: OptionSource, to configuration: inout Configuration
  ) throws(ConfigurationError) {
    do {
      try apply(text, to: &configuration)
    } catch {
      let name = source.name(of: self)
      switch error {
      case .notAllowed: throw ConfigurationError("\(name): '\(Printable.short(text))' is not \(rangeText)")
      case .because(let reason): throw ConfigurationError("\(name): \(reason)")
      case .unbuilt(let choice, let meanwhile):
        throw ConfigurationError("\(name)\(choice) is not built yet; \(meanwhile)")
      }
    }
  }
}

/// Texts of others, fit for a line on a terminal.
enum Printable {
  /// The text without control characters and without what looks like a password, cut after 80 characters.
  static func short(_ text: some StringProtocol) -> String {
    let visible = withoutPasswords(text).map { character in
      character.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F } ? character : "?"
    }
    return String(visible.prefix(80)) + (visible.count > 80 ? "..." : "")
  }

  /// `user:password@host` as `***@host`: an address may stand where none belongs.
  private static func withoutPasswords(_ text: some StringProtocol) -> String {
    var shown = ""
    for character in text {
      shown.append(character)
      guard character == "@" else { continue }
      let before = shown.dropLast()
      let start = before.lastIndex { $0 == "/" || $0 == "," || $0.isWhitespace }.map(before.index(after:))
      let user = before[(start ?? before.startIndex)...]
      if user.contains(where: { $0 == ":" || $0 == "@" }) {
        shown.replaceSubrange(user.startIndex..., with: "***@")
      }
    }
    return shown
  }
}

/// The known name nearest to a mistyped one.
enum Suggestion {
  /// ", did you mean X?", or nothing where no name is near.
  static func text(for word: some StringProtocol, among names: [String], prefix: String = "") -> String {
    let typed = Array(word.utf8.prefix(64))
    let near = names.map { (name: $0, distance: distance(typed, Array($0.utf8))) }
      .min { $0.distance < $1.distance }
    guard let near, near.distance <= max(1, min(typed.count, near.name.utf8.count) / 3) else { return "" }
    return ", did you mean \(prefix)\(near.name)?"
  }

  /// Edits between two words: one letter changed, added, left out, or two neighbours swapped.
  private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var before = [Int](repeating: 0, count: b.count + 1)
    var row = Array(0...b.count)
    for i in 0..<a.count {
      var next = [i + 1]
      next.reserveCapacity(b.count + 1)
      for j in 0..<b.count {
        var best = min(row[j] + (a[i] == b[j] ? 0 : 1), row[j + 1] + 1, next[j] + 1)
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, before[j - 1] + 1) }
        next.append(best)
      }
      before = row
      row = next
    }
    return row[b.count]
  }
}
