/// One chat as this device knows it.
struct ChatState {
  /// The highest seq that was handed over; nil where a new device does not know yet where it begins.
  var cursor: Int64?
  /// The highest seq handed over or acknowledged: an event whose `prev` is above it shows a gap.
  var known: Int64
  /// The seqs above the cursor of what this device sent itself: it knows them already.
  var own = OwnSeqs()
  /// This session's list, or an event, named it.
  var isSeen = false
  var gap: Gap?

  /// Something is missing above the cursor, up to `upTo`.
  struct Gap {
    var upTo: Int64
    /// Events that came behind it.
    var held: [ServerFrame] = []
    /// A page of the history is asked for.
    var isAsking = false
  }

  /// The most events that are held behind a gap. One more, and the connection is made anew: the server
  /// replays from the cursor.
  static let heldMax = 4_096

  init(cursor: Int64?, own: OwnSeqs = OwnSeqs()) {
    self.cursor = cursor
    self.own = own
    known = cursor ?? 0
  }
}

/// The requests of one chat whose outcome counts, one under way at a time: were the next one under way when
/// one has to be repeated, it could come to stand before it.
struct Lane {
  var queue: ArraySlice<Pending> = []
  var isUnderWay = false
  /// The server said "not now".
  var isWaiting = false
  var lookup: Lookup?

  /// A walk back through the history, to see whether a request has become a message.
  struct Lookup {
    var before: Int64?
    var pages = 0
    var isAsking = false
  }

  /// The most requests of all lanes under way; a server takes 64 of a session before it stops reading.
  static let underWayMax = 32
  /// How long before `limits.dedupe` is over a repeat is no longer sure to be recognised, in milliseconds.
  static let dedupeMarginMilliseconds: Int64 = 10_000
  /// By how much a request's time may differ from its message's, in milliseconds.
  static let lookupSlackMilliseconds: Int64 = 300_000
  /// Pages of a lookup: the window of a chat.
  static let lookupPagesMax = 100
}

/// A request that only asks: nothing is lost with it.
struct Question {
  enum Purpose: Equatable {
    /// Somebody waits for the answer.
    case consumer
    case list
    case gap(String)
    case lookup(String)
  }

  let purpose: Purpose
  let text: String
  var isUnderWay = false

  /// The most questions of consumers at one time.
  static let consumersMax = 256
}
