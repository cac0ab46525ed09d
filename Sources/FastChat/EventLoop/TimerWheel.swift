/// Timers in a hierarchical wheel: to set, take back and fire one costs the same however many there are.
///
/// ```
/// level 0   64 buckets of one step
/// level 1   64 buckets of 64 steps      a timer sits in the level of the highest six bits in which its
/// ...                                   time differs from now; when now reaches its bucket it moves
/// level 6   64 buckets of 64^6 steps    down, or fires
/// ```
///
/// The first `reserved` entries belong to the slots of the connection table, one each, and are set and
/// cleared by index; the others are handed out.
package struct TimerWheel {
  private static let levels = 7
  private static let levelBits = 6
  private static let buckets = 64
  /// The list of those that are due, behind the buckets of all levels.
  private static let due = UInt32(levels * buckets)
  /// Delays are cut to this many steps: years.
  private static let stepsMax: Int64 = 1 << 40

  private struct Entry {
    var step: Int64
    var tag: UInt64
    var next: UInt32
    var previous: UInt32
    /// Odd while set.
    var generation: UInt32
    var bucket: UInt32
  }

  private struct Bucket {
    var first = none
    var last = none
  }

  private struct State {
    /// The step that has been reached.
    var now: Int64 = 0
    var used: UInt32
    var firstFree: UInt32 = none
    /// A bit for each bucket of a level that is not empty.
    var occupied: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0)
  }

  private let entries: UnsafeMutablePointer<Entry>
  private let lists: UnsafeMutablePointer<Bucket>
  private let state: UnsafeMutablePointer<State>
  private let occupied: UnsafeMutablePointer<UInt64>
  private let capacity: Int
  private let reserved: Int
  private let granularity: Int64
  private let start: Int64

  /// `tick` is now, in milliseconds; `granularity` is the length of a step.
  package init(reserved: Int, capacity: Int, granularity: Int64, tick: Int64) throws(LoopError) {
    self.reserved = reserved
    self.capacity = reserved + capacity
    self.granularity = granularity
    start = tick
    entries = try mapTable(of: Entry.self, count: reserved + capacity)
    lists = .allocate(capacity: Int(Self.due) + 1)
    lists.initialize(repeating: Bucket(), count: Int(Self.due) + 1)
    state = .allocate(capacity: 1)
    state.initialize(to: State(used: UInt32(reserved)))
    let offset = MemoryLayout<State>.offset(of: \.occupied)!
    occupied = (UnsafeMutableRawPointer(state) + offset).assumingMemoryBound(to: UInt64.self)
  }

  package func destroy() {
    unmapTable(entries, count: capacity)
    lists.deallocate()
    state.deallocate()
  }

  // MARK: Setting

  /// Sets a timer of the caller to fire at `tick` or up to a step later; nil if all are set.
  package func set(at tick: Int64, tag: UInt64) -> TimerID? {
    let index: UInt32
    if state.pointee.firstFree != none {
      index = state.pointee.firstFree
      state.pointee.firstFree = entries[Int(index)].next
    } else if state.pointee.used < capacity {
      index = state.pointee.used
      state.pointee.used += 1
    } else {
      return nil
    }
    entries[Int(index)].generation &+= 1
    entries[Int(index)].tag = tag
    place(index, tick)
    return TimerID(raw: UInt64(entries[Int(index)].generation) << 32 | UInt64(index))
  }

  /// Takes a timer of the caller back; false if it has been told or taken back.
  package func clear(_ timer: TimerID) -> Bool {
    let index = UInt32(truncatingIfNeeded: timer.raw)
    guard Int(index) < capacity, entries[Int(index)].generation == UInt32(timer.raw >> 32) else {
      return false
    }
    unlink(index)
    free(index)
    return true
  }

  /// Sets the timer of a slot, or moves it.
  package func set(slot: Int, at tick: Int64) {
    clear(slot: slot)
    entries[slot].generation |= 1
    place(UInt32(slot), tick)
  }

  /// Takes the timer of a slot back if it is set.
  @inline(__always)
  package func clear(slot: Int) {
    guard entries[slot].generation & 1 == 1 else { return }
    unlink(UInt32(slot))
    entries[slot].generation &= ~1
  }

  // MARK: Firing

  package enum Due {
    case slot(Int)
    case tag(UInt64)
  }

  /// Milliseconds of the clock at which there is something to do; nil while no timer is set. May be earlier
  /// than the first timer, by the steps that a bucket of a higher level holds.
  package func nextTick() -> Int64? {
    if lists[Int(Self.due)].first != none { return start + state.pointee.now * granularity }
    guard let (_, _, step) = nextBucket() else { return nil }
    return start + step * granularity
  }

  /// Makes due what is due at `tick`.
  package func advance(to tick: Int64) {
    let target = (tick - start) / granularity
    while let (level, bucket, step) = nextBucket(), step <= target {
      state.pointee.now = step
      let list = level * Self.buckets + bucket
      var index = lists[list].first
      lists[list] = Bucket()
      occupied[level] &= ~(1 << UInt64(bucket))
      while index != none {
        let next = entries[Int(index)].next
        if entries[Int(index)].step <= step { append(index, to: Self.due) } else { file(index) }
        index = next
      }
    }
    if target > state.pointee.now { state.pointee.now = target }
  }

  /// The next one that is due; the timer is free again.
  @inline(__always)
  package func takeDue() -> Due? {
    let index = lists[Int(Self.due)].first
    guard index != none else { return nil }
    unlink(index)
    if Int(index) < reserved {
      entries[Int(index)].generation &= ~1
      return .slot(Int(index))
    }
    let tag = entries[Int(index)].tag
    free(index)
    return .tag(tag)
  }

  // MARK: Lists

  /// The bucket that comes next, and the step at which it begins. Within a level all buckets lie ahead of
  /// now, and all of a level before those of the next: where two times differ first decides.
  private func nextBucket() -> (level: Int, bucket: Int, step: Int64)? {
    for level in 0..<Self.levels where occupied[level] != 0 {
      let bucket = occupied[level].trailingZeroBitCount
      let shift = Int64(Self.levelBits * level)
      let above = (state.pointee.now >> (shift + Int64(Self.levelBits))) << (shift + Int64(Self.levelBits))
      return (level, bucket, above | Int64(bucket) << shift)
    }
    return nil
  }

  private func place(_ index: UInt32, _ tick: Int64) {
    let step = (tick - start + granularity - 1) / granularity
    // A time that has been reached fires at the next step: within a turn, none fires that was set in it.
    entries[Int(index)].step = min(max(step, state.pointee.now + 1), state.pointee.now + Self.stepsMax)
    file(index)
  }

  private func file(_ index: UInt32) {
    let step = entries[Int(index)].step
    let difference = UInt64(bitPattern: step ^ state.pointee.now)
    let level = (63 - difference.leadingZeroBitCount) / Self.levelBits
    let bucket = Int(step >> Int64(Self.levelBits * level)) & (Self.buckets - 1)
    occupied[level] |= 1 << UInt64(bucket)
    append(index, to: UInt32(level * Self.buckets + bucket))
  }

  private func append(_ index: UInt32, to list: UInt32) {
    let entry = entries + Int(index)
    let bucket = lists + Int(list)
    entry.pointee.bucket = list
    entry.pointee.next = none
    entry.pointee.previous = bucket.pointee.last
    if bucket.pointee.last == none {
      bucket.pointee.first = index
    } else {
      entries[Int(bucket.pointee.last)].next = index
    }
    bucket.pointee.last = index
  }

  private func unlink(_ index: UInt32) {
    let entry = entries[Int(index)]
    let bucket = lists + Int(entry.bucket)
    if entry.previous == none {
      bucket.pointee.first = entry.next
    } else {
      entries[Int(entry.previous)].next = entry.next
    }
    if entry.next == none {
      bucket.pointee.last = entry.previous
    } else {
      entries[Int(entry.next)].previous = entry.previous
    }
    if bucket.pointee.first == none, entry.bucket != Self.due {
      let level = Int(entry.bucket) / Self.buckets
      occupied[level] &= ~(1 << UInt64(Int(entry.bucket) % Self.buckets))
    }
  }

  private func free(_ index: UInt32) {
    entries[Int(index)].generation &+= 1
    entries[Int(index)].next = state.pointee.firstFree
    state.pointee.firstFree = index
  }
}

/// A timer that was set; holding it after it fired is harmless.
public struct TimerID: Hashable, Sendable, BitwiseCopyable {
  let raw: UInt64
}
