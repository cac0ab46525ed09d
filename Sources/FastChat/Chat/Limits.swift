/// Every bound of the chat in one place (PROTOCOL, "Limits"): the variables are options (docs/OPTIONS.md), the rest is
/// fixed.
public struct Limits: Sendable {
  /// Bytes of one client message; `hello` has `helloBytes`.
  public var frameBytes = 64 << 10
  public static let helloBytes = 1 << 20
  /// Bytes of a body's JSON.
  public var bodyBytes = 60 << 10
  public static let jsonDepth = 32
  /// Requests of a session a second, and the seconds that may be saved up.
  public var ratePerSecond = 50
  public static let rateBurstSeconds = 2
  /// Unanswered requests of a session: beyond it its socket is not read.
  public var pendingRequests = 64
  /// Of these, questions to the view: their answers may have 512 KiB each, while other requests' are small.
  public static let pendingQueries = 4
  /// Bytes waiting for a session: beyond it, pull mode.
  public var outputBytes = 256 << 10
  /// Bytes of appends waiting for the log, all sessions of a server.
  public var appendBytes = 64 << 20
  /// Members of a room, rooms of a user.
  public var roomMembers = 100_000
  public var userRooms = 1_000
  /// Bytes of a room's name.
  public static let roomNameBytes = 128
  /// Milliseconds in which a repeat is recognised, as clients are told.
  public var dedupeMilliseconds: Int64 = 300_000
  /// Milliseconds that the owner really remembers: what may stand still on the way is added.
  public static let dedupeSpanMilliseconds: Int64 = 480_000
  /// Milliseconds of history that is replayed and paged, and events of a chat.
  public var windowMilliseconds: Int64 = 7 * 24 * 3_600_000
  public var windowEvents = 10_000
  /// Seconds between two pings to a client; milliseconds that a pong may be late.
  public var heartbeatSeconds = 25
  public static let pongMilliseconds: Int64 = 10_000
  /// Milliseconds from the upgrade to `hello`, from `hello` to `welcome`, from a request to its verdict,
  /// and from a send to its report.
  public static let helloMilliseconds: Int64 = 10_000
  public static let attachMilliseconds: Int64 = 10_000
  public static let verdictMilliseconds: Int64 = 10_000
  public static let appendMilliseconds: Int64 = 30_000
  /// A shard that stood still for longer closes its sessions: what waits there is older than the table.
  public static let stallMilliseconds: Int64 = 35_000
  /// A server's lease, how often it is renewed, and how long a shard waits for a batch before it doubts.
  public static let leaseMilliseconds: Int64 = 3_000
  public static let leaseRenewalMilliseconds: Int64 = 1_000
  public static let silenceMilliseconds: Int64 = 15_000
  /// Every living server gets a batch of each partition at least this often, and the view a look.
  public static let beatMilliseconds: Int64 = 5_000
  /// After a batch that could not be produced they get one at the latest this much later.
  public static let repairMilliseconds: Int64 = 1_000
  public static let probeMilliseconds: Int64 = 1_000
  /// Positions and state rows are committed this often; beyond what is committed an owner applies no more
  /// than what the log took in this time.
  public static let commitMilliseconds: Int64 = 1_000
  public static let commitLagMilliseconds: Int64 = 60_000
  /// What the recent list of a partition keeps.
  public static let recentMilliseconds: Int64 = 60_000
  /// How long a broker's answer about the log's end has to stay the same before it is believed.
  public static let logEndMilliseconds: Int64 = 10_000
  /// Bytes of a server's frame: lists are cut earlier, with `more`.
  public static let serverFrameBytes = 512 << 10
  /// Bytes of such a frame that are not its rows.
  public static let frameOverheadBytes = 1 << 10
  /// Rows of a list in an answer.
  public static let pageRows = 100
  /// Bytes of names in a list that is read at once: more than its rows take.
  public static let listBytes = 256 << 10
  /// Bytes of events that are read at once to replay a chat.
  public static let replayPageBytes = 64 << 10
  /// Rows that an attach reads of a user's chats at once.
  public static let listRows = 1_000
  /// Bytes of a user id, a device, a room's name in its id; of a request's id.
  public static let nameBytes = 64
  public static let requestIDBytes = 64
  /// Bytes of the longest chat id: `dm:` and two users with a colon.
  public static let chatBytes = 3 + 64 + 1 + 64

  public init() {}
}
