import Foundation
import Glibc
import Support

/// Real brokers by `scripts/kafka`, each with a way of its own for every instance.
final class ChaosKafka {
  /// A way from an instance to a broker, on which a relay is to stand.
  struct Way {
    let instance: Int
    let broker: Int
    let port: UInt16
    let target: UInt16
  }

  /// What its tools begin with: past the relays.
  private(set) var addresses = ""
  private(set) var ways: [Way] = []
  let brokers: Int
  private let directory: String
  private let script: String
  private let log: String

  init(directory: String, brokers: Int, instances: Int) throws {
    self.brokers = brokers
    self.directory = directory + "/kafka"
    log = directory + "/kafka-script.log"
    script =
      URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../../../scripts/kafka").standardizedFileURL.path
    addresses = try run([
      "start", self.directory, "--brokers", "\(brokers)", "--owner", "\(getpid())", "--relays",
      "\(instances)",
    ])
    for line in try String(contentsOfFile: self.directory + "/relays", encoding: .utf8).split(separator: "\n")
    {
      let words = line.split(separator: " ").compactMap { Int($0) }
      guard words.count == 4 else { throw TestFailure("scripts/kafka: \(line)") }
      ways.append(
        Way(instance: words[0] - 1, broker: words[1], port: UInt16(words[2]), target: UInt16(words[3])))
    }
  }

  func kill(_ broker: Int) throws { _ = try run(["kill", directory, "\(broker)"]) }
  func resume(_ broker: Int) throws { _ = try run(["resume", directory, "\(broker)"]) }
  func resumeAll() throws { _ = try run(["resume", directory]) }
  func stop() { _ = try? run(["stop", directory]) }

  /// What instances begin with.
  func addresses(of instance: Int) -> String {
    ways.filter { $0.instance == instance }.map { "127.0.0.1:\($0.port)" }.joined(separator: ",")
  }

  /// Runs the script to its end, and returns the last line that it wrote.
  private func run(_ words: [String]) throws -> String {
    let output = log + ".last"
    try? FileManager.default.removeItem(atPath: output)
    let program = ChildProgram(log: output)
    // Variables of ours are kept from what is started, but this one is the script's.
    let libs = "FASTCHAT_KAFKA_LIBS"
    let environment = ProcessInfo.processInfo.environment[libs].map { [libs: $0] } ?? [:]
    try program.start([script] + words, environment: environment)
    guard program.waitForEnd(.after(.seconds(180))), program.lastStatus == 0 else {
      let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
      throw TestFailure("scripts/kafka \(words[0]) ended with \(program.lastStatus ?? -1): \(text)")
    }
    let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
    return text.split(separator: "\n").last.map(String.init) ?? ""
  }
}
