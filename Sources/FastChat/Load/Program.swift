import EventLoop
import Glibc

/// The `fastchat-load` program: makes load, checks every answer, and tells what it cost the server.
///
/// Exit code 0: all is as it must be; 1: something is missing, doubled, out of order, or failed; 2: the
/// command line is wrong.
@main
enum Program {
  static func main() {
    do throws(LoadError) {
      guard let options = try LoadOptions.read() else {
        print(LoadOptions.help, terminator: "")
        return
      }
      let report = try run(options)
      print(options.isJSON ? report.json : report.line, terminator: "")
    } catch {
      var line = "fastchat-load: \(error)\n"
      line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
      exit(error.kind == .usage ? 2 : 1)
    }
  }

  private static func run(_ options: LoadOptions) throws(LoadError) -> Report {
    let control = Control()
    let first = try usage(options)
    var window: (seconds: Double, before: ServerUsage?, after: ServerUsage?)?
    var failure: LoadError?
    withWorkers(options, from: 0, control) {
      do throws(LoadError) {
        window = try conduct(options, control)
      } catch {
        failure = error
        control.fail(error)
      }
    }
    let outcome = try control.result()
    if let failure { throw failure }
    guard let window else { throw .failure("the run did not take place") }
    guard outcome.messages > 0 || options.command == .idle else {
      throw .failure("nothing came back in the measured time")
    }
    let all = first.flatMap { first in
      window.before.flatMap { before in window.after.map { (first, before, $0) } }
    }
    return Report(options: options, outcome: outcome, seconds: window.seconds, usage: all)
  }

  /// Runs `body` while the workers run, and waits for them.
  private static func withWorkers(
    _ options: LoadOptions, from index: Int, _ control: Control, _ body: () -> Void
  ) {
    guard index < options.threads else { return body() }
    do throws(LoopError) {
      let thread = try LoopThread(name: "load-\(index)") {
        Worker.run(options, index: index, of: options.threads, control)
      }
      withWorkers(options, from: index + 1, control, body)
      thread.join()
    } catch {
      control.fail(.failure("\(error)"))
    }
  }

  /// Leads the workers through the phases; gives the measured window.
  private static func conduct(
    _ options: LoadOptions, _ control: Control
  ) throws(LoadError) -> (seconds: Double, before: ServerUsage?, after: ServerUsage?) {
    waitForAll { control.ready }
    control.begin(.warmUp)
    wait(options.warmUpSeconds, control)
    control.begin(.measured)
    waitForAll { control.measuring }
    let before = try usage(options)
    let start = monotonicNanoseconds()
    wait(options.seconds, control)
    control.begin(.drain)
    let end = monotonicNanoseconds()
    return (Double(end - start) / 1_000_000_000, before, try usage(options))

    func waitForAll(_ workers: () -> Int) {
      while workers() < options.threads, control.phase != .failed { sleep(milliseconds: 1) }
    }
  }

  private static func wait(_ seconds: Int, _ control: Control) {
    let end = monotonicNanoseconds() + UInt64(seconds) * 1_000_000_000
    while control.phase != .failed, monotonicNanoseconds() < end { sleep(milliseconds: 10) }
  }

  private static func usage(_ options: LoadOptions) throws(LoadError) -> ServerUsage? {
    guard let process = options.serverPID else { return nil }
    return try ServerUsage(of: process)
  }
}
