/// What one check of `fastchat doctor` says: how it stands, what was found, and what to do.
struct Finding: Sendable, Equatable {
  enum Level: String, Sendable, CaseIterable {
    case fine
    /// The server would run, and something here costs it speed, room or safety.
    case change
    /// The server would not start, or would take no message.
    case broken
  }

  /// The check's name, for scripts: it stays the same from release to release.
  let check: String
  let level: Level
  /// What was found, in one line.
  let found: String
  /// Each a command to run or a line to write, whole; alternatives begin with "or ". Beside `fine`: advice.
  let how: [String]

  static func fine(_ check: String, _ found: String, advice: [String] = []) -> Finding {
    Finding(check: check, level: .fine, found: found, how: advice)
  }

  static func change(_ check: String, _ found: String, _ how: String...) -> Finding {
    Finding(check: check, level: .change, found: found, how: how)
  }

  static func broken(_ check: String, _ found: String, _ how: String...) -> Finding {
    Finding(check: check, level: .broken, found: found, how: how)
  }
}

/// Figures for people.
enum Amount {
  /// `1.4GiB`, `512MiB`, `900B`: at most one digit behind the point, cut and not rounded.
  static func bytes(_ count: Int) -> String {
    for (name, factor) in Quantity.bytes.units.reversed() where count >= factor && factor > 1 {
      let (whole, tenth) = (count / factor, count % factor * 10 / factor)
      return tenth == 0 || whole >= 100 ? "\(whole)\(name)" : "\(whole).\(tenth)\(name)"
    }
    return "\(count)B"
  }

  /// `0.45ms`, `12ms`.
  static func milliseconds(nanoseconds: UInt64) -> String {
    let hundredths = nanoseconds / 10_000
    guard hundredths < 1_000 else { return "\(hundredths / 100)ms" }
    let fraction = hundredths % 100
    return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)ms"
  }
}

/// Texts of others, fit to be pasted into a shell.
enum Shell {
  /// The text as one word, quoted where it has to be; control characters are replaced.
  static func word(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
      default: Array("/._-+:,@=".utf8).contains(byte)
      }
    }
    if isPlain, !text.isEmpty { return text }
    var quoted = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "'": quoted += "'\\''"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F: quoted += "?"
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return "'\(quoted)'"
  }
}
