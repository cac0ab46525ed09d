import JSON

/// All findings of a run, as text, as JSON lines and as an exit code.
struct DoctorReport: Sendable {
  /// The exit codes; 2 is left to wrong flags, as everywhere in the program.
  enum ExitCode {
    static let fine: Int32 = 0
    static let change: Int32 = 1
    static let broken: Int32 = 3
  }

  /// Columns of the level and of the check's name.
  private static let levelColumns = 8
  private static let checkColumns = 16

  let findings: [Finding]

  func count(_ level: Finding.Level) -> Int { findings.count { $0.level == level } }

  var exitCode: Int32 {
    if count(.broken) > 0 { return ExitCode.broken }
    return count(.change) > 0 ? ExitCode.change : ExitCode.fine
  }

  /// One line a finding, under it what to do, and a sum at the end.
  var text: String {
    var text = ""
    for finding in findings {
      text += Self.padded(finding.level.rawValue, Self.levelColumns)
      text += Self.padded(finding.check, Self.checkColumns) + finding.found + "\n"
      for how in finding.how {
        text += Self.padded("", Self.levelColumns + Self.checkColumns) + "-> \(how)\n"
      }
    }
    text += "\n\(count(.fine)) fine, \(count(.change)) to change, \(count(.broken)) broken"
    text += count(.broken) > 0 ? ": serve would not start or not work with these flags\n" : "\n"
    if findings.contains(where: { $0.how.contains { $0.contains("sysctl -w") } }) {
      text += "sysctl -w lasts until the next boot; the same in /etc/sysctl.d/60-fastchat.conf stays.\n"
    }
    return text
  }

  /// One object a finding: `{"check":"kernel","level":"fine","found":"...","how":["..."]}`.
  var jsonLines: String {
    var buffer = ByteBuffer()
    func append(quoting text: String, to buffer: inout ByteBuffer) {
      buffer.append("\"")
      var text = text
      text.withUTF8 { buffer.append(jsonEscaping: UnsafeRawBufferPointer($0)) }
      buffer.append("\"")
    }
    for finding in findings {
      buffer.append("{\"check\":")
      append(quoting: finding.check, to: &buffer)
      buffer.append(",\"level\":")
      append(quoting: finding.level.rawValue, to: &buffer)
      buffer.append(",\"found\":")
      append(quoting: finding.found, to: &buffer)
      buffer.append(",\"how\":[")
      for (i, how) in finding.how.enumerated() {
        if i > 0 { buffer.append(",") }
        append(quoting: how, to: &buffer)
      }
      buffer.append("]}\n")
    }
    return String(decoding: buffer.bytes, as: UTF8.self)
  }

  private static func padded(_ text: String, _ columns: Int) -> String {
    text + String(repeating: " ", count: max(columns - text.count, text.isEmpty ? columns : 1))
  }
}
