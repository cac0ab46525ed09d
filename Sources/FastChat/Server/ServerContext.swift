import Chat
import Embedded
import EventLoop
import WebSocket

/// What all shards of a server share. Made once, before they start.
final class ServerContext: Sendable {
  /// Clients that are told to come back when the server drains do so spread over so many milliseconds.
  static let drainSpreadMilliseconds: Int32 = 5_000

  let configuration: Configuration
  let bounds: Bounds
  let loopConfiguration: LoopConfiguration
  /// This start of the server; never 0.
  let epoch: UInt64
  let store: StoreFacts
  let directory = Directory(id: Store.directoryID)
  let originRule: OriginRule
  let ports: [ShardPort]
  let storeQueue: StoreQueue
  let viewQueue: ViewQueue
  let metrics: Metrics
  let health: Health
  let admission: Admission
  let listeners: Listeners
  /// Shards that a first batch has reached.
  let proven: Gathering
  /// Shards that have handed over all that they took.
  let quiesced: Gathering

  init(
    _ configuration: Configuration, bounds: Bounds, store: StoreFacts, ports: [ShardPort],
    storeQueue: StoreQueue, metrics: Metrics, listeners: Listeners
  ) {
    self.configuration = configuration
    self.bounds = bounds
    loopConfiguration = bounds.loopConfiguration(configuration)
    epoch = UInt64.random(in: 1 ... .max)
    self.store = store
    originRule = OriginRule(allowed: configuration.origins)
    self.ports = ports
    self.storeQueue = storeQueue
    viewQueue = ViewQueue(shards: ports.count)
    self.metrics = metrics
    health = Health(pulses: ports.map(\.pulse))
    admission = Admission(
      connectionsMax: bounds.connectionsMax, newcomerBytesMax: configuration.handshakeBytes)
    self.listeners = listeners
    proven = Gathering(of: 0..<ports.count)
    quiesced = Gathering(of: 0..<ports.count)
  }

  func makeEdge(shard: Int) -> Edge {
    Edge(
      Edge.Configuration(
        shard: shard, epoch: epoch, log: store.log, server: configuration.serverID, partitions: 1,
        limits: configuration.limits, hashSeed: UInt64.random(in: 0 ... .max)),
      view: store.view, directory: directory.id, applied: [store.applied])
  }
}
