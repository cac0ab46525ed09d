public import JSON

/// The role that owns sockets, as a pure machine: one a shard. Inputs come as calls; what it wants done it
/// leaves in `actions`, `appends`, `queries`, `ephemerals` and `reads`, which the loop performs and clears.
///
/// The contract with its loop:
/// - `beginTurn` comes first in each turn of the loop.
/// - After *each* input the loop performs `actions` in order and calls `actionsPerformed()`; then it
///   reports what it dropped by `lost`, which may leave actions again.
/// - `appends`, `queries`, `ephemerals` and `reads` may be collected over the inputs of a turn.
/// - A `SessionID` in an action is of an open session, or of one that this same action closes.
/// - A SessionID's slot is below `slots`, and stays the session's until `closed`.
public final class Edge {
  public struct Configuration: Sendable {
    public var shard: Int
    /// This start of the server; never 0.
    public var epoch: UInt64
    /// The log's id, as clients keep it beside their cursors.
    public var log: String
    public var server: String
    public var partitions: Int32
    public var slots: Int
    public var limits: Limits

    public init(
      shard: Int, epoch: UInt64, log: String, server: String, partitions: Int32, slots: Int, limits: Limits
    ) {
      self.shard = shard
      self.epoch = epoch
      self.log = log
      self.server = server
      self.partitions = partitions
      self.slots = slots
      self.limits = limits
    }
  }

  // MARK: What it wants done

  public private(set) var actions: [EdgeAction] = []
  /// Records for the log, as `AppendCodec` writes them. The loop takes and clears them, once a turn.
  public var appends = ByteBuffer(capacity: 64 << 10)
  /// How many records `appends` holds; cleared with it.
  public var appendCount = 0
  public var queries: [ViewQuery] = []
  /// For every shard, this one included.
  public var ephemerals: [Ephemeral] = []
  public var reads: [ReadMark] = []

  /// The bytes of a `.send`.
  public func output(start: Int32, count: Int32) -> UnsafeRawBufferPointer { fatalError() }
  /// The event of a `.deliver`.
  public func delivery(_ index: Int32) -> Delivery { fatalError() }
  public func user(of session: SessionID) -> UnsafeRawBufferPointer { fatalError() }
  public func device(of session: SessionID) -> UnsafeRawBufferPointer { fatalError() }
  public func actionsPerformed() {}

  // MARK: Counters for metrics, only rising

  public private(set) var counters = EdgeCounters()

  /// `applied` and the view's id are what the view says when the server starts.
  public init(_ configuration: Configuration, view: UInt64, directory: UInt64, applied: [Seq]) {}

  // MARK: Time

  /// `appendRoom`: bytes of appends that the server still takes.
  public func beginTurn(tick: Tick, wall: WallTime, appendRoom: Int) {}
  /// Looks at deadlines. To be called about every 100 ms, also when nothing else happens.
  public func checkDeadlines() {}

  // MARK: From the sockets

  /// A WebSocket connection is open and waits for its `hello`. `token` came with the upgrade.
  public func opened(_ session: SessionID) {}
  /// The connection is gone, whoever ended it. Not called for one that an action closed.
  public func closed(_ session: SessionID) {}
  /// One text message. Not called between `pause` and `resume`.
  public func received(_ session: SessionID, text: UnsafeRawBufferPointer) {}
  /// Little waits for the session any more (below a quarter of `outputBytes`). Called when it was above
  /// that at the end of a turn and fell below.
  public func drained(_ session: SessionID) {}
  /// A `.deliver` of the last input was dropped.
  public func lost(_ session: SessionID, delivery index: Int32) {}
  /// Whether answers to requests still fit: the loop stops reading requests of a session whose waiting
  /// bytes are above `outputBytes`, without asking the machine.

  // MARK: From the directory

  public func registered(_ session: SessionID, directory: UInt64) {}
  /// A newer session of the same device attached.
  public func replaced(_ session: SessionID) {}

  // MARK: From the log, the owner and the view

  public func appended(_ report: Appended) {}
  public func failed(_ report: Failed) {}
  public func judged(_ verdict: Verdict) {}
  public func received(_ batch: Batch) {}
  public func received(_ answer: borrowing ViewAnswer) {}
  public func received(_ event: borrowing Ephemeral) {}
  /// The shard's mailbox was full and something was not put into it.
  public func mailboxOverflowed() {}

  // MARK: The end

  /// Stops taking requests: every session is closed with 4000 and told to come back after a time spread
  /// over `spreadMilliseconds`; `seed` spreads it.
  public func drain(spreadMilliseconds: Int32, seed: UInt64) {}
}

public struct EdgeCounters: Sendable {
  public var sessions = 0
  public var requests: UInt64 = 0
  public var messagesAccepted: UInt64 = 0
  public var deliveries: UInt64 = 0
  public var lostCopies: UInt64 = 0
  public var doubts: UInt64 = 0
  /// Refusals by code, in the order of `ErrorCode`.
  public var refusals = [UInt64](repeating: 0, count: ErrorCode.allCases.count)
}
