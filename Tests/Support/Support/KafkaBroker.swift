import Foundation
import Glibc

/// Brokers for tests: Apache Kafka by `scripts/kafka`, one for the whole run; where it cannot be had,
/// librdkafka's mock cluster in a process of its own.
public final class KafkaBroker: @unchecked Sendable {
  public enum Kind: Sendable { case apacheKafka, mock }

  public let kind: Kind
  /// What clients begin with.
  public let addresses: String
  private let directory: TemporaryDirectory?
  private let mock: MockBrokerProcess?

  /// What the mock cluster cannot do, and so what a run with it leaves untested.
  public static let untestedWithMock =
    "topics made and checked by the Admin API, static membership, offsets by time, a broker's death"

  /// The run's broker. Says on standard error which one it is.
  public static let shared: Result<KafkaBroker, TestFailure> = Result {
    let broker = try KafkaBroker()
    switch broker.kind {
    case .apacheKafka: say("tests use Apache Kafka at \(broker.addresses)")
    case .mock: say("tests use librdkafka's mock cluster; NOT TESTED: \(untestedWithMock)")
    }
    atexit { try? KafkaBroker.shared.get().stop() }
    return broker
  }.mapError { $0 as? TestFailure ?? TestFailure("\($0)") }

  /// Whether the run's broker is Apache Kafka.
  public static var isApacheKafka: Bool { (try? shared.get().kind) == .apacheKafka }

  /// Starts brokers of its own; the mock cluster only where one is wanted and Apache Kafka cannot be had.
  /// - Parameter flags: of `scripts/kafka start`, beside the number of brokers.
  public init(brokers: Int = 1, _ flags: [String] = []) throws {
    let directory = try TemporaryDirectory()
    let started = try Self.script(
      ["start", directory.path, "--brokers", "\(brokers)", "--owner", "\(getpid())"] + flags)
    switch started.status {
    case 0:
      kind = .apacheKafka
      addresses = started.output
      self.directory = directory
      mock = nil
    case Self.cannotBeHad where brokers == 1 && flags.isEmpty:
      kind = .mock
      let mock = try MockBrokerProcess()
      addresses = mock.addresses
      self.mock = mock
      self.directory = nil
    default: throw TestFailure("scripts/kafka start ended with \(started.status)")
    }
  }

  deinit { stop() }

  /// Ends them; what they stored goes too.
  public func stop() {
    if let directory { _ = try? Self.script(["stop", directory.path]) }
    mock?.stop()
  }

  /// Ends them, or those with these numbers from 1 on, as a power cut of their processes would.
  public func kill(_ ids: Int...) throws { try change("kill", ids) }

  /// Starts them again on their data.
  public func resume(_ ids: Int...) throws { try change("resume", ids) }

  private func change(_ word: String, _ ids: [Int]) throws {
    guard let directory else { throw TestFailure("the mock cluster cannot \(word)") }
    let status = try Self.script([word, directory.path] + ids.map { "\($0)" }).status
    guard status == 0 else { throw TestFailure("scripts/kafka \(word) ended with \(status)") }
  }

  /// Where brokers that were started with `--listener` speak that protocol.
  public func addresses(_ listener: String) throws -> String {
    let text = try String(contentsOfFile: (directory?.path ?? "") + "/listeners", encoding: .utf8)
    return text.split(separator: "\n").map { $0.split(separator: " ") }.filter { $0[0] == listener }
      .map { String($0[1]) }.joined(separator: ",")
  }

  /// Makes a topic in the mock cluster, whose Admin API cannot; nothing happens where the broker is another.
  public func makeMockTopic(_ name: String, partitions: Int) throws {
    try mock?.makeTopic(name, partitions: partitions)
  }

  // MARK: The script

  /// Its exit code where there is no Kafka, or no Java to run it.
  private static let cannotBeHad: Int32 = 3

  private static func script(_ arguments: [String]) throws -> (status: Int32, output: String) {
    let child = try ChildProcess([root.appendingPathComponent("scripts/kafka").path] + arguments)
    var output = ""
    while let line = child.line() { output = line }
    return (child.wait(), output)
  }

  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../..").standardizedFileURL

  fileprivate static func say(_ text: String) {
    FileHandle.standardError.write(Data("kafka: \(text)\n".utf8))
  }
}

/// The program MockBroker, which ends when its standard input does.
private final class MockBrokerProcess {
  let addresses: String
  private let process: ChildProcess

  init() throws {
    // It is built beside the tests.
    let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let folder = URL(fileURLWithPath: tests).deletingLastPathComponent()
    process = try ChildProcess([folder.appendingPathComponent("MockBroker").path])
    let words = (process.line() ?? "").split(separator: " ")
    guard words.count == 2, words[0] == "ready" else { throw TestFailure("MockBroker did not get ready") }
    addresses = String(words[1])
  }

  func makeTopic(_ name: String, partitions: Int) throws {
    process.write("topic \(name) \(partitions)\n")
    guard process.line() == "ok" else { throw TestFailure("no mock topic \(name)") }
  }

  func stop() { _ = process.wait() }
}

/// A process with a pipe to its standard input and one from its standard output. Foundation's `Process`
/// would wait for whatever the process leaves running too, such as a broker.
private final class ChildProcess {
  private let pid: pid_t
  private let input: Int32
  private let output: Int32
  private var status: Int32?

  init(_ command: [String]) throws {
    var toChild: [Int32] = [0, 0]
    var fromChild: [Int32] = [0, 0]
    guard pipe(&toChild) == 0, pipe(&fromChild) == 0 else { throw TestFailure("no pipe") }
    for end in toChild + fromChild { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    (input, output) = (toChild[1], fromChild[0])
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, toChild[0], 0)
    posix_spawn_file_actions_adddup2(&actions, fromChild[1], 1)
    var arguments = command.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var child: pid_t = 0
    let failure = posix_spawn(&child, command[0], &actions, nil, &arguments, environ)
    close(toChild[0])
    close(fromChild[1])
    pid = child
    guard failure == 0 else { throw TestFailure("\(command[0]): \(String(cString: strerror(failure)))") }
  }

  deinit { close(output) }

  func write(_ text: String) {
    let bytes = Array(text.utf8)
    _ = Glibc.write(input, bytes, bytes.count)
  }

  /// The next line of its output; nil at the end.
  func line() -> String? {
    var bytes: [UInt8] = []
    var byte: UInt8 = 0
    while read(output, &byte, 1) == 1 {
      guard byte != UInt8(ascii: "\n") else { return String(decoding: bytes, as: UTF8.self) }
      bytes.append(byte)
    }
    return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
  }

  /// Ends its input and waits for its end: its exit code, or 128 and the signal.
  func wait() -> Int32 {
    if let status { return status }
    close(input)
    var raw: Int32 = 0
    while waitpid(pid, &raw, 0) < 0, errno == EINTR {}
    let ended = raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + (raw & 0x7f)
    status = ended
    return ended
  }
}
