import Chat
import EventLoop

/// The memory that a server takes, from the figures of docs/BENCHMARKS.md and of its bounds.
struct MemoryBudget: Sendable, Equatable {
  /// Bytes of the program before the first connection.
  private static let baseBytes = 32 << 20
  /// Bytes of the program's own for an idle session.
  static let sessionBytes = 1_200
  /// Bytes of the kernel's for an idle connection: the socket, and what waits on it.
  static let socketBytes = 3_830
  static let receiveRequestBytes = 864
  static let epollBytes = 208

  /// One idle connection, the program's bytes and the kernel's.
  let connectionBytes: Int
  /// What does not depend on the connections.
  let fixedBytes: Int
  /// What may wait at most: for the store, for clients, before `welcome`, half-received, pinned.
  let boundBytes: Int
  let connections: Int

  init(_ plan: Plan) {
    let usesRing = plan.backend == .ioUring
    let loop = LoopConfiguration()
    connectionBytes =
      Self.sessionBytes + Self.socketBytes + (usesRing ? Self.receiveRequestBytes : Self.epollBytes)
    fixedBytes =
      Self.baseBytes + (usesRing ? plan.shards * loop.receiveBuffers * loop.receiveBufferBytes : 0)
    let output = plan.bounds.loopConfiguration(plan.configuration).totalOutputBytes
    boundBytes =
      plan.configuration.limits.appendBytes + plan.configuration.handshakeBytes + Bounds.pinnedBytes
      + plan.shards * (output + plan.bounds.gatheredBytes)
    connections = plan.connections
  }

  /// With all connections there and idle.
  var restBytes: Int { fixedBytes + connections * connectionBytes }
  /// With all bounds reached at once.
  var fullBytes: Int { restBytes + boundBytes }

  /// Connections that fit beside all bounds.
  func connectionsFitting(_ bytes: Int) -> Int {
    max((bytes - fixedBytes - boundBytes) / connectionBytes, 0)
  }
}
