/// Counters of one loop since its start, for metrics. Written by its thread alone; a copy is taken by asking.
public struct LoopStatistics: Sendable, Hashable, BitwiseCopyable {
  /// Turns of the loop, and system calls that submitted, waited or both.
  public var turns: UInt64 = 0
  public var submits: UInt64 = 0
  /// Writes to sockets, and the bytes the kernel took.
  public var writes: UInt64 = 0
  public var bytesWritten: UInt64 = 0
  /// Receptions that brought bytes, and those bytes.
  public var receives: UInt64 = 0
  public var bytesReceived: UInt64 = 0
  /// Connections taken, and closed at once because every slot was used.
  public var accepted: UInt64 = 0
  public var refused: UInt64 = 0
  /// Connections whose descriptor is closed again.
  public var closed: UInt64 = 0
  /// Connections cut because their output waited too long.
  public var writeTimeouts: UInt64 = 0
  /// Completions and readiness of connections that were gone already.
  public var stale: UInt64 = 0
  /// Times the receive ring ran out of buffers, and the completion queue overflowed (io_uring).
  public var receiveStarvations: UInt64 = 0
  public var completionOverflows: UInt64 = 0
  /// Times accepting paused for want of descriptors.
  public var acceptPauses: UInt64 = 0
  /// `send`s and `reserve`s refused at a bound.
  public var refusedOutputs: UInt64 = 0

  public init() {}
}
