import EventLoop
import Glibc

/// A mutex and a condition, for the threads that have nothing to poll: the store's, the reader's and the
/// one that waits for the end.
///
/// The condition's clock is the monotonic one, so that a wall clock that jumps wakes nobody early or late.
final class Monitor: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  init() {
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(condition, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  @inline(__always)
  func locked<Result>(_ body: () -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body()
  }

  /// Wakes who waits. To be called while holding the lock or after.
  @inline(__always)
  func wake() { pthread_cond_signal(condition) }

  /// Waits, inside `locked`, until `wake` or until the tick `deadline`. May return early. False where the
  /// time has come.
  func wait(until deadline: Int64) -> Bool {
    // A condition knows no clock that goes on while the machine sleeps: the rest is told by one that it knows.
    let left = max(0, deadline - Clock.tick())
    let end = Clock.nanoseconds() + UInt64(left) * 1_000_000
    var time = timespec(tv_sec: Int(end / 1_000_000_000), tv_nsec: Int(end % 1_000_000_000))
    return pthread_cond_timedwait(condition, mutex, &time) == 0
  }
}

/// The two clocks, in milliseconds, and a stopwatch.
enum Clock {
  /// As the loops' ticks: what one thread notes, others compare with theirs.
  static func tick() -> Int64 { TickClock.milliseconds() }
  /// Since 1970.
  static func wall() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
  }

  /// The monotonic clock in nanoseconds, for how long something took.
  static func nanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
