import Glibc

/// A real `redis-server` on a free port of the loopback, without persistence, gone with this object and with
/// the thread that made it.
///
/// Use it through `withRedisServer`: an object that is not used any more may be released before its scope
/// ends.
public final class RedisServerProcess {
  public enum Role: Sendable {
    case server
    /// A node of a Redis Cluster that has no slots yet.
    case clusterNode
    /// A sentinel that watches this primary under the name `main`.
    case sentinel(of: UInt16)
  }

  public private(set) var port: UInt16 = 0
  private let role: Role
  private let flags: [String]
  let password: String?
  private let directory: TemporaryDirectory
  private var pid: pid_t = 0

  /// - Parameters:
  ///   - flags: of `redis-server`, beside those that it always gets.
  ///   - password: of everybody who comes; nobody needs one if nil.
  public init(_ role: Role = .server, _ flags: [String] = [], password: String? = nil) throws {
    self.role = role
    self.flags = flags
    self.password = password
    directory = try TemporaryDirectory()
    // Another program may take the port between our looking and its binding.
    for _ in 0..<5 {
      port = try FreePort.find()
      if try launch() { return }
    }
    throw TestFailure("redis-server does not start (scripts/packages test installs it)")
  }

  deinit { kill() }

  // MARK: Life

  /// Starts it again on the same port, without its data; what was said at its start holds again. A node of a
  /// cluster knows the others still.
  public func restart() throws {
    kill()
    guard try launch() else { throw TestFailure("redis-server does not start again") }
  }

  /// Ends it as a power cut of the process would.
  public func kill() {
    guard pid > 0 else { return }
    Glibc.kill(pid, SIGKILL)
    waitpid(pid, nil, 0)
    pid = 0
  }

  /// It stands still, and its connections with it.
  public func freeze() { if pid > 0 { Glibc.kill(pid, SIGSTOP) } }
  public func thaw() { if pid > 0 { Glibc.kill(pid, SIGCONT) } }

  /// `host:port`.
  public var address: String { "127.0.0.1:\(port)" }

  /// Asks it by `redis-cli`, and gives what that prints, without the end of the line.
  @discardableResult
  public func ask(_ words: String...) throws -> String {
    let run = try ServerProcess.execute(
      ["redis-cli", "-p", "\(port)"] + (password.map { ["--no-auth-warning", "-a", $0] } ?? []) + words)
    guard run.status == 0 else { throw TestFailure("redis-cli: \(run.output) \(run.errors)") }
    return String(run.output.drop { $0.isNewline }.reversed().drop { $0.isNewline }.reversed())
  }

  /// Asks until the answer holds, or throws.
  public func wait(_ words: String..., until holds: (String) -> Bool) throws {
    let deadline = Deadline.usual
    var last = ""
    while !deadline.hasPassed {
      let run = try ServerProcess.execute(
        ["redis-cli", "-p", "\(port)"] + (password.map { ["--no-auth-warning", "-a", $0] } ?? []) + words)
      last = run.output
      if holds(last) { return }
      usleep(20_000)
    }
    throw TestFailure("\(words) still says \(last)")
  }

  private func launch() throws -> Bool {
    var command = ["setpriv", "--pdeathsig", "KILL", "redis-server"]
    let settings = [
      "--port", "\(port)", "--bind", "127.0.0.1", "--dir", directory.path, "--logfile",
      directory.path + "/log",
    ]
    switch role {
    case .sentinel(let primary):
      // It writes what it learns into its configuration.
      let path = directory.path + "/sentinel.conf"
      guard let file = fopen(path, "w") else { throw TestFailure("no file for a sentinel") }
      fputs(
        """
        sentinel monitor main 127.0.0.1 \(primary) 1
        sentinel down-after-milliseconds main 500
        sentinel failover-timeout main 3000

        """, file)
      fclose(file)
      command += [path, "--sentinel"] + settings
    case .server, .clusterNode:
      command += settings + ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]
      // Redis waits 5 s for more replicas before it gives one its data.
      command += ["--repl-diskless-sync-delay", "0"]
    }
    if case .clusterNode = role {
      // The port above by 10,000, which is usual, may not be there.
      command += ["--cluster-enabled", "yes", "--cluster-port", "\(try FreePort.find())"]
      command += ["--cluster-node-timeout", "1000", "--cluster-config-file", directory.path + "/nodes"]
    }
    if let password { command += ["--requirepass", password, "--masterauth", password] }
    let output: Int32
    (pid, output) = try ServerProcess.spawn(
      command + flags, environment: [:], errors: directory.path + "/stderr")
    close(output)
    if waitUntilItListens() { return true }
    kill()
    return false
  }

  private func waitUntilItListens() -> Bool {
    let deadline = Deadline.usual
    while !deadline.hasPassed {
      var status: Int32 = 0
      if waitpid(pid, &status, WNOHANG) == pid {
        pid = 0
        return false
      }
      if (try? TestSocket(port: port)) != nil { return true }
      usleep(2000)
    }
    return false
  }
}

/// Runs `body` beside a Redis server that lives as long as it.
public func withRedisServer<Result>(_ body: (RedisServerProcess) throws -> Result) throws -> Result {
  try withRedisServers([try RedisServerProcess()]) { try body($0[0]) }
}

/// Runs `body` beside Redis servers that live as long as it.
public func withRedisServers<Result>(
  _ servers: [RedisServerProcess], _ body: ([RedisServerProcess]) throws -> Result
) throws -> Result {
  try withExtendedLifetime(servers) { try body(servers) }
}
