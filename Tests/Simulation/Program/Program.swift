import Glibc
import Simulation

/// `fastchat-sim`: runs seeds of the simulated cluster.
///
/// Exit code 0: no invariant broke; 1: one did; 2: the command line is wrong.
@main
enum Program {
  /// Failures that are told in full.
  static let storiesMax = 3
  static let storyLines = 60
  static let wholeStoryLines = 100_000

  static func main() {
    do throws(UsageError) {
      guard let options = try SimulatorOptions.read() else {
        print(SimulatorOptions.help, terminator: "")
        return
      }
      run(options)
    } catch {
      var line = "fastchat-sim: \(error.description)\n"
      line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
      exit(2)
    }
  }

  private static func run(_ options: SimulatorOptions) {
    let start = nanoseconds()
    let outcome = Campaign(options).run()
    let report = Report(
      options: options, outcome: outcome, seconds: Double(nanoseconds() - start) / 1_000_000_000)
    if options.isJSON {
      print(report.json, terminator: "")
    } else {
      if options.seeds == 1, options.tellsAll, outcome.failures.isEmpty { tell(options.run, options) }
      for failure in outcome.failures.prefix(storiesMax) { tell(failure.options, options) }
      for failure in outcome.failures.dropFirst(storiesMax) {
        print("seed \(failure.options.seed): \(failure.violations[0])")
      }
      if options.shrinks, !options.isEmbedded, let first = outcome.failures.first {
        print("smaller:")
        tell(Shrinker.shrink(first).options, options)
      }
      print(report.text, terminator: "")
    }
    exit(outcome.failures.isEmpty ? 0 : 1)
  }

  /// Runs it once more and tells its story.
  private static func tell(_ run: SimulationOptions, _ options: SimulatorOptions) {
    var run = run
    if options.seeds == 1 { run.seed = options.first }
    run.traceLines = options.tellsAll ? wholeStoryLines : storyLines
    let result = options.isEmbedded ? Simulation.runEmbedded(run) : Simulation.run(run)
    print(result.story(lines: run.traceLines, isEmbedded: options.isEmbedded))
  }

  private static func nanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}
