import Synchronization

/// How many connections there are, over all shards, and how many there may be.
final class Admission: Sendable {
  private let connectionsMax: Int
  private let count = Atomic<Int>(0)

  init(connectionsMax: Int) { self.connectionsMax = connectionsMax }

  /// Counts a connection in, and tells whether it is one that may stay. Either way it has to `leave`.
  func enter() -> Bool { count.wrappingAdd(1, ordering: .relaxed).newValue <= connectionsMax }

  func leave() { count.wrappingSubtract(1, ordering: .relaxed) }
}
