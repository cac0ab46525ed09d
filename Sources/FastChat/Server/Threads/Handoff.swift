/// A value that one thread gives, once, and another waits for.
final class Handoff<Value: Sendable>: @unchecked Sendable {
  private let monitor = Monitor()
  // Guarded by the monitor.
  private var value: Value?

  func give(_ new: Value) {
    monitor.locked {
      precondition(value == nil, "a handoff happens once")
      value = new
      monitor.wake()
    }
  }

  func wait() -> Value {
    monitor.locked {
      while true {
        if let value { return value }
        _ = monitor.wait(until: Clock.tick() + 60_000)
      }
    }
  }
}

/// Threads that one other waits for until each has arrived.
final class Gathering: @unchecked Sendable {
  private let monitor = Monitor()
  // Guarded by the monitor.
  private var missing: Set<Int>
  private var isAbandoned = false

  init(of members: Range<Int>) { missing = Set(members) }

  /// May be called again by the same member.
  func arrive(_ member: Int) {
    monitor.locked {
      missing.remove(member)
      if missing.isEmpty { monitor.wake() }
    }
  }

  /// Not all will arrive: nobody waits any more.
  func abandon() {
    monitor.locked {
      isAbandoned = true
      monitor.wake()
    }
  }

  /// Waits until all have arrived, or until the tick `deadline`: false then, and where it was
  /// abandoned.
  func wait(until deadline: Int64) -> Bool {
    monitor.locked {
      while !missing.isEmpty {
        guard !isAbandoned else { return false }
        guard monitor.wait(until: deadline) else { return missing.isEmpty }
      }
      return true
    }
  }
}
