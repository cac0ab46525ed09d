import Synchronization

/// Where devices find the instances: an address each, and whether a fault is on it now.
final class Doors: Sendable {
  let ports: [UInt16]
  private struct State {
    /// Faults are counted from 1 on.
    var fault = 0
    var hit: Set<Int> = []
  }
  private let state = Mutex(State())

  init(ports: [UInt16]) { self.ports = ports }

  var count: Int { ports.count }

  /// Another fault begins, on these instances.
  func begin(hitting instances: Set<Int>) {
    state.withLock {
      $0.fault += 1
      $0.hit = instances
    }
  }

  /// The number of the fault that is on the instance; nil where none is.
  func fault(on instance: Int) -> Int? {
    state.withLock { $0.hit.contains(instance) ? $0.fault : nil }
  }
}
