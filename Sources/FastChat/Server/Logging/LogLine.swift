import Glibc

/// One line of the log: `time=2026-01-31T12:00:00.123Z level=info event="..." name=value ...`.
struct LogLine {
  /// Bytes of a line, with its end; what is over is cut.
  static let bytesMax = 2_048

  let time: timespec
  let level: Log.Level
  let event: String
  let fields: [(name: String, value: String)]

  var text: String {
    var line = "time=\(Timestamp.text(time)) level=\(level.name) event=\(Self.value(event))"
    for (name, value) in fields { line += " \(name)=\(Self.value(value))" }
    if line.utf8.count >= Self.bytesMax {
      line = String(decoding: line.utf8.prefix(Self.bytesMax - 8), as: UTF8.self) + "..."
    }
    return line + "\n"
  }

  /// A value as it stands in a line: in quotes where it would not end at its own end, control characters
  /// escaped, so that no text of a client makes lines of its own.
  private static func value(_ text: String) -> String {
    let isPlain = !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x3D }
    if isPlain { return text }
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x22: quoted += "\\\""
      case 0x5C: quoted += "\\\\"
      case 0x0A: quoted += "\\n"
      case 0..<0x20, 0x7F..<0xA0: quoted += "\\u{\(String(scalar.value, radix: 16))}"
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}

/// Times for people and programs (RFC 3339, UTC, milliseconds).
enum Timestamp {
  static func text(_ time: timespec) -> String {
    var seconds = time.tv_sec
    var parts = tm()
    gmtime_r(&seconds, &parts)
    return "\(digits(Int(parts.tm_year) + 1_900, 4))-\(digits(Int(parts.tm_mon) + 1, 2))-"
      + "\(digits(Int(parts.tm_mday), 2))T\(digits(Int(parts.tm_hour), 2)):\(digits(Int(parts.tm_min), 2)):"
      + "\(digits(Int(parts.tm_sec), 2)).\(digits(time.tv_nsec / 1_000_000, 3))Z"
  }

  private static func digits(_ value: Int, _ count: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, count - text.count)) + text
  }
}
