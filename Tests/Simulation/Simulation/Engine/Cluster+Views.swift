import Chat
import SimulatedRedis

/// The views, looked at from outside and held against the truth of the log.
extension Cluster {
  /// Positions are looked at so often, and everything once for so many of these looks.
  static let lookMilliseconds: Tick = 500
  static let looksBetweenWhole = 20

  func watchViews(look: Int = 1) {
    engine.after(Cluster.lookMilliseconds) { [unowned self] in
      checkViews(whole: look % Cluster.looksBetweenWhole == 0)
      watchViews(look: look + 1)
    }
  }

  func checkViews(whole: Bool) {
    checks.tick(engine.now)
    for primary in primaries {
      let keyspace = primary.node.redis.keyspace
      for partition in 0..<plan.partitions {
        guard let space = keyspace.partitions[partition] else { continue }
        if whole {
          checks.checkView(partition: Int(partition), space.positions, space.reading(now: engine.wall))
        } else {
          checks.checkPositions(partition: Int(partition), space.positions)
        }
      }
    }
  }
}
