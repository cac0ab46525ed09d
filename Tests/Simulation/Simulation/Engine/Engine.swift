public import Chat

/// One virtual clock, one order of events, one source of chance: whatever happens in a simulated cluster
/// happens here, so that a seed gives the same run on every machine.
///
/// Events of the same millisecond run in the order in which they were asked for. Nothing decides by a
/// dictionary's order, a hash or an address.
public final class Engine {
  /// The wall clock of somebody without skew when the virtual clock stands at 0.
  public static let wallAtStart: WallTime = 1_760_000_000_000

  public private(set) var now: Tick = 0
  public var random: Generator
  public var coverage = Coverage()
  public let trace: Trace
  /// What has happened so far, folded: equal for two runs of a seed.
  public private(set) var digest: UInt64 = 0xcbf2_9ce4_8422_2325
  /// Events that ran.
  public private(set) var steps = 0

  private var queue = EventQueue()

  public init(seed: UInt64, traceLines: Int = 0) {
    random = Generator(seed: seed)
    trace = Trace(capacity: traceLines)
  }

  /// The true wall clock.
  public var wall: WallTime { Engine.wallAtStart + now }

  /// Runs `event` so many milliseconds from now.
  public func after(_ delay: Tick, _ event: @escaping () -> Void) {
    queue.push(at: now + max(delay, 0), event)
  }

  /// Runs what is due up to `end`, or until `isOver` says so.
  public func run(until end: Tick, unless isOver: () -> Bool) {
    while let time = queue.nextTime, time <= end, !isOver() {
      now = time
      steps += 1
      queue.pop()()
    }
    if !isOver() { now = max(now, end) }
  }

  /// Lets go of what is still to happen: events hold on to those whom they happen to.
  public func end() { queue.removeAll() }

  /// Writes a fact into the digest.
  public func fold(_ value: Int64) {
    digest = (digest ^ UInt64(bitPattern: value)) &* 0x0000_0100_0000_01b3
    digest ^= digest >> 29
  }

  /// A line for whoever reads a failed run; not composed unless there is one.
  @inline(__always)
  public func note(_ line: @autoclosure () -> String) {
    if trace.isOn { trace.append("\(now) \(line())") }
  }
}

/// Events in the order of their time, then of their asking.
struct EventQueue {
  private struct Key {
    var time: Tick
    var number: UInt64
    var slot: Int32

    @inline(__always)
    static func < (a: Key, b: Key) -> Bool { a.time == b.time ? a.number < b.number : a.time < b.time }
  }

  private var heap: [Key] = []
  private var events: [(() -> Void)?] = []
  private var free: [Int32] = []
  private var number: UInt64 = 0

  var nextTime: Tick? { heap.first?.time }

  mutating func push(at time: Tick, _ event: @escaping () -> Void) {
    let slot: Int32
    if let last = free.popLast() {
      slot = last
      events[Int(slot)] = event
    } else {
      slot = Int32(events.count)
      events.append(event)
    }
    number += 1
    heap.append(Key(time: time, number: number, slot: slot))
    var child = heap.count - 1
    while child > 0, heap[child] < heap[(child - 1) / 2] {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func pop() -> () -> Void {
    let slot = heap[0].slot
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      sink()
    }
    let event = events[Int(slot)]!
    events[Int(slot)] = nil
    free.append(slot)
    return event
  }

  mutating func removeAll() {
    heap.removeAll()
    events.removeAll()
    free.removeAll()
  }

  private mutating func sink() {
    var parent = 0
    while true {
      var least = parent
      let left = 2 * parent + 1
      if left < heap.count, heap[left] < heap[least] { least = left }
      if left + 1 < heap.count, heap[left + 1] < heap[least] { least = left + 1 }
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
