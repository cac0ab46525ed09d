import JSON

/// The machine of one partition's owner in a cluster (DESIGN section 5, "The owner"): applies the log's
/// records to the view, one batch at a time, tells the servers whose sessions listen, and commits how far it
/// has come. It takes over where another owner was, and rebuilds a view that is missing or went back.
///
/// ```
///                       refused                          the view is gone, went back, or was left half built
///             +----------------------------+------------------------------------------------+
///             v                            |                                                v
///  assigned   reviewing ---------> filling ---> open (replay?, then in service)   beginningRebuild
///             | reads the view     dedupe  |                                        |
///             |                    table   |                                        v
///             |                       ^----+------------------- placing <- readingState
///             +--- the rebuild of another one died: go on with it -------------------^
/// ```
/// Pure: inputs are calls, and what it wants done stands in `actions`. Every question is answered, if only
/// by a failure, and asked again then at one of the next ticks; answers under an old tag are passed by.
public final class Owner {
  public struct Configuration: Sendable {
    public var partition: Int32
    /// Of the log, from 1.
    public var generation: Int64
    public var limits: Limits
    /// Secrets of the hash by which records are known again.
    public var hashSeedLow: UInt64
    public var hashSeedHigh: UInt64
    /// Random, another one for each owner: ids of new views are made from it.
    public var idSeed: UInt64
    /// Entries of the dedupe table at most.
    public var rememberedRecords = DedupeTable.maximumEntries

    public init(
      partition: Int32, generation: Int64, limits: Limits = Limits(), hashSeedLow: UInt64,
      hashSeedHigh: UInt64, idSeed: UInt64
    ) {
      self.partition = partition
      self.generation = generation
      self.limits = limits
      self.hashSeedLow = hashSeedLow
      self.hashSeedHigh = hashSeedHigh
      self.idSeed = idSeed
    }
  }

  /// Things counted since the owner was made.
  public struct Counters: Sendable {
    public var batches: UInt64 = 0
    public var records: UInt64 = 0
    public var duplicates: UInt64 = 0
    /// Records of the log that are not ours; positions pass them.
    public var foreign: UInt64 = 0
    /// Batches not sent, since a directory answered that is not one of those known.
    public var unsent: UInt64 = 0
    public var takeovers: UInt64 = 0
    public var rebuilds: UInt64 = 0
    /// Records without an entry, since the dedupe table was full.
    public var unremembered: UInt64 = 0
  }

  enum Phase: Equatable {
    /// Not assigned, or not any more.
    case idle
    /// Reads the view, to know where it stands. Next: filling, beginningRebuild, readingState.
    case reviewing
    /// Gives the view a new id. Next: readingState, or reviewing where it is refused.
    case beginningRebuild
    /// Reads the state topic, and restores its rows meanwhile. Next: placing, or filling.
    case readingState
    /// Asks the log where the replay begins, and tells the view. Next: filling.
    case placing
    /// Fills the dedupe table up to where the view stands. Next: open.
    case filling
    /// Applies batches: of a replay while there is a `rebuild`. Next: reviewing where one is refused.
    case open
    /// Kafka lost what it had acknowledged: nothing more is done.
    case stopped
  }

  /// Records and bytes of a batch.
  static let batchRecords = 512
  static let batchBytes = 1 << 20
  /// Bytes of records that wait: beyond it the log is not read, below half of it is again.
  static let queuedBytes = 4 << 20
  /// Bytes of buffers that stay between batches.
  static let keptBytes = 4 << 20

  let configuration: Configuration
  let hash: KeyedHash
  /// What is to be done, in order. Cleared by `actionsPerformed`.
  public internal(set) var actions: [OwnerAction] = []
  public internal(set) var counters = Counters()

  var phase = Phase.idle
  var tick: Tick = 0
  var wall: WallTime = 0
  private var lastTag: UInt64 = 0
  private var idState: UInt64

  // Where the partition stands.
  /// The view's id that the batches go to; 0 before one is known.
  var view: ViewID = 0
  /// All up to it has been applied and went through its sends.
  var position: Seq = 0
  /// The highest position that was ever applied here; nil before any.
  var highest: Seq?
  /// The committed position as far as it is known; nil where nothing was ever committed.
  var committed: Seq?

  // What was read of the log.
  var reading: UInt64 = 0
  var queue = RecordQueue()
  var isLogPaused = false
  var dedupe: DedupeTable
  var recentMarks = LogMarks(span: Limits.recentMilliseconds)
  var outcomeMarks = LogMarks(span: Limits.dedupeSpanMilliseconds)
  var windowFloor: Seq = 0
  var logEnd = LogEndWatch()

  var review = Review()
  var fill = Fill()
  var rebuild: Rebuild?
  var pass: OwnerPass?
  /// What records judged by state came to, where that was read and not judged here.
  var outcomes: [Seq: OutcomeRow] = [:]

  // The chain.
  /// The primaries of the directory; nil where they have to be read before the next batch.
  var directories: [DirectoryID]?
  /// For each of them, up to where look-ups were last answered by it.
  var answeredUpto: [Seq] = []
  /// `upto` of the last batch to each server's epoch, where no batch since then may have been missed.
  var sent: [ServerEpoch: Seq] = [:]
  /// Nil where every living server is to get a batch at once.
  var lastBeat: Tick?
  var lastApply: Tick = 0

  var ledger = Ledger()
  var touched: TouchedChats

  // One question of a kind at a time.
  var viewQuestion = Question()
  var applyQuestion = Question()
  var rebuildQuestion = Question()
  var directoriesQuestion = Question()
  var lookUpQuestion = Question()
  var leasesQuestion = Question()
  var endQuestion = Question()
  var windowQuestion = Question()
  var windowPurpose = WindowPurpose.floor
  var commitQuestion = Question()
  var nextDirectories: Tick = 0
  var nextWindow: Tick = 0
  var nextEnd: Tick = 0
  var nextSweep: Tick = 0
  /// The number of the reading of the state topic under way, 0 where there is none.
  var stateReading: UInt64 = 0

  // Buffers that batches use again.
  var userNames: DistinctNames
  var roomNames: DistinctNames
  var text = ByteBuffer(capacity: 4 << 10)
  var event = ByteBuffer(capacity: 4 << 10)
  var hints = ByteBuffer(capacity: 4 << 10)
  var serverHints = ByteBuffer(capacity: 4 << 10)

  public init(configuration: Configuration) {
    self.configuration = configuration
    hash = KeyedHash(seedLow: configuration.hashSeedLow, seedHigh: configuration.hashSeedHigh)
    idState = configuration.idSeed
    dedupe = DedupeTable(capacity: configuration.rememberedRecords)
    touched = TouchedChats(seed: configuration.hashSeedLow)
    userNames = DistinctNames(seed: configuration.hashSeedLow)
    roomNames = DistinctNames(seed: configuration.hashSeedHigh)
  }

  /// Whether batches are applied and hinted now.
  public var isInService: Bool { phase == .open && rebuild == nil }

  /// All up to it has been applied and went through its sends; nil before that is known.
  public var appliedPosition: Seq? { phase == .open ? position : nil }

  /// The caller has performed all `actions`.
  public func actionsPerformed() { actions.removeAll(keepingCapacity: true) }

  // MARK: Assignment and time

  /// The partition is this owner's. `committed`: the group's committed position, nil where there is none.
  public func assigned(committed: Seq?, tick: Tick, wall: WallTime) {
    guard phase == .idle else { return }
    self.tick = tick
    self.wall = wall
    self.committed = committed
    nextSweep = tick + Self.sweepMilliseconds
    takeOver()
    advance()
  }

  /// The partition is another one's now: everything under way is forgotten.
  public func revoked() {
    guard phase != .stopped else { return }
    forget()
    phase = .idle
    ledger = Ledger()
    touched = TouchedChats(seed: configuration.hashSeedLow)
    committed = nil
    highest = nil
    actions.removeAll()
  }

  /// Time passes; about every 100 ms.
  public func tick(tick: Tick, wall: WallTime) {
    self.tick = tick
    self.wall = wall
    guard phase != .idle, phase != .stopped else { return }
    watchLog()
    if phase == .open { keepUp() }
    advance()
  }

  // MARK: Helpers of all parts

  func nextTag() -> UInt64 {
    lastTag += 1
    return lastTag
  }

  /// The next of a sequence that never has 0 (splitmix64).
  func nextViewID() -> ViewID {
    var id: UInt64
    repeat {
      idState &+= 0x9E37_79B9_7F4A_7C15
      id = idState
      id = (id ^ id >> 30) &* 0xBF58_476D_1CE4_E5B9
      id = (id ^ id >> 27) &* 0x94D0_49BB_1331_11EB
      id ^= id >> 31
    } while id == 0
    return id
  }

  func stop(_ reason: StopReason) {
    forget()
    phase = .stopped
    actions.append(.stop(reason))
  }

  /// Drops what is under way and what was read; what is to be committed stays.
  func forget() {
    pass = nil
    rebuild = nil
    outcomes = [:]
    sent = [:]
    directories = nil
    lastBeat = nil
    windowFloor = 0
    logEnd = LogEndWatch()
    stateReading = 0
    for path in [
      \Owner.viewQuestion, \.applyQuestion, \.rebuildQuestion, \.directoriesQuestion, \.lookUpQuestion,
      \.leasesQuestion, \.endQuestion, \.windowQuestion, \.commitQuestion,
    ] { self[keyPath: path].cancel() }
    forgetLog()
  }

  /// Does what can be done now. Called at the end of every input; what it finds nothing to do about waits
  /// for an answer, a record or a tick.
  func advance() {
    switch phase {
    case .idle, .stopped: return
    case .reviewing: advanceReview()
    case .beginningRebuild: advanceBeginning()
    case .readingState, .placing: advanceRestoring()
    case .filling: advanceFill()
    case .open: advanceOpen()
    }
  }
}
