public import JSON

/// The role that owns sockets, as a pure machine: one a shard. Inputs come as calls; what it wants done it
/// leaves in `actions`, `appends`, `queries`, `ephemerals` and `reads`, which the loop performs and clears.
///
/// The contract with its loop:
/// - `beginTurn` comes first in each turn of the loop, `endTurn` last; `endTurn` is an input like others.
/// - After *each* input the loop performs `actions` in order and calls `actionsPerformed()`; then it
///   reports the copies that it dropped by `lost`. Then, as long as `hasMore`, it calls `continueBatch()`
///   and performs the actions again.
/// - `appends`, `queries`, `ephemerals` and `reads` may be collected over the inputs of a turn, and are
///   taken after `endTurn`.
/// - A `SessionID` in an action is of an open session, or of one that this same action closes.
/// - A slot stays the session's until `closed`, or until an action closed it.
///
/// What it holds of users and chats is numbered (`NameTable`), and all else are plain structs in slabs:
/// a frame costs no allocation and no count of references.
public final class Edge {
  public struct Configuration: Sendable {
    public var shard: Int
    /// This start of the server; never 0.
    public var epoch: UInt64
    /// The log's id, as clients keep it beside their cursors.
    public var log: String
    public var server: String
    public var partitions: Int32
    public var limits: Limits
    /// One server among others: rooms are registered, silence is a doubt, and what is remembered authorises
    /// only while the lease holds.
    public var isClustered: Bool
    /// Keys the tables of names, so that clients cannot choose names that collide.
    public var hashSeed: UInt64

    public init(
      shard: Int, epoch: UInt64, log: String, server: String, partitions: Int32, limits: Limits,
      isClustered: Bool = false, hashSeed: UInt64
    ) {
      self.shard = shard
      self.epoch = epoch
      self.log = log
      self.server = server
      self.partitions = partitions
      self.limits = limits
      self.isClustered = isClustered
      self.hashSeed = hashSeed
    }
  }

  /// Reads of the view under way at once, for catching up; the rest waits in a queue.
  static let readsAtOnce = 256
  /// Actions after which a batch is left off, so that the loop performs them before more come.
  static let actionsAtOnce = 4096
  /// Requests of a session that were answered `unavailable` and may still happen; past it the session ends.
  static let indefiniteRequests = 1024

  let configuration: Configuration
  let limits: Limits

  // MARK: What it wants done

  public internal(set) var actions: [EdgeAction] = []
  /// Records for the log, as `AppendCodec` writes them. The loop takes and clears them, once a turn.
  public var appends = ByteBuffer(capacity: 64 << 10)
  /// How many records `appends` holds; cleared with it.
  public var appendCount = 0
  public var queries: [ViewQuery] = []
  /// For every shard, this one included.
  public var ephemerals: [Ephemeral] = []
  public var reads: [ReadMark] = []
  /// Only rising, but for `sessions`.
  public internal(set) var counters = EdgeCounters()

  var output = ByteBuffer(capacity: 64 << 10)
  var deliveries: [Delivery] = []

  // MARK: What it remembers

  var tick: Tick = 0
  /// Of the turn before: what this turn's mailbox holds was posted since then.
  var tickBefore: Tick = 0
  var wall: WallTime = 0
  var appendRoom = 0

  var sessions = Slab<Session>()
  var userNames: NameTable
  var users = Slab<User>()
  var chatNames: NameTable
  var chats = Slab<ChatEntry>()
  var memberships = Slab<Membership>()
  var listeners = Slab<Listener>()
  var listenerNumbers: [ListenerKey: Int32] = [:]
  var pendings = Slab<Pending>()
  /// Sessions on their way in, and those whose partitions have not settled, by slot.
  var attaches: [Int32: Attach] = [:]
  var partitions: [PartitionState]
  /// Questions to the view without an answer, by tag.
  var viewReads: [UInt64: ViewQuestion] = [:]
  var lastTag: UInt64 = 0
  var catchUpReads = 0

  /// The batch that is being handed over, and where in it.
  var current: Batch?
  var currentOffset = 0
  /// The batch that the last input came to the end of: its deliveries point into it until the next one.
  var finished: Batch?
  /// This start of the server, or its coming back after a lost inbox, and those before it.
  var epoch: Epoch
  var pastEpochs: [Epoch] = []
  /// Sessions and rooms are not known to stand in the directory: nothing of it counts before
  /// `registeredAgain`.
  var isRegistrationDoubted = false
  /// The primaries of the last registration.
  var directories: [DirectoryID] = []
  /// What is remembered of members authorises until then.
  var leaseUntil: Tick = .max
  /// Batches may wait that were held.
  var canResume = false

  /// The bytes of the ephemeral event that is being delivered: its `Delivery` points into them.
  var ephemeral = ByteBuffer()
  /// The bytes of the page that is being delivered.
  var page = ByteBuffer()

  var helloDeadlines = Queue<SessionID>()
  var attachDeadlines = Queue<SessionID>()
  var watched = Queue<Watch>()
  var catchUpQueue = Queue<SessionID>()
  var liveQueue = Queue<SessionID>()
  /// Reads that could not be answered, to be tried again at the next look at the deadlines.
  var retries: [ViewRetry] = []

  // Texts with escapes are decoded here: a request's id, its chat, another name.
  var idScratch = ByteBuffer()
  var chatScratch = ByteBuffer()
  var nameScratch = ByteBuffer()
  /// What the edge itself composes as the body of a record or an event.
  var bodyScratch = ByteBuffer()

  /// `applied` and the view's id are what the view says when the server starts.
  public init(_ configuration: Configuration, view: ViewID, directory: DirectoryID, applied: [Seq]) {
    precondition(configuration.epoch != 0 && applied.count == Int(configuration.partitions))
    self.configuration = configuration
    epoch = configuration.epoch
    limits = configuration.limits
    userNames = NameTable(seed: configuration.hashSeed)
    chatNames = NameTable(seed: ~configuration.hashSeed)
    directories = [directory]
    partitions = applied.map { PartitionState(position: $0, view: view, directories: [directory]) }
  }

  /// In a cluster: begins in doubt everywhere, and stands where the view does once `registeredAgain` was
  /// told.
  public init(_ configuration: Configuration) {
    precondition(configuration.epoch != 0 && configuration.isClustered)
    self.configuration = configuration
    epoch = configuration.epoch
    limits = configuration.limits
    userNames = NameTable(seed: configuration.hashSeed)
    chatNames = NameTable(seed: ~configuration.hashSeed)
    isRegistrationDoubted = true
    leaseUntil = .min
    partitions = (0..<configuration.partitions).map { _ in
      PartitionState(position: PartitionState.nowhere, view: 0, directories: [])
    }
    for p in partitions.indices { partitions[p].doubt = .registration }
  }

  /// How many actions wait, and each of them: without handing out the array, which would be counted.
  public var actionCount: Int { actions.count }
  public func action(_ index: Int) -> EdgeAction { actions[index] }

  /// Whether anything was collected for the log, the view, the other shards or the read positions.
  public var hasCollected: Bool {
    !appends.isEmpty || !queries.isEmpty || !ephemerals.isEmpty || !reads.isEmpty
  }

  /// Whether no partition is in doubt.
  public var isSettled: Bool { partitions.allSatisfy { $0.doubt == .none } }

  /// What waits in this shard, and its bounds (I8): batches held in a doubt, requests of the session that has
  /// most, reads for catching up.
  public var occupancy: [(name: StaticString, value: Int, bound: Int)] {
    var requests = 0
    for slot in 0..<Int32(sessions.addressable) where sessions[slot].pointee.phase != .free {
      requests = max(requests, Int(sessions[slot].pointee.waiting))
    }
    return [
      ("batches held", partitions.map(\.held.count).max() ?? 0, PartitionState.heldBatches),
      ("requests of a session", requests, limits.pendingRequests),
      ("reads under way", catchUpReads, Self.readsAtOnce),
    ]
  }

  /// The bytes of a `.send`.
  public func output(start: Int32, count: Int32) -> UnsafeRawBufferPointer {
    output[Int(start)..<Int(start) + Int(count)]
  }

  /// The event of a `.deliver`.
  public func delivery(_ index: Int32) -> Delivery { deliveries[Int(index)] }

  /// Who the session is; empty before its `hello`.
  public func user(of session: SessionID) -> UnsafeRawBufferPointer {
    guard let pointer = find(session), pointer.pointee.user >= 0 else { return .init(start: nil, count: 0) }
    return userNames.bytes(pointer.pointee.user)
  }

  /// Which device the session is of; empty before its `hello`.
  public func device(of session: SessionID) -> UnsafeRawBufferPointer {
    guard let pointer = find(session) else { return .init(start: nil, count: 0) }
    return deviceName(pointer)
  }

  /// All `actions` of the last input are done. What they dropped is still to be told by `lost`.
  public func actionsPerformed() {
    actions.removeAll(keepingCapacity: true)
    output.removeAll(keepingAtMost: 1 << 20)
  }

  /// Each input begins so: the deliveries of the one before it are not asked for any more.
  func beginInput() {
    if !deliveries.isEmpty { deliveries.removeAll(keepingCapacity: true) }
    if finished != nil { finished = nil }
  }

  deinit {
    for number in 0..<Int32(chats.addressable) { chats[number].pointee.members?.deallocate() }
  }

  // MARK: Time

  /// A turn of the loop begins. `appendRoom`: bytes of appends that it may hand over, its share of
  /// what the server still takes.
  public func beginTurn(tick: Tick, wall: WallTime, appendRoom: Int) {
    beginInput()
    let stoodStillFor = tick - self.tick
    let isFirst = self.tick == 0
    tickBefore = self.tick
    self.tick = tick
    self.wall = wall
    self.appendRoom = appendRoom
    if !isFirst, stoodStillFor > Limits.stallMilliseconds {
      // What waits in the sockets may be older than the owner's memory of repeats (DESIGN section 3).
      closeAll { _ in (4000, 0, "the server stood still") }
    }
  }

  /// Lets what the turn's inputs made ready happen: reads for those who catch up, `live` for those who have.
  public func endTurn() {
    beginInput()
    issueCatchUpReads()
    while let id = liveQueue.popFirst() {
      guard let session = find(id) else { continue }
      session.pointee.isQueuedForLive = false
      guard session.pointee.beforeLive == 0, !session.pointee.wasToldLive else { continue }
      session.pointee.wasToldLive = true
      sendLive(session)
    }
  }

  // MARK: Sessions

  func find(_ id: SessionID) -> UnsafeMutablePointer<Session>? {
    let slot = Int32(id.slot)
    guard Int(slot) < sessions.addressable else { return nil }
    let session = sessions[slot]
    return session.pointee.id == id && session.pointee.phase != .free ? session : nil
  }

  func deviceName(_ session: UnsafeMutablePointer<Session>) -> UnsafeRawBufferPointer {
    let field = UnsafeMutableRawPointer(session) + MemoryLayout<Session>.offset(of: \.device)!
    return InlineName.bytes(of: field.assumingMemoryBound(to: InlineName.self))
  }

  func pause(_ session: UnsafeMutablePointer<Session>, _ reason: Session.Pause) {
    let wasPaused = !session.pointee.pause.isEmpty
    session.pointee.pause.insert(reason)
    if !wasPaused { actions.append(.pause(session.pointee.id)) }
  }

  func resume(_ session: UnsafeMutablePointer<Session>, _ reason: Session.Pause) {
    guard session.pointee.pause.contains(reason) else { return }
    session.pointee.pause.remove(reason)
    if session.pointee.pause.isEmpty { actions.append(.resume(session.pointee.id)) }
  }

  /// Ends the session: the loop closes its connection, and the machine forgets it.
  func close(
    _ session: UnsafeMutablePointer<Session>, _ code: UInt16, retry: Int32 = 0, _ reason: StaticString
  ) {
    actions.append(.close(session.pointee.id, code: code, retry: retry, reason: reason))
    forget(session)
  }

  func closeAll(_ how: (SessionID) -> (UInt16, Int32, StaticString)) {
    for slot in 0..<Int32(sessions.addressable) {
      let session = sessions[slot]
      guard session.pointee.phase != .free else { continue }
      let (code, retry, reason) = how(session.pointee.id)
      close(session, code, retry: retry, reason)
    }
  }

  // MARK: The end

  /// Stops taking requests: every session is closed with 4000 and told to come back after a time spread
  /// over `spreadMilliseconds`; `seed` spreads it.
  public func drain(spreadMilliseconds: Int32, seed: UInt64) {
    beginInput()
    var state = seed
    closeAll { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let spread = Int32((state >> 33) % UInt64(max(spreadMilliseconds, 1)))
      return (4000, 1 + spread, "draining")
    }
  }
}

struct ListenerKey: Hashable {
  var slot: Int32
  var chat: Int32
}

/// A session with requests that wait, and when to look at them again.
struct Watch: BitwiseCopyable {
  var session: SessionID
  var at: Tick
}

public struct EdgeCounters: Sendable {
  /// Sessions that were welcomed and are still here.
  public var sessions = 0
  /// Sessions that were welcomed, ever.
  public var welcomed: UInt64 = 0
  public var requests: UInt64 = 0
  /// Sends handed to the log.
  public var sends: UInt64 = 0
  /// Copies of events handed to sessions, replays included.
  public var deliveries: UInt64 = 0
  /// Copies dropped at a session's bound: pull mode.
  public var lostCopies: UInt64 = 0
  /// Times a session began to pull.
  public var congestions: UInt64 = 0
  public var doubts: UInt64 = 0
  /// Refusals by code, in the order of `ErrorCode`.
  public var refusals = [UInt64](repeating: 0, count: ErrorCode.allCases.count)

  public init() {}
}
