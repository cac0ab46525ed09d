import EventLoop
import WebSocket

/// What all shards of a server share. Made once, before they start.
final class ServerContext: Sendable {
  /// Clients that are told to come back when the server drains do so spread over so many milliseconds.
  static let drainSpreadMilliseconds: Int32 = 5_000

  let configuration: Configuration
  let bounds: Bounds
  let loopConfiguration: LoopConfiguration
  let backbone: Backbone
  let originRule: OriginRule
  let ports: [ShardPort]
  let metrics: Metrics
  let health: Health
  let admission: Admission
  let listeners: Listeners
  let proven: Gathering
  let quiesced: Gathering

  init(_ shared: Shared, bounds: Bounds, backbone: Backbone, listeners: Listeners) {
    configuration = shared.configuration
    self.bounds = bounds
    loopConfiguration = bounds.loopConfiguration(configuration)
    self.backbone = backbone
    originRule = OriginRule(allowed: configuration.origins)
    ports = shared.ports
    metrics = shared.metrics
    health = shared.health
    admission = Admission(
      connectionsMax: bounds.connectionsMax, newcomerBytesMax: configuration.handshakeBytes)
    self.listeners = listeners
    proven = shared.proven
    quiesced = shared.quiesced
  }
}
