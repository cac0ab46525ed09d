/// Every bound of a loop, with its unit. The defaults fit a shard that serves tens of thousands of
/// connections; memory that nobody uses is reserved, not touched.
public struct LoopConfiguration: Sendable {
  public enum BackendChoice: String, Sendable, CaseIterable {
    /// io_uring where the kernel offers what the loop needs, epoll otherwise.
    case automatic
    /// io_uring, or an error that names the missing feature.
    case ioUring = "io_uring"
    case epoll
  }

  public var backend = BackendChoice.automatic

  /// Connections that are served.
  public var connections = 16_384
  /// Slots beyond `connections`, so that one too many can still be told so, and for those that linger.
  public var reserve = 256

  /// Bytes that may wait for one connection: beyond it `send` and `reserve` refuse.
  public var outputBytes = 1 << 20
  /// Where `drained` is told: a quarter of the caller's own bound is a good mark.
  public var lowWaterBytes = 64 << 10
  /// Bytes of output, private and shared, that may wait in the whole loop.
  public var totalOutputBytes = 256 << 20
  /// Bytes of free output buffers that are kept for the next use.
  public var pooledBytes = 16 << 20
  /// Pieces of output that may wait in the whole loop (a private chunk or one use of a shared buffer).
  public var segments = 1 << 20

  /// Milliseconds that output may wait for a peer that confirms none of it; found out up to half of it later.
  public var writeTimeoutMilliseconds: Int64 = 30_000
  /// Milliseconds that what is queued may take to leave after the peer closed its sending side.
  public var lingerMilliseconds: Int64 = 2_000
  /// Bytes that a finished connection may still send before it is cut off.
  public var lingerBytes = 256 << 10
  /// Milliseconds until accepting is tried again after descriptors ran out.
  public var acceptRetryMilliseconds: Int64 = 100

  /// Timers of the caller that may be set at one time.
  public var timers = 1 << 16
  /// Milliseconds of a step of the timer wheel, 1 to 10: a timer fires this much late at most.
  public var timerGranularityMilliseconds: Int64 = 4

  /// Buffers of the receive ring (a power of two, at most 32,768) and bytes of each: io_uring. With buffers
  /// of 2 KiB, sixteen messages of 1 KiB cost 1.4 times as much as with these; smaller ones cost the same.
  public var receiveBuffers = 1_024
  public var receiveBufferBytes = 8_192
  /// Submission entries: a full queue is submitted (more than 256 at once are slower).
  public var submissionEntries: UInt32 = 256
  /// Completion entries, at most 65,536.
  public var completionEntries: UInt32 = 16_384

  /// Bytes taken from a socket at once, and events taken in a turn: epoll.
  public var epollReceiveBytes = 64 << 10
  public var epollEvents = 1_024
  /// Connections taken from one listener in a turn, so that a storm of them does not starve the others: epoll.
  public var acceptsPerTurn = 64

  public init() {}

  /// Checks each bound, and the relations between them.
  func validate() throws(LoopError) {
    func require(_ holds: Bool, _ what: String) throws(LoopError) {
      if !holds { throw .configuration(what) }
    }
    try require(connections > 0 && reserve >= 0, "connections above 0, reserve not below")
    try require(connections + reserve <= ConnectionID.slotLimit, "connections + reserve up to 2^24")
    try require(outputBytes > 0 && outputBytes <= 1 << 30, "outputBytes 1 to 2^30")
    try require(lowWaterBytes >= 0 && lowWaterBytes < outputBytes, "lowWaterBytes below outputBytes")
    try require(totalOutputBytes >= outputBytes, "totalOutputBytes at least outputBytes")
    try require(segments > 0 && segments < Int(UInt32.max), "segments above 0")
    try require(pooledBytes >= 0, "pooledBytes not below 0")
    try require(
      writeTimeoutMilliseconds > 0 && lingerMilliseconds > 0 && acceptRetryMilliseconds > 0,
      "time-outs above 0")
    try require(lingerBytes >= 0, "lingerBytes not below 0")
    try require(timers >= 0 && timers < 1 << 28, "timers below 2^28")
    try require((1...10).contains(timerGranularityMilliseconds), "timerGranularityMilliseconds 1 to 10")
    try require(
      receiveBuffers.nonzeroBitCount == 1 && receiveBuffers <= 32_768,
      "receiveBuffers a power of two up to 32,768")
    try require((256...(1 << 20)).contains(receiveBufferBytes), "receiveBufferBytes 256 to 1 MiB")
    try require((8...32_768).contains(submissionEntries), "submissionEntries 8 to 32,768")
    try require(
      completionEntries >= submissionEntries * 2 && completionEntries <= 65_536,
      "completionEntries from twice submissionEntries to 65,536")
    try require((256...(16 << 20)).contains(epollReceiveBytes), "epollReceiveBytes 256 to 16 MiB")
    try require((1...65_536).contains(epollEvents), "epollEvents 1 to 65,536")
    try require(acceptsPerTurn > 0, "acceptsPerTurn above 0")
  }
}
