import EventLoop
import Glibc

/// One run of `fastchat serve`, from its configuration to its exit code.
public enum ServerProgram {
  /// The server cannot start, or could not go on.
  private static let exitFailure: Int32 = 1
  /// Milliseconds in which the shards must have handed over what they took.
  private static let quiesceMilliseconds: Int64 = 5_000

  /// Serves until SIGTERM, SIGINT or SIGHUP, and returns the exit code. To be called on the main thread, before any
  /// other thread is started.
  public static func run(_ configuration: Configuration) -> Int32 {
    Signals.prepare()
    // What is stored is for nobody else on this machine.
    umask(0o077)
    Log.level = configuration.logLevel
    var code: Int32 = 0
    var isOver = true
    do throws(StartFailure) {
      let server = try RunningServer.start(configuration, descriptors: Descriptors.raiseLimit())
      do throws(StartFailure) {
        try server.announce()
      } catch {
        isOver = server.end(quiesceMilliseconds: quiesceMilliseconds)
        throw error
      }
      let signal = Signals.wait()
      Log.info("draining", ["signal": Signals.name(of: signal)])
      exitAtNextSignal()
      isOver = server.end(quiesceMilliseconds: quiesceMilliseconds)
      if let failure = server.failure { throw failure }
      Log.info("ended")
    } catch {
      var line = "fastchat: \(error.message)\n"
      line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
      code = exitFailure
      isOver = isOver && !error.leavesThreads
    }
    // Nothing is taken away from under threads that still run.
    if !isOver { _exit(code) }
    return code
  }

  /// Whoever asks twice does not want to wait. What was acknowledged is on the disk already.
  private static func exitAtNextSignal() {
    do throws(StartFailure) {
      _ = try WorkerThread("fc-signals") {
        _ = Signals.wait()
        _exit(exitFailure)
      }
    } catch {
      Log.warning("a second signal will not be heard", ["reason": error.message])
    }
  }
}
