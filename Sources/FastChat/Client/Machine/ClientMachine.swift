import WebSocket

/// The client's side of PROTOCOL, as a pure machine: bytes and time come in as calls, bytes and events go
/// out as `actions`, which the caller performs in order and then clears by `actionsPerformed()`.
///
///     idle -> (fetchingToken) -> connecting -> upgrading -> greeting -> catchingUp -> live
///              ^                     |             |            |           |          |
///              +----- waiting <------+-------------+------------+-----------+----------+
///                        |
///     any of them -------+--> ended
///
/// What a consumer knows after a restart is `KeptState`, which follows the marks of events that he confirmed;
/// the machine itself is ahead of that.
final class ClientMachine {
  enum Phase: Equatable {
    case idle, fetchingToken, connecting, upgrading, greeting, catchingUp, live, waiting, ended
  }

  enum Action {
    /// Answered by `connected` or `disconnected`.
    case connect
    case write([UInt8])
    /// Let go of the connection, once what was written is out or can not be.
    case disconnect
    /// Answered by `gotToken`.
    case askToken(ClientConfiguration.TokenRefusal?)
    /// Store the request before anything that follows is written.
    case keep(Pending)
    /// An event for the consumer, and what his confirmation changes in what is kept.
    case hand(ClientEvent?, [Mark])
    /// The word to whoever waits for a request's outcome.
    case settled(id: String, Result<Receipt, ClientError>)
    case answered(id: String, Result<ServerFrame, ClientError>)
    /// The client ends, and the request is kept for the next one.
    case abandoned(id: String, ClientError)
    case ended
  }

  /// What may be due, each at most once.
  enum Timer: Hashable {
    /// The current phase has lasted long enough.
    case phase
    /// The server was silent for long.
    case silence
    /// A chat's request: its answer is late, or it may be sent again.
    case lane(String)
    case gap(String)
    case lookup(String)
    case list
    /// A question waits no longer.
    case deadline(String)
    /// A question may be asked again.
    case again(String)
  }

  /// Milliseconds on a clock that only rises, and since 1970.
  struct Moment {
    var ticks: Int64
    var wall: Int64
  }

  /// How long the server may be silent beyond its heartbeat, and then owe the pong, in milliseconds.
  static let silenceMilliseconds: Int64 = 5_000
  static let pongMilliseconds: Int64 = 10_000
  /// An answer that is out so long is not coming: the connection is none any more. In milliseconds.
  static let answerMilliseconds: Int64 = 30_000

  let configuration: ClientConfiguration
  let endpoint: Endpoint
  let user: String
  let device: String
  var random: any RandomNumberGenerator
  var now = Moment(ticks: 0, wall: 0)
  private(set) var actions: [Action] = []
  var timers: [Timer: Int64] = [:]

  var phase = Phase.idle
  var channel: Channel?
  var token: String?
  /// Tokens that were refused one after the other.
  var refusals = 0
  var lastRefusal: ClientConfiguration.TokenRefusal?
  /// Connections since the last `live`.
  var attempts = 0
  var wasWelcomed = false
  /// The `error` that came in place of `welcome`.
  var lastError: ServerFrame?
  var isPinged = false

  // What the session said.
  var heartbeat: Int64 = 25_000
  var clockAhead: Int64 = 0
  var dedupe: Int64 = 300_000
  var frameBytes = 65_536
  /// The hello said that what it does not name began while the device was away.
  var saidStar = false
  /// Chats that did not fit into the hello.
  var unnamed: Set<String> = []
  /// The last row of the list that came.
  var listedUpTo = ""

  // What outlives it.
  var log: String?
  var isReturning: Bool
  var chats: [String: ChatState] = [:]
  var lanes: [String: Lane] = [:]
  /// Requests that were sent in this session and have no answer: id -> chat.
  var underWay: [String: String] = [:]
  /// Chats whose request waits until fewer are under way.
  var crowded: [String] = []
  var questions: [String: Question] = [:]
  var pendingCount = 0
  /// What was read and the server was not told yet.
  var reads: [String: Int64] = [:]

  init(
    _ configuration: ClientConfiguration, endpoint: Endpoint, kept: KeptState,
    random: any RandomNumberGenerator
  ) {
    self.configuration = configuration
    self.endpoint = endpoint
    user = kept.user
    device = kept.device
    self.random = random
    log = kept.log
    isReturning = kept.isReturning
    for (chat, cursor) in kept.cursors {
      chats[chat] = ChatState(cursor: cursor, own: kept.own[chat] ?? OwnSeqs())
    }
    for (chat, own) in kept.own where chats[chat] == nil { chats[chat] = ChatState(cursor: nil, own: own) }
    for request in kept.pending { lanes[request.chat, default: Lane()].queue.append(request) }
    pendingCount = kept.pending.count
  }

  // MARK: Outputs

  func perform(_ action: Action) { actions.append(action) }

  func actionsPerformed() { actions.removeAll(keepingCapacity: true) }

  func tell(_ event: ClientEvent?, _ marks: Mark...) { perform(.hand(event, marks)) }

  func write(_ text: String) {
    perform(.write(Channel.frame(.text, text.utf8, key: random.next())))
  }

  /// When `tick` has something to do, on the clock that only rises.
  var wakeAt: Int64? { timers.values.min() }

  /// The server's time, in milliseconds since 1970, as far as we know it.
  var serverNow: Int64 { now.wall + clockAhead }

  var isAttached: Bool { phase == .catchingUp || phase == .live }

  // MARK: Inputs

  func start(_ moment: Moment) {
    now = moment
    guard phase == .idle else { return }
    begin()
  }

  func stop(_ moment: Moment) {
    now = moment
    end(nil)
  }

  func connected(_ moment: Moment) {
    now = moment
    guard phase == .connecting else { return }
    let channel = Channel(nonce: (random.next(), random.next()))
    self.channel = channel
    phase = .upgrading
    perform(.write(channel.request(endpoint)))
  }

  /// The connection is gone, or did not come about.
  func disconnected(_ reason: String, _ moment: Moment) {
    now = moment
    switch phase {
    case .connecting:
      breakOff(
        ClientError(
          .network, "cannot connect to \(endpoint.authority): \(reason)",
          advice: "check that the server runs there"))
    case .upgrading:
      // Not for good: so ends a server that is just being stopped, too.
      breakOff(
        ClientError(
          .network, "the server ended the connection in place of an answer",
          advice: "if it goes on, check host and port: a server that speaks TLS does so"))
    case .greeting, .catchingUp, .live:
      if let lastError { return closed(code: nil, reason: lastError.message) }
      breakOff(ClientError(.network, "the connection broke: \(reason)"))
    case .idle, .fetchingToken, .waiting, .ended: break
    }
  }

  func gotToken(_ result: Result<String, ClientError>, _ moment: Moment) {
    now = moment
    guard phase == .fetchingToken else { return }
    switch result {
    case .success(let token):
      self.token = token
      connect()
    case .failure(let error): wait(error, milliseconds: backOff())
    }
  }

  func tick(_ moment: Moment) {
    now = moment
    while let (timer, at) = timers.min(by: { $0.value < $1.value }), at <= now.ticks {
      timers[timer] = nil
      due(timer)
    }
  }

  private func due(_ timer: Timer) {
    switch timer {
    case .phase: phaseIsOver()
    case .silence: fellSilent()
    case .lane(let chat): laneIsDue(chat)
    case .gap(let chat): closeGap(chat)
    case .lookup(let chat): askLookup(chat)
    case .list: askList()
    case .deadline(let id):
      questions[id] = nil
      timers[.again(id)] = nil
      perform(.answered(id: id, .failure(ClientError(.timedOut, "no answer came in time"))))
    case .again(let id): pose(id)
    }
  }

  func set(_ timer: Timer, after milliseconds: Int64) { timers[timer] = now.ticks + milliseconds }

  /// A name that this device never used.
  func newID() -> String {
    let high = random.next() as UInt64
    let low = random.next() as UInt64
    return hex(high) + hex(low).prefix(8)
  }

  private func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
