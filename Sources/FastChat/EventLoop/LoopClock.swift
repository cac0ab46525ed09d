import Glibc

/// The clock that leases, deadlines and their like are judged by: it never goes back, and goes on while the
/// machine sleeps.
///
/// `CLOCK_MONOTONIC` stands still while a machine is suspended, and a virtual one paused: a server would wake up
/// believing in a lease that lapsed long ago, and send on what it remembers of members. Both clocks are read
/// without a system call and cost the same.
public enum TickClock {
  /// Milliseconds from an arbitrary start.
  public static func milliseconds() -> Int64 { LoopClock.read(CLOCK_BOOTTIME) }
}

/// The time of a turn: one reading of the tick clock, and the wall's by difference.
struct LoopClock {
  /// Milliseconds between two measurements of the difference, so that a clock that is set is followed.
  private static let wallMilliseconds: Int64 = 1_000

  private struct State {
    var tick: Int64
    var wallOffset: Int64
    var nextWall: Int64
  }

  private let state: UnsafeMutablePointer<State>

  init() {
    state = .allocate(capacity: 1)
    let tick = TickClock.milliseconds()
    state.initialize(
      to: State(
        tick: tick, wallOffset: Self.read(CLOCK_REALTIME) - tick, nextWall: tick + Self.wallMilliseconds))
  }

  func destroy() { state.deallocate() }

  @inline(__always)
  var tick: Int64 { state.pointee.tick }

  @inline(__always)
  var wallTime: Int64 { state.pointee.tick + state.pointee.wallOffset }

  @inline(__always)
  func read() {
    let tick = TickClock.milliseconds()
    state.pointee.tick = tick
    if tick >= state.pointee.nextWall {
      state.pointee.wallOffset = Self.read(CLOCK_REALTIME) - tick
      state.pointee.nextWall = tick + Self.wallMilliseconds
    }
  }

  static func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
  }
}
