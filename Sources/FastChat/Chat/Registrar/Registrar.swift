/// Writes the directory for all shards of one server: its lease, its sessions, its rooms (DESIGN section 5,
/// "Two orders", "One answer to every doubt" and "Leases"). A pure machine: inputs are calls, wishes are
/// `actions`.
///
/// The contract with its caller:
/// - After each input it performs `actions` in order, all of them, and calls `actionsPerformed()`.
/// - A `.tell` stands in the shard's mailbox, or in a queue before it that is never dropped from and keeps
///   its order, before the action after it is performed.
/// - A request to the directory that is answered as unknown, or not within `Lane.answerMilliseconds`, does
///   not take effect later than `lateMilliseconds` after that: who gives a connection up resets it, so that
///   nothing leaves its buffers any more.
/// - `tick` comes about every 100 ms, and first when the process stood still: all times are reckoned from the
///   last one. The other inputs may come at any time, in any order.
///
/// How a registration becomes true: an entry counts once the directories' ids, read *after* it was answered,
/// are those that the shards know. Otherwise it may have been written to a primary whose successor, or
/// whose predecessor, answers the owners. A *pass* registers everything again: doubt in every mailbox, the
/// lease, the ids, all entries, the ids once more; where these are others, all entries again.
public final class Registrar {
  public struct Configuration: Sendable {
    public var server: String
    public var host: String
    /// The kernel's boot id: another one, and no process of that time is there any more.
    public var boot: String
    public var process: Int64
    /// At most 256.
    public var shards: Int
    /// Epochs come from it: 64 random bits.
    public var seed: UInt64

    public init(
      server: String, host: String, boot: String, process: Int64, shards: Int, seed: UInt64
    ) {
      self.server = server
      self.host = host
      self.boot = boot
      self.process = process
      self.shards = shards
      self.seed = seed
    }
  }

  /// Entries in one request.
  public static let entriesAtOnce = 512
  /// Registering requests under way at once; what comes meanwhile is the next ones' batch.
  public static let requestsAtOnce = 4
  /// Milliseconds that a room stays registered without a listener.
  public static let roomLingerMilliseconds: Int64 = 10_000
  /// Milliseconds within which a request that was given up still may take effect.
  public static let lateMilliseconds: Int64 = Limits.leaseMilliseconds
  /// Milliseconds between two looks at the directories' ids while nothing else asks for them.
  static let directoriesMilliseconds: Int64 = 1_000
  /// Milliseconds to wait for a predecessor's lease to end, and between two looks at it.
  static let predecessorMilliseconds: Int64 = Limits.leaseMilliseconds + 1_000
  static let predecessorPauseMilliseconds: Int64 = 250
  /// Milliseconds from reading the inbox again to the next time, should it be lost again at once.
  static let rereadMilliseconds: Int64 = 1_000
  /// How often the removal of a session is tried. An entry that stays costs its server a hint, no more.
  static let removalAttempts = 20
  /// Removals of sessions that wait; beyond it they are not made.
  static let removalsWaiting = 100_000
  /// Epochs of this process that are remembered.
  static let epochsRemembered = 64
  /// Of these, in how many before this one entries are looked for. Each pass takes them out of all before it.
  static let epochsTakenOut = 8

  enum Phase {
    /// Before `start`.
    case new
    /// -> takingLease
    case makingInbox
    /// The lease lapsed: -> takingLease, or makingInbox in a new epoch.
    case checkingInbox
    /// -> registering, or over where a living server holds it.
    case takingLease
    /// A pass -> standing; a lapse -> checkingInbox; another holder, a lost inbox -> makingInbox.
    case registering
    /// All is registered -> registering, and whatever that leads to.
    case standing
    /// Refused or stopped.
    case over
  }

  let configuration: Configuration
  public internal(set) var actions: [RegistrarAction] = []
  /// The epoch of this server now. Known before `start`: the edges begin with it.
  public internal(set) var epoch: Epoch = 0
  /// Epochs that this process had before, in which its sessions may have entries that are to be taken out.
  public var earlierEpochs: [Epoch] { epochs.dropLast().suffix(Self.epochsTakenOut) }
  /// The lease holds at least until then.
  public internal(set) var leaseHeldUntil: Tick = .min
  /// Nothing is in doubt: lease, inbox and all entries stand.
  public var isStanding: Bool { phase == .standing }
  /// Sessions are being taken out of the directory, or can be now.
  public var hasRemovals: Bool {
    !requests.isEmpty || sessionRemovals.first.map { $0.notBefore <= tick } ?? false
  }
  /// Sessions and rooms in the tables.
  public var sessionCount: Int { sessions.count }
  public var roomCount: Int { rooms.count }

  var phase = Phase.new
  var tick: Tick = 0
  var random: UInt64
  var lastTag: UInt64 = 0
  /// Of this process, this one last.
  var epochs: [Epoch] = []

  // The lease and the inbox.
  var lease = Lane()
  var inbox = Lane()
  var inboxIsNew = true
  var inboxIsDoubted = false
  /// Whose lease is replaced when it is in the way.
  var replacing: LeaseHolder?
  var goneHolder: LeaseHolder?
  var otherHolder: LeaseHolder?
  var otherSince: Tick = 0

  // The directories.
  var directories = Lane()
  var directoriesDueAt: Tick = .min
  /// The shards hold everything until `registeredAgain`; they begin so.
  var isDoubted = true
  /// What the shards were told last.
  var toldDirectories: [DirectoryID] = []
  /// What was read before the first registration of the pass; nil: not yet.
  var base: [DirectoryID]?
  /// Rises with each `base`: what was asked before is registered again.
  var generation: UInt64 = 0
  /// Entries that the pass still has to register.
  var owed = 0
  /// Entries that were answered since the ids were asked for last, and before.
  var answered: [Entry] = []
  var confirming: [Entry] = []
  /// Shards that asked since the ids were asked for last, and before.
  var asking = ShardSet()
  var askedBefore = ShardSet()

  // The entries.
  var sessions = SlotTable<SessionID, SessionRecord>()
  var rooms = SlotTable<[UInt8], RoomRecord>()
  var sessionQueue = Fifo<SessionID>()
  /// The view of each partition that rooms were registered beside, where it changed.
  var views: [Int32: ViewID] = [:]
  var roomQueue = Fifo<[UInt8]>()
  /// Rooms that wait until no late removal can take them.
  var delayedRooms: [[UInt8]] = []
  /// Rooms without listeners, and since when.
  var emptied = Fifo<(chat: [UInt8], since: Tick)>()
  var roomRemovals = Fifo<[UInt8]>()
  var sessionRemovals = Fifo<Removal>()
  var requests: [EntryRequest] = []
  /// Paces the requests after failures; each request is under way by itself.
  var registering = Lane()
  var removing = Lane()
  /// A registering request that was given up may take effect until then.
  var strayUntil: Tick = .min
  /// A new epoch's entries are not written before: a late request of the old one would leave sessions' entries
  /// beside them, and would overwrite those of rooms.
  var registerNotBefore: Tick = .min

  public init(_ configuration: Configuration) {
    precondition((1...256).contains(configuration.shards), "shards are numbered by eight bits")
    self.configuration = configuration
    random = configuration.seed
    takeNewEpoch()
  }

  public func actionsPerformed() { actions.removeAll(keepingCapacity: true) }

  // MARK: Time

  public func start(tick: Tick) {
    precondition(phase == .new)
    self.tick = tick
    phase = .makingInbox
    advance()
  }

  public func tick(_ tick: Tick) {
    self.tick = tick
    guard phase != .new, phase != .over else { return }
    _ = lease.isGivenUp(at: tick)
    _ = inbox.isGivenUp(at: tick, after: Lane.brokerMilliseconds)
    if directories.isGivenUp(at: tick) { directoriesAreUnknown() }
    giveUpRequests()
    removeEmptyRooms()
    for chat in delayedRooms { roomQueue.append(chat) }
    delayedRooms.removeAll(keepingCapacity: true)
    advance()
  }

  /// Gives the lease up and does nothing more. The entries stay: their epoch is over.
  public func stop() {
    guard phase != .new, phase != .over else { return }
    actions.append(.dropLease(epoch))
    phase = .over
  }

  // MARK: What all parts use

  /// Whatever the state asks for and nothing holds up is asked now.
  func advance() {
    guard phase != .new, phase != .over else { return }
    askForInbox()
    askForLease()
    issueRegistrations()
    issueRemovals()
    askForDirectories()
  }

  func nextTag() -> UInt64 {
    lastTag += 1
    return lastTag
  }

  func tellAll(_ word: ShardWord) {
    for shard in 0..<configuration.shards { actions.append(.tell(shard: shard, word)) }
  }
}

/// What the directory holds of this server.
enum Entry {
  case session(SessionID)
  case room([UInt8])
}
