import CTimer
import Glibc

/// Says when messages are due that are sent at a rate, whatever becomes of those before: load of many people
/// who do not wait for each other. What is late is late by the clock, and its latency says so.
final class Pace {
  /// The timer rings at most so often; several messages are due at one time then.
  private static let ringNanosecondsMin: UInt64 = 100_000

  private let descriptor: Int32
  private let interval: UInt64
  private var begunAt: UInt64 = 0
  private var taken: UInt64 = 0

  /// - Parameter rate: messages a second, at least 1.
  init(rate: Int, _ wire: Wire) throws(LoadError) {
    interval = 1_000_000_000 / UInt64(rate)
    descriptor = timer_open()
    guard descriptor >= 0 else { throw .failure("no timer: errno \(errno)") }
    try wire.watch(descriptor)
  }

  deinit { close(descriptor) }

  /// The first message is due now, and the timer rings from here on.
  func begin(at now: UInt64) {
    begunAt = now
    let ring = interval * ((Pace.ringNanosecondsMin + interval - 1) / interval)
    timer_ring(descriptor, now + ring, ring)
  }

  /// Silences the timer until it rings again.
  func silence() {
    var rings: UInt64 = 0
    _ = read(descriptor, &rings, 8)
  }

  /// The number of the next message, from 0.
  var next: UInt64 { taken }
  /// When it is or was due.
  var due: UInt64 { begunAt + taken * interval }
  /// The next message is sent.
  func take() { taken += 1 }
}
