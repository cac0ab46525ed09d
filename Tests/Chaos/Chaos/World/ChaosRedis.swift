import Foundation
import Glibc
import Support

/// A real `redis-server` that keeps what it is told in files, so that it can come back with it, without it,
/// or with what it had some time ago.
final class ChaosRedis {
  let port: UInt16
  private let directory: String
  private let program: ChildProgram

  init(directory: String) throws {
    self.directory = directory + "/redis"
    port = try FreePort.find()
    program = ChildProgram(log: directory + "/redis.log")
    try FileManager.default.createDirectory(atPath: self.directory, withIntermediateDirectories: true)
    try start()
  }

  var isRunning: Bool { program.isRunning }
  func kill() { program.end() }

  /// Starts it with what it wrote before it died: up to a second of it may be missing (`everysec`).
  func start() throws { try launch(appending: true) }

  /// Starts it with nothing.
  func startEmpty() throws {
    removeFiles()
    try launch(appending: true)
  }

  /// Keeps what it holds now for `startFromSnapshot`; the one before stays where another fault has killed it.
  func takeSnapshot() throws {
    guard isRunning else { return }
    _ = try ask("SAVE")
    try? FileManager.default.removeItem(atPath: snapshot)
    try FileManager.default.copyItem(atPath: directory + "/dump.rdb", toPath: snapshot)
  }

  /// Starts it with what it held when the last snapshot was taken.
  func startFromSnapshot() throws {
    guard FileManager.default.fileExists(atPath: snapshot) else { return try startEmpty() }
    removeFiles()
    try FileManager.default.copyItem(atPath: snapshot, toPath: directory + "/dump.rdb")
    // With an append-only file it would read that one alone.
    try launch(appending: false)
    _ = try ask("CONFIG", "SET", "appendonly", "yes")
  }

  /// Empties it, where no other fault has killed it.
  func flush() throws { if isRunning { _ = try ask("FLUSHALL") } }

  private var snapshot: String { directory + ".snapshot" }

  private func removeFiles() {
    for name in ["dump.rdb", "appendonlydir"] {
      try? FileManager.default.removeItem(atPath: "\(directory)/\(name)")
    }
  }

  private func launch(appending: Bool) throws {
    guard !program.isRunning else { return }
    try program.start([
      "redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--dir", directory,
      "--appendonly", appending ? "yes" : "no", "--appendfsync", "everysec", "--maxmemory-policy",
      "noeviction",
    ])
    let deadline = Deadline.after(.seconds(20))
    while !deadline.hasPassed {
      guard program.isRunning else { throw TestFailure("redis-server does not start") }
      if let answer = try? ask("PING"), answer.hasPrefix("+PONG") { return }
      usleep(5_000)
    }
    throw TestFailure("redis-server does not answer")
  }

  /// One command on a connection of its own; the first bytes of the answer.
  private func ask(_ words: String...) throws -> String {
    let socket = try TestSocket(port: port)
    let command = "*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
    try socket.send(Array(command.utf8))
    let answer = String(decoding: try socket.receive(), as: UTF8.self)
    guard !answer.hasPrefix("-") else { throw TestFailure("redis: \(words[0]): \(answer)") }
    return answer
  }
}
