import Chat
import Synchronization

/// Counts what is kept, whatever it weighs.
final class TestPins: Pinning {
  private let max: Int
  private let living = Atomic<Int>(0)

  init(max: Int = .max) { self.max = max }

  var count: Int { living.load(ordering: .sequentiallyConsistent) }

  func pin(bytes: Int, holding object: (any AnyObject & Sendable)?) -> (any AnyObject & Sendable)? {
    guard bytes >= 1 << 20, count < max else { return nil }
    living.add(1, ordering: .sequentiallyConsistent)
    return Pin(self)
  }

  private final class Pin: Sendable {
    private let pins: TestPins
    init(_ pins: TestPins) { self.pins = pins }
    deinit { pins.living.subtract(1, ordering: .sequentiallyConsistent) }
  }
}
