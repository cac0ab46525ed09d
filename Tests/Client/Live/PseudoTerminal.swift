import Foundation
import Glibc
import Support

/// The program `fastchat client` on a terminal of its own, or with pipes.
final class TerminalProgram {
  private(set) var output = ""
  private let master: Int32
  private var pid: pid_t = 0
  /// Held, so that the terminal outlives the program and its state can be asked for.
  private let slave: Int32

  /// Starts it as the leader of a session whose terminal this is.
  init(_ arguments: [String]) throws {
    var ends: (master: Int32, slave: Int32) = (-1, -1)
    var name = [CChar](repeating: 0, count: 256)
    var size = winsize(ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0)
    guard openpty(&ends.master, &ends.slave, &name, nil, &size) == 0 else {
      throw TestFailure("no pseudo-terminal")
    }
    master = ends.master
    slave = ends.slave
    for end in [master, slave] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let slaveName = name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for descriptor in 0...2 {
      posix_spawn_file_actions_addopen(&actions, Int32(descriptor), slaveName, O_RDWR, 0)
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, 0x80)  // POSIX_SPAWN_SETSID
    var variables = ProcessInfo.processInfo.environment
    variables.merge(["TERM": "xterm", "LANG": "C.UTF-8", "SWIFT_BACKTRACE": "enable=no", "TZ": "UTC"]) { $1 }
    let words = ([ServerProcess.binary, "client"] + arguments).map { strdup($0) } + [nil]
    let values = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for text in words + values { free(text) } }
    let error = posix_spawn(&pid, ServerProcess.binary, &actions, &attributes, words, values)
    guard error == 0 else { throw TestFailure("posix_spawn: \(String(cString: strerror(error)))") }
  }

  deinit {
    if pid > 0 {
      kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
    }
    close(master)
    close(slave)
  }

  func type(_ text: String) {
    let bytes = Array(text.utf8)
    _ = write(master, bytes, bytes.count)
  }

  /// Whether the terminal echoes and gathers lines, as a shell left it.
  var isCooked: Bool {
    var state = termios()
    guard tcgetattr(slave, &state) == 0 else { return false }
    return state.c_lflag & UInt32(ECHO) != 0 && state.c_lflag & UInt32(ICANON) != 0
  }

  /// Reads on until the output, from `start` on, holds the text.
  func expect(_ text: String, from start: String.Index? = nil) throws {
    let deadline = Deadline.usual
    while !output[(start ?? output.startIndex)...].contains(text) {
      guard !deadline.hasPassed else { throw TestFailure("no '\(text)' in: \(output.debugDescription)") }
      readSome()
    }
  }

  private func readSome() {
    var entry = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
    guard poll(&entry, 1, 20) > 0 else { return }
    var room = [UInt8](repeating: 0, count: 65_536)
    let count = read(master, &room, room.count)
    if count > 0 { output += String(decoding: room[..<count], as: UTF8.self) } else { usleep(5_000) }
  }

  /// Waits for its end; its exit code, or 128 and the signal.
  func exitStatus() throws -> Int32 {
    let deadline = Deadline.usual
    var raw: Int32 = 0
    while waitpid(pid, &raw, WNOHANG) != pid {
      guard !deadline.hasPassed else { throw TestFailure("it does not end: \(output.debugDescription)") }
      readSome()
    }
    pid = 0
    return raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + raw & 0x7f
  }
}
