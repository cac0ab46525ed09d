import Glibc

/// A real `redis-server` on a free port of the loopback, without persistence, gone with this object and with
/// the thread that made it.
///
/// Use it through `withRedisServer`: an object that is not used any more may be released before its scope
/// ends.
public final class RedisServerProcess {
  public private(set) var port: UInt16 = 0
  private let directory: TemporaryDirectory
  private var pid: pid_t = 0

  public init() throws {
    directory = try TemporaryDirectory()
    // Another program may take the port between our looking and its binding.
    for _ in 0..<5 {
      port = try Self.freePort()
      let output: Int32
      (pid, output) = try ServerProcess.spawn(
        [
          "setpriv", "--pdeathsig", "KILL", "redis-server", "--port", "\(port)", "--bind", "127.0.0.1",
          "--save", "", "--appendonly", "no", "--dir", directory.path, "--maxmemory-policy", "noeviction",
          "--logfile", directory.path + "/log",
        ], environment: [:], errors: directory.path + "/stderr")
      close(output)
      if waitUntilItListens() { return }
      stop()
    }
    throw TestFailure("redis-server does not start (scripts/packages test installs it)")
  }

  deinit { stop() }

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

  private func stop() {
    guard pid > 0 else { return }
    kill(pid, SIGKILL)
    waitpid(pid, nil, 0)
    pid = 0
  }

  /// A port that nobody listened on a moment ago.
  private static func freePort() throws -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
      }
    }
    guard isBound else { throw TestFailure("no free port") }
    return UInt16(bigEndian: address.sin_port)
  }
}

/// Runs `body` beside a Redis server that lives as long as it.
public func withRedisServer<Result>(_ body: (RedisServerProcess) throws -> Result) throws -> Result {
  let server = try RedisServerProcess()
  return try withExtendedLifetime(server) { try body(server) }
}
