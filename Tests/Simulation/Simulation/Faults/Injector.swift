import Chat

/// Lets the faults of a run happen, at times that chance gives.
final class Injector {
  unowned let cluster: Cluster
  let engine: Engine

  init(_ cluster: Cluster) {
    self.cluster = cluster
    engine = cluster.engine
  }

  func begin() {}
}
