import Foundation
public import Glibc
import Synchronization

/// A backend of the event loop, as `--backend` names it.
public enum Backend: String, CaseIterable, Sendable {
  case uring = "io_uring"
  case epoll
}

/// The real program in a process of its own, with a data directory that goes when the object does.
///
/// The binary is the one that `FASTCHAT_BINARY` names, else the debug build of this package. Use it through
/// `withServer`: an object that is not used any more may be released, and the server killed, before its
/// scope ends.
public final class ServerProcess {
  /// How a process ended: the exit code, or 128 and the signal, as a shell says it.
  public typealias Status = Int32

  public private(set) var port: UInt16 = 0
  public private(set) var adminPort: UInt16 = 0
  public private(set) var pid: pid_t = 0
  /// The server's data directory.
  public let data: String
  private let directory: TemporaryDirectory
  private let flags: [String]
  private let launcher: [String]
  private let environment: [String: String]
  /// Nil where it has an embedded store.
  private let place: Backbone.Place?
  private var output: Int32 = -1
  private var status: Status?

  /// Starts the server and waits until it is ready.
  /// - Parameters:
  ///   - flags: beside `--listen`, `--admin` (free ports of the loopback) and `--data`, unless they are given;
  ///     in place of `--data` those of a cluster where the run is one of clusters (`Backbone`).
  ///   - data: a data directory that the caller keeps; a temporary one if nil. One with it has a store.
  ///   - launcher: a command that executes the one that follows it, such as `prlimit --nofile=40`.
  public init(
    _ flags: [String] = [], data: String? = nil, launcher: [String] = [], environment: [String: String] = [:]
  ) throws {
    directory = try TemporaryDirectory()
    self.data = data ?? directory.path + "/data"
    self.flags = flags
    self.launcher = launcher
    self.environment = environment
    place = Backbone.isCluster && data == nil ? try Backbone.Place() : nil
    try start()
  }

  deinit {
    kill()
    if output >= 0 { close(output) }
  }

  public static let binary: String =
    ProcessInfo.processInfo.environment["FASTCHAT_BINARY"]
    ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "../../../.build/debug/fastchat"
    ).standardizedFileURL.path

  // MARK: Life

  /// Starts it again on the same data and, where nobody took them meanwhile, the same ports.
  public func restart() throws {
    kill()
    do { try start() } catch let failure as TestFailure {
      guard failure.description.contains("in use") else { throw failure }
      (port, adminPort) = (0, 0)
      try start()
    }
  }

  /// Ends it as a power cut of the process would, and waits until it is gone.
  public func kill() {
    guard pid > 0 else { return }
    Glibc.kill(pid, SIGKILL)
    _ = reap(.after(.seconds(60)))
  }

  public func signal(_ number: Int32) {
    if pid > 0 { Glibc.kill(pid, number) }
  }

  /// Stops it with SIGSTOP, and returns when it has.
  public func stop() throws {
    signal(SIGSTOP)
    let deadline = Deadline.usual
    while !deadline.hasPassed {
      let state = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
      if state.contains(") T ") { return }
      usleep(1000)
    }
    throw TestFailure("the server did not stop")
  }

  /// Sends SIGTERM and waits for the end.
  public func terminate() throws -> Status {
    signal(SIGTERM)
    return try waitForExit()
  }

  public func waitForExit(_ deadline: Deadline = .after(.seconds(30))) throws -> Status {
    guard let status = reap(deadline) else { throw TestFailure("the server did not exit") }
    return status
  }

  public var isRunning: Bool { reap(.after(.zero)) == nil }

  /// Its standard error, all starts together; of a long one the last 64 KiB.
  public var errors: String {
    guard let file = FileHandle(forReadingAtPath: directory.path + "/stderr") else { return "" }
    let end = (try? file.seekToEnd()) ?? 0
    try? file.seek(toOffset: end - min(end, 65_536))
    return String(decoding: (try? file.readToEnd()) ?? Data(), as: UTF8.self)
  }

  /// What a server that has ended wrote on its standard output behind the ready line.
  public func outputAfterReady() -> String {
    let rest = FileHandle(fileDescriptor: output, closeOnDealloc: false).readDataToEndOfFile()
    return String(decoding: rest, as: UTF8.self)
  }

  private func start() throws {
    var all = flags
    var defaults = [("--listen", "127.0.0.1:\(port)"), ("--admin", "127.0.0.1:\(adminPort)")]
    if let place {
      all += place.flags
    } else if !flags.contains("--kafka") {
      defaults.append(("--data", data))
    }
    for (flag, value) in defaults where !flags.contains(where: { $0 == flag || $0.hasPrefix(flag + "=") }) {
      all += [flag, value]
    }
    if output >= 0 { close(output) }
    status = nil
    (pid, output) = try Self.spawn(
      launcher + [Self.binary, "serve"] + all, environment: environment, errors: directory.path + "/stderr")
    let line = try readyLine()
    guard let ready = line.wholeMatch(of: /ready ws=\S+:(\d+) admin=\S+:(\d+)\n/),
      let ws = UInt16(ready.1), let admin = UInt16(ready.2)
    else {
      kill()
      throw TestFailure("not ready: \(line) \(errors)")
    }
    (port, adminPort) = (ws, admin)
  }

  private func readyLine() throws -> String {
    let deadline = Deadline.after(.seconds(60))
    var line = ""
    while !line.hasSuffix("\n") {
      var entry = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
      var byte: UInt8 = 0
      guard poll(&entry, 1, deadline.milliseconds) > 0, read(output, &byte, 1) == 1 else {
        let ended = reap(.after(.seconds(deadline.hasPassed ? 0 : 5)))
        kill()
        throw TestFailure("no ready line, exit \(ended.map { "\($0)" } ?? "none"): \(errors)")
      }
      line.unicodeScalars.append(Unicode.Scalar(byte))
    }
    return line
  }

  private func reap(_ deadline: Deadline) -> Status? {
    if status != nil || pid == 0 { return status }
    repeat {
      var raw: Int32 = 0
      if waitpid(pid, &raw, WNOHANG) == pid {
        pid = 0
        status = raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + raw & 0x7f
        return status
      }
      if !deadline.hasPassed { usleep(1000) }
    } while !deadline.hasPassed
    return nil
  }

  // MARK: Programs that end by themselves

  /// What a program that ran to its end left.
  public struct Run: Sendable {
    public let status: Status
    public let output: String
    public let errors: String
  }

  /// Runs `fastchat` with these arguments as they are, and waits for its end.
  public static func run(
    _ arguments: [String], environment: [String: String] = [:], seconds: Int = 30
  ) throws -> Run {
    try execute([binary] + arguments, environment: environment, seconds: seconds)
  }

  /// Runs any program, and waits for its end; after 30 s, or as many as are given, it is killed.
  public static func execute(
    _ command: [String], environment: [String: String] = [:], seconds: Int = 30
  ) throws -> Run {
    let directory = try TemporaryDirectory()
    let (pid, output) = try spawn(command, environment: environment, errors: directory.path + "/stderr")
    defer { close(output) }
    let deadline = Deadline.after(.seconds(seconds))
    var text: [UInt8] = []
    var entry = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
    while poll(&entry, 1, deadline.milliseconds) > 0 {
      let bytes = [UInt8](unsafeUninitializedCapacity: 65_536) {
        $1 = max(0, read(output, $0.baseAddress, 65_536))
      }
      if bytes.isEmpty { break }
      text += bytes
    }
    var raw: Int32 = 0
    while waitpid(pid, &raw, WNOHANG) != pid {
      if deadline.hasPassed {
        Glibc.kill(pid, SIGKILL)
        waitpid(pid, &raw, 0)
        break
      }
      usleep(1000)
    }
    return Run(
      status: raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + raw & 0x7f,
      output: String(decoding: text, as: UTF8.self),
      errors: (try? String(contentsOfFile: directory.path + "/stderr", encoding: .utf8)) ?? "")
  }

  // MARK: Spawning

  /// One at a time: the ends of a pipe must not leak into another child, which would keep them open.
  static let spawning = Mutex(())

  /// Starts a program; its standard output can be read from the descriptor, its standard error is appended
  /// to a file.
  public static func spawn(
    _ command: [String], environment: [String: String], errors: String
  ) throws -> (pid_t, Int32) {
    try spawning.withLock { _ in
      var ends: [Int32] = [-1, -1]
      guard pipe(&ends) == 0 else { throw TestFailure("pipe: \(String(cString: strerror(errno)))") }
      for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
      defer { close(ends[1]) }
      var actions = posix_spawn_file_actions_t()
      posix_spawn_file_actions_init(&actions)
      defer { posix_spawn_file_actions_destroy(&actions) }
      posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
      posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
      posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_APPEND, 0o600)
      var attributes = posix_spawnattr_t()
      posix_spawnattr_init(&attributes)
      defer { posix_spawnattr_destroy(&attributes) }
      var signals = sigset_t()
      sigemptyset(&signals)
      posix_spawnattr_setsigmask(&attributes, &signals)
      sigfillset(&signals)
      posix_spawnattr_setsigdefault(&attributes, &signals)
      posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
      var variables = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("FASTCHAT_") }
      // A trap must end the server, not start a debugger in a terminal that nobody looks at.
      variables["SWIFT_BACKTRACE"] = "enable=no"
      variables.merge(environment) { $1 }
      let arguments = command.map { strdup($0) } + [nil]
      let values = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
      defer { for text in arguments + values { free(text) } }
      var pid: pid_t = 0
      let error = posix_spawnp(&pid, command[0], &actions, &attributes, arguments, values)
      guard error == 0 else {
        close(ends[0])
        throw TestFailure("\(command[0]): \(String(cString: strerror(error)))")
      }
      return (pid, ends[0])
    }
  }
}

/// Runs `body` against a server that lives as long as it, and is gone afterwards, also where it throws.
///
/// A server that ends without having been asked to is a failure, whatever the test looked at.
public func withServer<Result>(
  _ flags: [String] = [], backend: Backend? = nil, data: String? = nil, launcher: [String] = [],
  environment: [String: String] = [:], _ body: (ServerProcess) throws -> Result
) throws -> Result {
  let backendFlags = backend.map { ["--backend", $0.rawValue] } ?? []
  let server = try ServerProcess(
    flags + backendFlags, data: data, launcher: launcher, environment: environment)
  do {
    let result = try body(server)
    guard server.pid == 0 || server.isRunning else { throw TestFailure("the server ended by itself") }
    server.kill()
    return result
  } catch {
    let crashed = server.pid != 0 && !server.isRunning
    server.kill()
    let errors = server.errors
    if crashed || !errors.isEmpty {
      throw TestFailure("\(error)\n\(crashed ? "server died. " : "")\(errors)")
    }
    throw error
  }
}
