// Optimised builds see sigset_t through the one module or the other.
import CLinuxIO
import Glibc

/// The signals that end the server. They are blocked in every thread, and one thread waits for them: no
/// handler ever interrupts anything.
enum Signals {
  /// To be called before the first thread is started, since threads inherit what is blocked. A peer that
  /// went away shall be an error of the write that found out, not the end of the process.
  static func prepare() {
    ignoreBrokenPipes()
    var set = ending()
    pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }

  /// Waits for one of them and returns which one came.
  static func wait() -> Int32 {
    var set = ending()
    var number: Int32 = 0
    while sigwait(&set, &number) != 0 {}
    return number
  }

  private static func ending() -> sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, SIGTERM)
    sigaddset(&set, SIGINT)
    // The terminal it was started from is gone; not where it was started so as to outlive that (`nohup`).
    var hangUp = sigaction()
    if sigaction(SIGHUP, nil, &hangUp) == 0, !isIgnored(hangUp) { sigaddset(&set, SIGHUP) }
    return set
  }

  private static func isIgnored(_ action: sigaction) -> Bool {
    unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
      == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  static func name(of signal: Int32) -> String {
    switch signal {
    case SIGTERM: "SIGTERM"
    case SIGHUP: "SIGHUP"
    default: "SIGINT"
    }
  }
}
