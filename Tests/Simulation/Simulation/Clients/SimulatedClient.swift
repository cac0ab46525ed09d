public import Chat

/// One device of one user, as a pure machine that keeps PROTOCOL to the letter: it keeps honest cursors,
/// repeats what was not answered, and comes back as its close codes say. What it was handed goes into its
/// ledger, which holds the servers to their promise.
///
/// The engine calls `step` at `wakeAt` or later, tells what happens to its connections, and performs and
/// clears `outbox` after each call.
public final class SimulatedClient {
  /// A connection as the client counts them, from 1. What happens to one that is not its newest any more
  /// does not concern it.
  public typealias ConnectionNumber = Int

  public enum Output: Sendable {
    /// Answered by `opened` or `closed`. Nil: any instance.
    case connect(ConnectionNumber, instance: Int?)
    case send(ConnectionNumber, text: [UInt8])
    /// Both sides are told.
    case close(ConnectionNumber)
    /// The client does not care any more, and tells nobody: the server finds out when a pong is late, or
    /// when a newer session of the device attaches.
    case abandon(ConnectionNumber)
  }

  public enum Phase: Sendable {
    /// It comes back at `comesBackAt`.
    case offline
    case connecting
    /// `hello` was sent.
    case greeting
    /// `welcome` came.
    case open
    case live
  }

  /// A request whose outcome counts, until it is known.
  struct Pending {
    var id: String
    var kind: RecordKind
    var chat: Int
    /// The frame without its closing brace.
    var text: String
    var firstSentAt: Tick
    /// Sent in this session, and not answered yet.
    var isUnderWay: Bool
    /// An answer was indefinite, or none came: from here on it is repeated with `"retry":true`.
    var isDoubtful: Bool
    /// When it is repeated in this session.
    var repeatAt: Tick?
  }

  /// A question to the server.
  struct Query {
    var id: String
    var kind: ServerFrame.Kind
    var chat: Int
    var asked: Tick
    var after: Seq?
  }

  /// A request as this session sent it.
  struct Sent {
    var isMarked: Bool
    /// Transmissions without an answer.
    var unanswered: Int
    var wasAcked = false
  }

  public let user: String
  public let device: String
  public let ledger: Ledger
  public var outbox: [Output] = []
  public internal(set) var phase = Phase.offline
  /// The newest connection; 0 where there never was one.
  public internal(set) var connection: ConnectionNumber = 0
  /// `hello` was said on so many connections: a session is the newest one's only if no other came later.
  public internal(set) var hellos = 0
  /// When it said `hello` for the last time but one: a server that stood still may hear that one after the
  /// newer one.
  private var helloBefore: Tick = -overtakingMilliseconds
  var lastHello: Tick = -overtakingMilliseconds
  /// What went back and forth, where somebody wants to read it.
  public var trace: [String]?

  let roster: Roster
  let workload: Workload
  let userNumber: Int
  var random: Generator
  var now: Tick = 0
  /// Kept over sessions.
  var cursors: [Seq?] = []
  var wasEverWelcomed = false
  var log = ""
  var pending: [Pending] = []
  var lastRequest = 0
  /// Of this session.
  var queries: [Query] = []
  var sent: [String: Sent] = [:]
  var lastHeard: Tick = 0
  var pingSentAt: Tick?
  var deadline: Tick = .max
  /// Of being away.
  var comesBackAt: Tick = 0
  var comesBackTo: Int?
  var failures = 0
  var nextIntentAt: Tick = 0
  var storm: (room: Int, left: Int)?
  public internal(set) var isSettling = false

  public init(
    user: Int, device: String, workload: Workload, checks: Checks, seed: UInt64, startsAt: Tick
  ) {
    roster = checks.roster
    self.user = roster.users[user]
    self.device = device
    self.workload = workload
    userNumber = user
    ledger = checks.ledger(user: self.user, device: device)
    random = Generator(seed: seed)
    comesBackAt = startsAt
    nextIntentAt = startsAt
  }

  /// Milliseconds that a connection may take to open, and `welcome` to come.
  static let connectMilliseconds: Int64 = 5_000
  static let welcomeMilliseconds: Int64 = 20_000
  /// After so much silence it asks whether the server is still there, and waits so long for an answer.
  static let silenceMilliseconds: Int64 = 30_000
  static let pongMilliseconds: Int64 = 15_000
  /// Its longest wait before it connects again.
  static let longestBackOffMilliseconds: Int64 = 10_000

  /// How much later than a newer one a `hello` may be heard: as long as a server stands still at most.
  static let overtakingMilliseconds: Int64 = 120_000

  /// Whether an older session of the device may be the newer one to a server.
  public var mayBeOvertaken: Bool { now - helloBefore < Self.overtakingMilliseconds }

  /// Whether nothing of it waits for anything.
  public var isSettled: Bool { phase == .live && pending.isEmpty && queries.isEmpty }

  /// What keeps it from being settled.
  public var complaint: String? {
    if isSettled { return nil }
    let waiting = pending.map(\.id) + queries.map(\.id)
    return "\(user)/\(device) is \(phase)\(waiting.isEmpty ? "" : ", waiting for \(waiting)")"
  }

  /// From now on it only comes back and waits for its answers.
  public func settle(at now: Tick) {
    self.now = now
    isSettling = true
    storm = nil
    if phase == .offline { comesBackAt = min(comesBackAt, now + 1_000) }
  }

  // MARK: Time

  /// When `step` has something to do.
  public var wakeAt: Tick {
    switch phase {
    case .offline: return comesBackAt
    case .connecting, .greeting: return deadline
    case .open, .live:
      var at = pingSentAt.map { $0 + Self.pongMilliseconds } ?? (lastHeard + Self.silenceMilliseconds)
      if !isSettling { at = min(at, nextIntentAt) }
      if phase == .live { for request in pending { at = min(at, request.repeatAt ?? .max) } }
      return at
    }
  }

  public func step(now: Tick) {
    self.now = now
    switch phase {
    case .offline:
      if comesBackAt <= now { connect() }
    case .connecting, .greeting:
      if deadline <= now { abandon() }
    case .open, .live:
      guard !hasGoneSilent() else { return }
      if phase == .live { repeatDue() }
      if !isSettling, nextIntentAt <= now {
        nextIntentAt = now + max(1, workload.pause(&random))
        act()
      }
    }
  }

  private func hasGoneSilent() -> Bool {
    if let pingSentAt {
      guard now >= pingSentAt + Self.pongMilliseconds else { return false }
      abandon()
      return true
    }
    if now >= lastHeard + Self.silenceMilliseconds {
      pingSentAt = now
      ask(.pong, "\"type\":\"ping\"", chat: -1, after: nil)
    }
    return false
  }

  // MARK: Connections

  func connect() {
    connection += 1
    phase = .connecting
    deadline = now + Self.connectMilliseconds
    queries = []
    sent = [:]
    pingSentAt = nil
    for index in pending.indices {
      pending[index].isUnderWay = false
      pending[index].isDoubtful = true
      pending[index].repeatAt = nil
    }
    ledger.connecting()
    outbox.append(.connect(connection, instance: comesBackTo))
    comesBackTo = nil
  }

  /// Leaves the connection without a word, and comes back after a while.
  func abandon() {
    outbox.append(.abandon(connection))
    failures += 1
    comeBack(after: backOff())
  }

  func comeBack(after milliseconds: Int64) {
    phase = .offline
    comesBackAt = now + milliseconds
  }

  private func backOff() -> Int64 {
    let most = min(Self.longestBackOffMilliseconds, 100 << Int64(min(failures, 10)))
    return Int64.random(in: 0...most, using: &random)
  }

  public func opened(_ number: ConnectionNumber, now: Tick) {
    self.now = now
    guard number == connection, phase == .connecting else { return }
    phase = .greeting
    deadline = now + Self.welcomeMilliseconds
    hellos += 1
    helloBefore = lastHello
    lastHello = now
    transmit(hello())
  }

  /// The server closed it, or the network did (1006). `retry`: what the reason says, else 0.
  public func closed(_ number: ConnectionNumber, code: UInt16, retry: Int64, now: Tick) {
    self.now = now
    guard number == connection, phase != .offline else { return }
    trace?.append("\(now) closed \(code)")
    failures += 1
    if code >= 4500, code != 4504 {
      // No other code of these is ever meant for a client of the simulation: it stays away for good.
      ledger.wire("closed with \(code)")
      return comeBack(after: .max / 4)
    }
    // Whoever was replaced does not come back at once: two that took turns would never end.
    let wait = code == 4504 ? Int64.random(in: 1_000...10_000, using: &random) : backOff()
    comeBack(after: max(wait, retry))
  }

  private func hello() -> String {
    var text = "{\"type\":\"hello\",\"user\":\"\(user)\",\"device\":\"\(device)\""
    if wasEverWelcomed {
      text += ",\"log\":\"\(log)\",\"cursors\":{\"*\":0"
      for chat in cursors.indices {
        if let cursor = cursors[chat] { text += ",\"\(roster.chats[chat].name)\":\(cursor)" }
      }
      text += "}"
    }
    return text + "}"
  }

  func transmit(_ text: String) {
    trace?.append("\(now) > \(text)")
    outbox.append(.send(connection, text: Array(text.utf8)))
  }
}
