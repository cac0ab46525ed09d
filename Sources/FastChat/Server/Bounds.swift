import Chat
import EventLoop

/// The bounds of a server's parts, from those of the whole.
struct Bounds: Sendable {
  /// Slots of a loop for those who are told that there is no room, and for those who linger after the end.
  private static let reserve = 1_024
  /// Bytes above `limits.outputBytes` that may wait for one connection: the answers to all requests that a
  /// session may have under way, or an echo of the longest message.
  private static let answerBytes = 64 * Limits.serverFrameBytes + Shard.echoBytes
  /// Output and half-received messages that may wait in all shards.
  private static let outputBytes = 512 << 20
  private static let gatheredBytes = 512 << 20
  /// Bytes of batches, and of what was fetched with them, that may be held back where they lie (`Pins`).
  static let pinnedBytes = 64 << 20
  /// Free buffers for gathering that a shard keeps.
  static let pooledBytes = 4 << 20

  let shards: Int
  /// Connections of the whole server.
  let connectionsMax: Int
  /// Bytes that half-received messages of the sessions of a shard may take.
  let gatheredBytes: Int
  /// Bytes that half-received messages of a shard's connections without `welcome` may take: its share of
  /// what the server allows before it lets no more in, and room for one `hello` to grow.
  let newcomerBytes: Int

  init(_ configuration: Configuration, shards: Int, descriptors: Int) {
    self.shards = shards
    connectionsMax = configuration.connectionsMax(descriptors: descriptors)
    gatheredBytes = max(Bounds.gatheredBytes / shards, 4 * Shard.echoBytes)
    newcomerBytes = configuration.handshakeBytes / shards + 2 * Limits.helloBytes
  }

  func loopConfiguration(_ configuration: Configuration) -> LoopConfiguration {
    var loop = LoopConfiguration()
    loop.backend =
      switch configuration.backend {
      case .automatic: .automatic
      case .ioUring: .ioUring
      case .epoll: .epoll
      }
    // The kernel spreads connections over the shards as it likes: each may get all of them.
    loop.connections = min(connectionsMax, ConnectionID.slotLimit - Bounds.reserve)
    loop.reserve = Bounds.reserve
    loop.outputBytes = configuration.limits.outputBytes + Bounds.answerBytes
    loop.lowWaterBytes = configuration.limits.outputBytes / 4
    loop.totalOutputBytes = max(Bounds.outputBytes / shards, loop.outputBytes)
    loop.timers = loop.connections + Bounds.reserve
    return loop
  }
}
