/// What the edge keeps of one connection. A plain struct in a slab, so that a frame touches a few lines of
/// memory and no counter of references.
struct Session: BitwiseCopyable {
  enum Phase: UInt8, BitwiseCopyable {
    /// No connection has this slot.
    case free
    /// The upgrade is done, `hello` is awaited.
    case waitingForHello
    /// `hello` came; the directory has been asked to register the session.
    case registering
    /// The lists of its chats are being read.
    case listing
    /// `welcome` was sent.
    case open
  }

  /// Why its requests are not read now; the loop is told when the first reason comes and the last goes.
  struct Pause: OptionSet, BitwiseCopyable {
    var rawValue: UInt8
    static let attaching = Pause(rawValue: 1)
    static let confirming = Pause(rawValue: 2)
    static let pendingFull = Pause(rawValue: 4)
    static let queriesFull = Pause(rawValue: 8)
  }

  static let none: Int32 = -1

  var id = SessionID(raw: 0)
  var phase = Phase.free
  var pause: Pause = []
  /// A copy was dropped: no page is read for it until the loop says that its output has drained.
  var isCongested = false
  var wasToldLive = false
  var isQueuedForLive = false
  var isQueuedForCatchUp = false
  /// A page of events is being read for it.
  var isReading = false
  /// Its waiting requests are looked at once a second.
  var isWatched = false
  /// What came before the `hello` was answered, counted in the table of hello deadlines.
  var openedAt: Tick = 0
  /// Number in the table of users; -1 before `hello`.
  var user = Session.none
  var nextOfUser = Session.none
  var previousOfUser = Session.none
  var device = InlineName()
  /// Requests it may make now, in thousandths, and when that was counted.
  var allowance: Int64 = 0
  var allowanceAt: Tick = 0
  /// The last request's number.
  var request: UInt32 = 0
  /// Requests without an answer, oldest first, and those answered `unavailable` among them.
  var firstPending = Session.none
  var lastPending = Session.none
  var waiting: Int32 = 0
  /// Those among them that the view answers.
  var queries: Int32 = 0
  var indefinite: Int32 = 0
  /// Its listeners that are not live, in the order in which they are to be read.
  var firstListener = Session.none
  var lastListener = Session.none
  /// Those among them that `live` waits for.
  var beforeLive: Int32 = 0
  /// Partitions in which its chats without a listener of their own are not live.
  var unsettledPartitions: Int32 = 0
}

/// A name within a struct, without a reference: up to 64 bytes.
struct InlineName: BitwiseCopyable {
  private var storage: InlineArray<64, UInt8> = .init(repeating: 0)
  private(set) var count: UInt8 = 0

  init() {}

  init(_ bytes: UnsafeRawBufferPointer) {
    precondition(bytes.count <= 64)
    count = UInt8(bytes.count)
    for i in bytes.indices { storage[i] = bytes[i] }
  }

  /// Calls `body` with the bytes where they stand, so the name must be addressed through a pointer.
  static func bytes(of name: UnsafeMutablePointer<InlineName>) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: UnsafeRawPointer(name), count: Int(name.pointee.count))
  }
}

/// Somebody with a session here.
struct User: BitwiseCopyable {
  var firstSession = Session.none
  /// His rooms, as far as this shard has been told: entries of the table of memberships.
  var firstMembership = Session.none
}

/// A user here is in a room: what fan-out walks, and what authorises a send. It stands at the shard's
/// position, but may be entered earlier by a session that attached ahead of it; `joined` keeps what was
/// before from being handed out then.
struct Membership: BitwiseCopyable {
  var user: Int32
  var chat: Int32
  var joined: Seq
  var nextOfUser: Int32
  /// Where it stands in its room's list.
  var place: Int32
}

/// A chat that has something to remember here: a room with members here, or listeners that are not live.
struct ChatEntry: BitwiseCopyable {
  var firstListener = Session.none
  /// Members here, by number of membership.
  var members: UnsafeMutablePointer<Int32>?
  var memberCount: Int32 = 0
  var memberCapacity: Int32 = 0
  /// Of a room in a cluster: registrations asked for and not answered, and the last question to the view
  /// before the last answer; -1 where it is not registered.
  var registrationsAsked: Int32 = 0
  var registeredAfter: Int64 = -1
}

/// A session in one of its chats where it is not live (DESIGN section 5, "Positions and listeners").
struct Listener: BitwiseCopyable {
  enum State: UInt8, BitwiseCopyable {
    /// Reads the view from `at`; hints pass it by.
    case behind
    /// Has been handed all up to `at`; is live once the shard stands there.
    case ahead
  }

  var state: State
  /// The cursor of one behind; where one ahead stands.
  var at: Seq
  var session: SessionID
  var chat: Int32
  var partition: Int32
  /// While behind: the highest hint that passed since the read under way was issued.
  var passed: Seq = 0
  /// The shard's position when that read was issued.
  var issuedAt: Seq = 0
  /// The number of the read under way, 0 if none: an answer with another number is stale.
  var read: UInt64 = 0
  var countsForLive: Bool
  /// The room was registered when that read was issued, or needs not be.
  var isRegistered = true
  /// The last own event that was read is a removal: nothing is handed until the next own join.
  var isRemoved = false
  var nextOfSession = Session.none
  var previousOfSession = Session.none
  var nextOfChat = Session.none
  var previousOfChat = Session.none
}

/// A request without an answer, or one that was answered `unavailable`.
struct Pending: BitwiseCopyable {
  enum Kind: UInt8, BitwiseCopyable {
    /// A first send: the log's report answers it.
    case send
    /// A repeated send: answered `ack`, by its event or by a verdict.
    case repeatedSend
    /// Create, join, leave: answered `ok`, by their event or by a verdict.
    case change
    /// History, members, chats: answered by the view.
    case query
  }

  var kind: Kind
  var number: UInt32
  /// Answered `unavailable`: it may still happen, and is handed then.
  var isIndefinite = false
  var deadline: Tick
  /// Where the shard stood in the chat's partition when the record was handed over.
  var position: Seq = 0
  var next = Session.none
  var idCount: UInt8 = 0
  var chatCount: UInt8 = 0
  /// The request's id, then the chat's.
  var text: InlineArray<200, UInt8> = .init(repeating: 0)
}
