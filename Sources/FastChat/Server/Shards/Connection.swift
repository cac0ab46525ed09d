import EventLoop
import WebSocket

/// What a shard knows of one connection, beside what the loop keeps of its socket.
///
/// ```
/// http ----> chat     GET /ws, a session of the edge from here on
///   |
///   +------> echo     GET /echo
/// ```
/// A connection that was told goodbye is gone from here at once: what is left to do is the loop's.
struct Connection: ~Copyable {
  enum Phase: UInt8 { case http, chat, echo }

  /// Why nothing is taken from the connection at the moment. Bytes that come are kept.
  struct Stops: OptionSet {
    let rawValue: UInt8
    /// The edge said so.
    static let edge = Stops(rawValue: 1)
    /// More than the output bound waits for it: answers are bounded by not reading.
    static let output = Stops(rawValue: 2)
  }

  var phase = Phase.http
  let isAdmin: Bool
  var stops: Stops = []
  /// The loop was told to stop reading. Done only when bytes come while stopped: most stops are short.
  var isReadingPaused = false
  /// What was agreed on for permessage-deflate.
  var deflate: DeflateParameters?
  /// Had no room for a copy in this input of the edge, so gets none of its later ones.
  var losesCopies = false
  /// A `hello` was good: what is received is counted with the sessions, and `limits.frame` holds.
  var hasGreeted = false
  /// The receiver gathers in the pool of sessions, no more in that of newcomers.
  var isInSessionPool = false
  /// A ping was sent at `pingTick`, and no pong came since.
  var awaitsPong = false
  var pingTick: Int64 = 0
  /// When an HTTP request must be complete.
  var deadline: TimerID?
  var kept = KeptBytes()
  /// How far the head of the request under way has been looked at.
  var head = HTTPHead()
  var receiver = Receiver(role: .server, maxMessageBytes: 0)

  init(isAdmin: Bool) { self.isAdmin = isAdmin }
}
