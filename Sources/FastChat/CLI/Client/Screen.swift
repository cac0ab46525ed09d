import CEdit
import Glibc

/// Where lines are typed and shown: a terminal with a line editor, or plain input and output.
final class Screen {
  enum Typed: Equatable {
    case line(String)
    case end
  }

  /// The longest line of an input that is no terminal, in bytes: a frame of the server is shorter.
  private static let lineBytesMax = 1 << 20

  let isInteractive: Bool
  private var partial: [UInt8] = []
  private var isOutputGone = false

  /// - Parameter mayEdit: false: never a line editor.
  init(mayEdit: Bool, prompt: String) {
    isInteractive =
      mayEdit && isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 && edit_open(prompt)
  }

  /// Gives the terminal back.
  func close() {
    guard isInteractive else { return }
    edit_hide()
    edit_close()
  }

  func setPrompt(_ prompt: String) {
    guard isInteractive else { return }
    edit_hide()
    edit_set_prompt(prompt)
    edit_show()
  }

  func resize() { if isInteractive { edit_resize() } }

  /// Lines for the user, above what he types.
  func show(_ lines: [String]) {
    if isInteractive { edit_hide() }
    put(lines.map { Self.visible($0) + "\n" }.joined(), to: STDOUT_FILENO)
    if isInteractive { edit_show() }
  }

  /// A line about the connection: on a terminal among the others, else on standard error.
  func note(_ line: String) {
    if isInteractive {
      show(["* " + line])
    } else {
      put("fastchat: \(Self.visible(line))\n", to: STDERR_FILENO)
    }
  }

  /// A line as it is, for scripts.
  func output(_ line: String) { put(line + "\n", to: STDOUT_FILENO) }

  /// What was typed, or came; to be called where standard input has something.
  func read() -> [Typed] {
    guard !isInteractive else {
      var line: UnsafePointer<CChar>?
      switch edit_read(&line) {
      case EDIT_LINE: return [.line(line.map { String(cString: $0) } ?? "")]
      case EDIT_END: return [.end]
      default: return []
      }
    }
    var room = [UInt8](repeating: 0, count: 65_536)
    let count = Glibc.read(STDIN_FILENO, &room, room.count)
    if count < 0, errno == EINTR || errno == EAGAIN { return [] }
    guard count > 0 else {
      let rest = partial.isEmpty ? [] : [Typed.line(String(decoding: partial, as: UTF8.self))]
      partial = []
      return rest + [.end]
    }
    partial += room[..<count]
    var typed: [Typed] = []
    while let end = partial.firstIndex(of: 0x0A) {
      typed.append(.line(String(decoding: partial[..<end], as: UTF8.self)))
      partial.removeFirst(end + 1)
    }
    if partial.count > Self.lineBytesMax {
      note("a line of more than \(Self.lineBytesMax) bytes is left out")
      partial = []
    }
    return typed
  }

  /// Whether nobody reads our output any more.
  var isGone: Bool { isOutputGone }

  private func put(_ text: String, to descriptor: Int32) {
    var text = text
    text.withUTF8 { bytes in
      var written = 0
      while written < bytes.count {
        let count = write(descriptor, bytes.baseAddress! + written, bytes.count - written)
        if count < 0, errno == EINTR { continue }
        if count < 0, errno == EAGAIN {
          var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
          poll(&entry, 1, -1)
          continue
        }
        guard count > 0 else {
          if descriptor == STDOUT_FILENO { isOutputGone = true }
          return
        }
        written += count
      }
    }
  }

  /// What others wrote must not steer the terminal: control characters become visible.
  private static func visible(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: { isControl($0) }) else { return text }
    var result = ""
    for scalar in text.unicodeScalars {
      if scalar == "\t" || scalar == "\n" {
        result += " "
      } else {
        result.unicodeScalars.append(isControl(scalar) ? "\u{FFFD}" : scalar)
      }
    }
    return result
  }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || (0x202A...0x202E).contains(scalar.value)
      || (0x2066...0x2069).contains(scalar.value)
  }
}
