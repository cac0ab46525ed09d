/// What a shard knows of one partition of the log.
struct PartitionState {
  /// All up to here has been handed to every live listener on this shard (`W[p]`).
  var position: Seq
  /// The ids that this shard took in its last answer to a doubt.
  var view: ViewID
  var directories: [DirectoryID]
  var doubt = Doubt.none
  /// When the last batch that joined on was posted at the earliest, or when a doubt ended: all removals of
  /// members until then are known here.
  var joinedOnAt: Tick = 0
  /// Answers to questions up to this tag are of before the last doubt ended: they are only asked again.
  var answered: UInt64 = 0
  /// When the last doubt ended: one that begins at once again waits a little.
  var answeredAt: Tick = -1
  /// Batches that came during a doubt.
  var held: [Batch] = []
  /// When the last batch came.
  var heardAt: Tick = 0
  /// Where the log ends, as far as the broker was asked.
  var end = LogEnd()
  /// Sessions with something to read here that wait for the end of the doubt.
  var waiting: [SessionID] = []
  /// The view beside which all rooms were registered again, and whether some of them still wait.
  var roomsBeside: ViewID = 0
  var awaitsRooms = false
  /// A recent list did not reach back: the chats of all users here are being listed.
  var relisting: Relisting?
  /// Listeners, and sessions, that are ahead of the position, to be looked at when it moves.
  var ahead: [ListenerKey] = []
  var aheadSessions: [SessionID] = []

  /// Batches that are held during a doubt; past it they are dropped and the doubt begins again.
  static let heldBatches = 256

  enum Doubt: Equatable {
    case none
    /// Until this server is registered again.
    case registration
    /// Until the next look at the deadlines, when the recent list is read again.
    case waiting
    /// Until the recent list is read, under this tag.
    case reading(tag: UInt64)
    /// Until the chats of all users here are listed.
    case relisting
  }

  /// The server has just started: it stands nowhere before the view was read.
  static let nowhere: Seq = -1

  init(position: Seq, view: ViewID, directories: [DirectoryID]) {
    self.position = position
    self.view = view
    self.directories = directories
  }
}

/// The end of a partition's log as its broker told it. A broker that has just taken over may stand too low
/// for a moment, so the answers of a while are taken together.
struct LogEnd {
  /// The highest end told since, and when the first and the last of these answers came.
  var highest: Seq = -1
  var since: Tick = 0
  var last: Tick = 0
  /// When it was asked last, and until when it goes on being asked: it is known only after longer than an attach waits,
  /// and whoever was refused so comes again.
  var asked: Tick = 0
  var wantedUntil: Tick = .min

  /// Answers further apart than this do not belong together.
  static let gapMilliseconds: Int64 = 15_000
  /// One question at a time, and not more often than this.
  static let pauseMilliseconds: Int64 = 1_000
  /// How much later a client may come again: more than twice as late as any waits.
  static let wantedMilliseconds: Int64 = 120_000
}

/// All users here, whose chats are listed since a recent list did not reach back (DESIGN section 5, step 3).
struct Relisting {
  /// What that list said.
  var applied: Seq
  var view: ViewID
  /// Its questions have higher tags; an answer to an older one is of a listing that another doubt ended.
  var begunAfter: UInt64
  /// Those still to be asked about, and questions under way.
  var users: [[UInt8]]
  var underWay = 0

  static let atOnce = 64
}

/// What a question to the view was asked for.
enum ViewRead {
  /// A session's chats in a partition, for its attach.
  case list(SessionID, partition: Int32)
  /// Events of a chat for a listener that is behind.
  case catchUp(SessionID, chat: Int32)
  case history(SessionID, request: UInt32, limit: Int, isForward: Bool)
  case members(SessionID, request: UInt32)
  case chats(SessionID, request: UInt32, ChatListing)
  /// Whether the session's user may do what the frame asks for, which waits meanwhile.
  case confirm(SessionID, frame: [UInt8], asked: Tick)
  case recent(partition: Int32)
  /// A local user's chats, where the recent list of a doubt did not reach back.
  case relist(partition: Int32, user: [UInt8])

  /// Whose request it answers.
  var session: SessionID? {
    switch self {
    case .history(let id, _, _, _), .members(let id, _), .chats(let id, _, _), .confirm(let id, _, _): id
    case .list, .catchUp, .recent, .relist: nil
    }
  }
}

/// A question to the view, and what its session had been handed of the partition when it was asked: an answer of a view
/// that stands below went back since, and lacks what may have been acknowledged.
struct ViewQuestion {
  let read: ViewRead
  let floor: Seq
}

/// A read to be tried again a little later.
enum ViewRetry {
  case list(SessionID, partition: Int32)
  case catchUp(SessionID)
  case recent(partition: Int32)
}

/// The rows of a `chats` request, gathered from all partitions.
final class ChatListing {
  var partitionsLeft: Int
  let limit: Int
  var rows: [ChatRow] = []
  var hasMore = false

  init(partitions: Int, limit: Int) {
    partitionsLeft = partitions
    self.limit = limit
  }
}

/// One chat of a user as the view lists it.
struct ChatRow {
  var chat: [UInt8]
  var partition: Int32
  var head: Seq
  var read: Seq
  var joined: Seq
  var isRoom: Bool { chat.first == UInt8(ascii: "r") }
}
