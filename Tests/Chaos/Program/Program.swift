import Chaos
import Foundation
import Glibc
import Support

/// `fastchat-chaos`: real processes, real faults, and a ledger of what users were told.
///
/// Exit code 0: clean; 1: something differs, or the run could not be made; 2: the command line is wrong.
@main
enum Program {
  static func main() {
    do {
      guard let options = try ChaosOptions(Array(CommandLine.arguments.dropFirst())) else {
        print(ChaosOptions.help, terminator: "")
        return
      }
      exit(run(options))
    } catch {
      complain("\(error)")
      exit(2)
    }
  }

  private static func run(_ asked: ChaosOptions) -> Int32 {
    Interrupt.catchSignals()
    var options = asked.run
    options.directory = asked.base + "/chaos-\(getpid())"
    do {
      try FileManager.default.createDirectory(
        atPath: options.directory, withIntermediateDirectories: true)
      tell("chaos: seed \(options.seed), \(options.seconds) s, in \(options.directory)")
      let began = ContinuousClock.now
      let result = try Run.perform(
        options,
        say: { tell("chaos: \(began.duration(to: .now).components.seconds) s: \($0)") },
        isInterrupted: { Interrupt.came })
      if Interrupt.came {
        complain("interrupted")
        return 130
      }
      tell("\n\(result.interruptions.table)\n")
      for story in result.interruptions.stories(above: 2_000) { tell("chaos: \(story)") }
      let log = result.logRecords.map { ", \($0) records in the log" } ?? ""
      tell(
        "chaos: \(result.sent) messages, \(result.acknowledged) acknowledged, \(result.delivered) deliveries, "
          + "\(result.sessions) sessions\(log)")
      if result.acksOfCopies > 0 {
        tell("chaos: \(result.acksOfCopies) acknowledged with the seq of a second copy in the log")
      }
      tell("chaos: again: \(asked.replay)")
      guard result.differences.isEmpty else {
        for difference in result.differences { tell("chaos: \(difference)") }
        tell(
          "chaos: \(max(result.count, result.differences.count)) differences; logs in \(options.directory)")
        return 1
      }
      if !asked.isKept { try? FileManager.default.removeItem(atPath: options.directory) }
      tell("chaos: clean: none lost, none doubled, none out of order, none foreign")
      return 0
    } catch {
      complain("\(error); seed \(options.seed), logs in \(options.directory)")
      return 1
    }
  }

  /// Line by line, also where the output is a file: a run that is cut off has told what it did.
  private static func tell(_ text: String) { FileHandle.standardOutput.write(Data("\(text)\n".utf8)) }

  private static func complain(_ text: String) {
    FileHandle.standardError.write(Data("fastchat-chaos: \(text)\n".utf8))
  }
}

/// SIGINT and SIGTERM end a run early, with everything that it started.
enum Interrupt {
  nonisolated(unsafe) private static var flag: sig_atomic_t = 0

  static var came: Bool { flag != 0 }

  static func catchSignals() {
    for number in [SIGINT, SIGTERM, SIGHUP] { signal(number) { _ in Interrupt.flag = 1 } }
    signal(SIGPIPE, SIG_IGN)
  }
}
