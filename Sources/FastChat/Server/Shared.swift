import EventLoop
import Glibc
import Synchronization

/// What all threads of a server share: the shards, and those behind them.
final class Shared: Sendable {
  let configuration: Configuration
  let ports: [ShardPort]
  let metrics: Metrics
  let health: Health
  let pins = Pins(bytesMax: Bounds.pinnedBytes)
  /// Shards that a first batch has reached, and that stand where the view does.
  let proven: Gathering
  /// Shards that have handed over all that they took.
  let quiesced: Gathering
  private let whyNot = Mutex<StartFailure?>(nil)

  /// - Parameter metrics: with a block for each shard, and behind them one for the backbone.
  init(_ configuration: Configuration, ports: [ShardPort], metrics: Metrics) {
    self.configuration = configuration
    self.ports = ports
    self.metrics = metrics
    health = Health(pulses: ports.map(\.pulse))
    proven = Gathering(of: 0..<ports.count)
    quiesced = Gathering(of: 0..<ports.count)
  }

  /// The block of the thread that stands behind the shards.
  var backboneMetrics: MetricsBlock { metrics.block(ports.count) }

  /// Why the server may not go on, if so.
  var failure: StartFailure? { whyNot.withLock { $0 } }

  /// The server may not go on: whoever waits for it hears so, and the program ends as if it was asked to.
  func fail(_ failure: StartFailure) {
    whyNot.withLock { $0 = $0 ?? failure }
    health.end()
    proven.abandon()
    kill(getpid(), SIGTERM)
  }
}
