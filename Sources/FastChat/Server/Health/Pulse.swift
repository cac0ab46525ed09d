import Synchronization

/// What a shard says of itself, for others to read: when its loop last turned, and when a batch last
/// reached it. Ticks; 0 before the first.
final class Pulse: Sendable {
  private let turned = Atomic<Int64>(0)
  private let batched = Atomic<Int64>(0)

  var turnTick: Int64 { turned.load(ordering: .relaxed) }
  var batchTick: Int64 { batched.load(ordering: .relaxed) }

  func turn(at tick: Int64) { turned.store(tick, ordering: .relaxed) }
  func batch(at tick: Int64) { batched.store(tick, ordering: .relaxed) }
}
