import Chat

/// A machine with a server id: one process after another.
final class Server {
  let index: Int
  let name: String
  unowned let cluster: Cluster
  let link: BrokerLink
  private(set) var process: ServerProcess?
  /// The wall clock's difference to the true one.
  var skew: Tick = 0
  private var lives = 0

  init(index: Int, cluster: Cluster) {
    self.index = index
    name = "s\(index + 1)"
    self.cluster = cluster
    link = BrokerLink(cluster.kafka)
  }

  func start() {
    guard process == nil else { return }
    lives += 1
    process = ServerProcess(self, life: lives)
    process?.begin()
  }

  /// kill -9.
  func kill() {
    guard let process else { return }
    self.process = nil
    process.die()
  }

  /// SIGTERM: clients are sent away, the lease is given up.
  func drain() {
    guard let process else { return }
    process.drain()
    cluster.engine.after(1_500) { [self] in
      guard self.process === process else { return }
      process.leave()
      self.process = nil
      process.die()
    }
  }
}
