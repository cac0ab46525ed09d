import EventLoop
import Testing

@Suite("Timers")
struct TimerTests {
  @Test("Timers fire in order of their time, none early, and a cancelled one never", arguments: backends)
  func loopTimers(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) { $0.timerGranularityMilliseconds = 1 }
    let loop = driver.loop
    let start = loop.tick
    var fired: [UInt64: Int64] = [:]
    driver.onEvent = { loop, event in if case .timer(let tag) = event { fired[tag] = loop.tick } }
    for delay: Int64 in [50, 10, 30, 0, 20] { loop.schedule(afterMilliseconds: delay, tag: UInt64(delay)) }
    let cancelled = try #require(loop.schedule(afterMilliseconds: 25, tag: 25))
    #expect(loop.cancel(cancelled))
    #expect(!loop.cancel(cancelled))
    #expect(driver.pump { driver.timers.count == 5 })
    #expect(driver.timers == [0, 10, 20, 30, 50])
    for (tag, tick) in fired { #expect(tick >= start + Int64(tag)) }
    // Alone, a timer ends the wait.
    loop.schedule(afterMilliseconds: 15, tag: 99)
    let turns = loop.statistics.turns
    while driver.timers.last != 99, loop.statistics.turns < turns + 20 {
      driver.turn(waitAtMostMilliseconds: 60_000)
    }
    #expect(driver.timers.last == 99)
  }

  @Test("A due timer that was not told yet can be taken back", arguments: backends)
  func cancelDue(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) { $0.timerGranularityMilliseconds = 1 }
    let loop = driver.loop
    loop.schedule(afterMilliseconds: 1, tag: 1)
    let second = try #require(loop.schedule(afterMilliseconds: 1, tag: 2))
    let end = now() + 5
    while now() < end {}
    loop.turn(waitAtMostMilliseconds: 0)
    guard case .timer(1)? = loop.next() else {
      Issue.record("the first timer is due")
      return
    }
    #expect(loop.cancel(second))
    #expect(loop.next() == nil)
  }

  @Test("No more timers than the bound, and each that is over makes room", arguments: backends)
  func bound(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) { $0.timers = 3 }
    let loop = driver.loop
    let timers = (0..<4).map { loop.schedule(afterMilliseconds: 10_000, tag: $0) }
    #expect(timers.map { $0 != nil } == [true, true, true, false])
    #expect(loop.cancel(timers[1]!))
    let again = try #require(loop.schedule(afterMilliseconds: 0, tag: 7))
    // The old name does not reach the new timer in its place.
    #expect(!loop.cancel(timers[1]!))
    #expect(driver.pump { driver.timers == [7] })
    #expect(!loop.cancel(again))
    #expect(loop.schedule(afterMilliseconds: 1, tag: 8) != nil)
  }

  @Test("The wheel does what a sorted list does, over all its levels", arguments: [1, 3, 10] as [Int64])
  func model(_ granularity: Int64) throws {
    var random = SplitMix(state: 42 + UInt64(granularity))
    let wheel = try TimerWheel(reserved: 4, capacity: 500, granularity: granularity, tick: 1_000)
    defer { wheel.destroy() }
    var now: Int64 = 1_000
    var model: [UInt64: (id: TimerID, step: Int64)] = [:]
    var slots: [Int: Int64] = [:]
    // A time that was reached already fires at the next step.
    func step(of tick: Int64) -> Int64 {
      max((tick - 1_000 + granularity - 1) / granularity, (now - 1_000) / granularity + 1)
    }
    var tag: UInt64 = 0
    for _ in 0..<4_000 {
      switch random.next() % 8 {
      case 0...3:
        // Delays of every size: a step to days.
        let delay = Int64(random.next() >> (24 + random.next() % 40))
        tag += 1
        if let id = wheel.set(at: now + delay, tag: tag) {
          model[tag] = (id, step(of: now + delay))
        } else {
          #expect(model.count == 500)
        }
      case 4:
        if let victim = model.keys.sorted().randomElement(using: &random) {
          #expect(wheel.clear(model.removeValue(forKey: victim)!.id))
        }
      case 5:
        let slot = Int(random.next() % 4)
        let delay = Int64(random.next() % 5_000)
        slots[slot] = step(of: now + delay)
        wheel.set(slot: slot, at: now + delay)
      case 6:
        let slot = Int(random.next() % 4)
        slots[slot] = nil
        wheel.clear(slot: slot)
      default:
        // To just before, at, or far behind the next one; never past what the wheel says comes first.
        let firstStep = (model.values.map(\.step) + slots.values).min()
        let first = firstStep.map { 1_000 + $0 * granularity }
        let next = wheel.nextTick()
        #expect((next == nil) == (first == nil))
        if let next, let first { #expect(next <= first) }
        switch random.next() % 3 {
        case 0: now = max(now, (first ?? now) - 1)
        case 1: now = max(now, first ?? now)
        default: now += Int64(random.next() >> (30 + random.next() % 30))
        }
        wheel.advance(to: now)
        let reached = (now - 1_000) / granularity
        var last: Int64 = 0
        while let due = wheel.takeDue() {
          let step: Int64
          switch due {
          case .tag(let tag): step = model.removeValue(forKey: tag)?.step ?? .max
          case .slot(let slot): step = slots.removeValue(forKey: slot) ?? .max
          }
          #expect(step <= reached, "early, twice, or one that was taken back")
          #expect(step >= last, "out of order")
          last = step
        }
        #expect(model.values.allSatisfy { $0.step > reached } && slots.values.allSatisfy { $0 > reached })
      }
    }
    #expect(tag > 1_000)
  }
}

struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
