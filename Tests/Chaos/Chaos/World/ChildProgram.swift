import Foundation
import Glibc
import Support

/// A program in a process of its own that dies with this thread, however that ends. Its output goes to a file.
final class ChildProgram {
  private(set) var pid: pid_t = 0
  let log: String

  init(log: String) { self.log = log }

  var isRunning: Bool {
    guard pid > 0 else { return false }
    var status: Int32 = 0
    guard waitpid(pid, &status, WNOHANG) == pid else { return true }
    lastStatus = status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
    pid = 0
    return false
  }

  /// How it ended last: the exit code, or 128 and the signal.
  private(set) var lastStatus: Int32?

  func start(_ command: [String], environment: [String: String] = [:]) throws {
    guard !isRunning else { return }
    lastStatus = nil
    // The kernel ends it with the thread that started it: the main one.
    let (pid, output) = try ServerProcess.spawn(
      ["setpriv", "--pdeathsig", "KILL", "sh", "-c", "exec \"$@\" >> \"$0\" 2>&1", log] + command,
      environment: environment, errors: log)
    close(output)
    self.pid = pid
  }

  func signal(_ number: Int32) {
    guard isRunning else { return }
    kill(pid, number)
  }

  /// Ends it as a power cut of its process would, and waits until it is gone.
  func end() {
    guard isRunning else { return }
    kill(pid, SIGKILL)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    lastStatus = 128 + SIGKILL
    pid = 0
  }

  /// Waits until it has ended by itself; kills it at the deadline and says false.
  func waitForEnd(_ deadline: Deadline) -> Bool {
    while isRunning {
      guard !deadline.hasPassed else {
        end()
        return false
      }
      usleep(5_000)
    }
    return true
  }
}
