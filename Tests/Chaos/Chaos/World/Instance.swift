import Glibc
import Support

/// One server: its process, and the links through which clients, Redis and Kafka are reached.
final class Instance {
  let index: Int
  let program: ChildProgram
  let port: UInt16
  let adminPort: UInt16
  private let command: [String]
  /// Whether it should be running: where it is not, it ended by itself.
  private(set) var isWanted = false
  private var isStopped = false

  var clientLink = 0
  var redisLink: Int?
  var kafkaLinks: [Int] = []

  init(index: Int, port: UInt16, adminPort: UInt16, log: String, command: [String]) {
    self.index = index
    self.port = port
    self.adminPort = adminPort
    self.command = command
    program = ChildProgram(log: log)
  }

  func start() throws {
    isWanted = true
    isStopped = false
    try program.start(command, environment: ["SWIFT_BACKTRACE": "enable=no"])
  }

  func kill() {
    isWanted = false
    program.end()
  }

  func stop() {
    isStopped = true
    program.signal(SIGSTOP)
  }

  func resume() {
    isStopped = false
    program.signal(SIGCONT)
  }

  /// Asks it to end, and waits for it; nil where it did so with 0 in time.
  func drain() -> String? {
    isWanted = false
    resume()
    // Another fault may have killed it already.
    guard program.isRunning else { return nil }
    program.signal(SIGTERM)
    guard program.waitForEnd(.after(.seconds(30))) else { return "did not end within 30 s of SIGTERM" }
    return program.lastStatus == 0 ? nil : "ended with \(program.lastStatus ?? -1) after SIGTERM"
  }

  /// How it ended where nobody had asked it to.
  var unwantedEnd: String? {
    guard isWanted, !isStopped, !program.isRunning else { return nil }
    return "ended by itself with \(program.lastStatus ?? -1)"
  }

  var isReady: Bool {
    (try? HTTPTestClient(port: adminPort, patience: .after(.seconds(1))).ready()) ?? false
  }
}

extension HTTPTestClient {
  fileprivate func ready() throws -> Bool {
    try send(raw: Self.text(of: "GET", "/readyz", headers: [:], port: 0))
    return try answer(to: "GET", .after(.seconds(1))).status == 200
  }
}
