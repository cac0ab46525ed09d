import Chat
import EventLoop
import Redis

/// The connections of one thread to all primaries of a Redis: one each, pipelined, opened again whenever
/// they end. On the loop's thread only.
///
/// ```
/// while running {
///   loop.turn(...)
///   while let event = loop.next() { if pool.handle(event) { continue } ... }
///   ... every 100 ms or less: pool.tick(loop.tick)
///   pool.flush()          // last: what was sent in this turn leaves in one write to each primary
/// }
/// ```
/// Each command is answered exactly once, out of `handle`, `tick`, `flush` or `close`, never out of `send`:
/// by the server's reply, an error among them, or by nil where nobody knows what became of it. That is where
/// the connection ended or is not there, `RedisLink`'s bounds are reached, or the slot is on its way to
/// another primary. Nothing waits for a connection: who was answered nil asks again.
///
/// Commands to one primary run and are answered in their order.
final class RedisPool {
  typealias AnswerHandler = (RedisReply?) -> Void

  /// Milliseconds until a connection is tried again: doubled from the first to the last, half of it random.
  static let backOffFirst: Tick = 50
  static let backOffLast: Tick = 2_000
  /// A connection that stood so long begins again with the first.
  static let steadyMilliseconds: Tick = 1_000

  /// A primary, whoever it is now.
  final class Place {
    /// Nil: to be found first.
    var host: RedisHost?
    var socket: RedisSocket?
    var attempts = 0
    var retryAt: Tick = 0
    var readySince: Tick?
    var wasReady = false

    init(_ host: RedisHost?) { self.host = host }
  }

  private struct Pending {
    let answer: AnswerHandler
    /// Kept where it may be asked of another primary.
    let command: RedisCommand?
    let topology: Int
  }

  /// What happened so far.
  struct Figures {
    var commands = 0
    var errors = 0
    /// Answered nil.
    var unanswered = 0
    /// Errors that say that Redis takes no writes: full, not persisting, or without replicas.
    var refusedWrites = 0
    var connections = 0
    var redirections = 0
  }

  let address: RedisAddress
  /// Told after each new connection to a primary but its first, by its place.
  var onReconnected: (Int) -> Void = { _ in }
  private(set) var figures = Figures()
  /// Why the last connection ended or was not had: who, and the reason. No secret is in it.
  private(set) var lastFailure: (host: RedisHost?, failure: RedisFailure)?
  /// Each is logged; not while the server starts, which ends with one line of its own.
  var saysFailures = true

  let loop: EventLoop
  private let name: String
  private let names: RedisNames
  var places: [Place]
  /// Of a cluster: the place of each slot's primary, or `ClusterMap.nobody`.
  var slotPlaces: [UInt16]?
  /// Of a cluster: raised by each new map.
  var topology = 0
  var finder: RedisFinder?
  var findAt: Tick?
  var findAttempts = 0
  var clusterHosts: [RedisHost] = []
  private var pending: [UInt64: Pending] = [:]
  private var lastToken: UInt64 = 0
  private var unanswered: [AnswerHandler] = []
  private var isClosed = false

  /// - Parameter name: what we are called in the list of the server's clients; letters, digits and dashes.
  init(_ address: RedisAddress, name: String, loop: EventLoop) throws(LoopError) {
    self.address = address
    self.name = name
    self.loop = loop
    names = try RedisNames()
    switch address.kind {
    case .single(let host): places = [Place(host)]
    case .cluster(let hosts):
      places = [Place(nil)]
      clusterHosts = hosts
      findAt = 0
    case .sentinel:
      places = [Place(nil)]
      findAt = 0
    }
  }

  // MARK: Commands

  /// Primaries that are known; at least one, which may not be found yet.
  var primaries: Int { places.count }

  /// Whether all primaries are known and connected.
  var isReady: Bool {
    places.allSatisfy { $0.socket?.isReady ?? false } && (clusterHosts.isEmpty || slotPlaces != nil)
  }

  func isReady(_ primary: Int) -> Bool {
    places.indices.contains(primary) && places[primary].socket?.isReady ?? false
  }

  /// Who is the primary of a place now, for people.
  func host(ofPrimary primary: Int) -> String {
    (places.indices.contains(primary) ? places[primary].host : nil)?.description ?? address.description
  }

  /// Commands, and bytes of them, that wait for answers.
  var waiting: (commands: Int, bytes: Int) {
    places.reduce((0, 0)) {
      ($0.0 + ($1.socket?.link?.waitingCommands ?? 0), $0.1 + ($1.socket?.link?.waitingBytes ?? 0))
    }
  }

  /// The primary of the command's slot, below `primaries`.
  func primary(of command: RedisCommand) -> Int {
    guard let slotPlaces, let slot = command.slot else { return 0 }
    let place = Int(slotPlaces[Int(slot)])
    // A slot that is nobody's: whoever is asked says so.
    return place < places.count ? place : 0
  }

  /// To the primary of the command's slot.
  func send(_ command: RedisCommand, _ answer: @escaping AnswerHandler) {
    send(command, primary: primary(of: command), answer)
  }

  func send(_ command: RedisCommand, primary: Int, _ answer: @escaping AnswerHandler) {
    let mayMove = slotPlaces != nil && command.mayFollowItsKey
    let one = Pending(answer: answer, command: mayMove ? command : nil, topology: topology)
    let socket = places.indices.contains(primary) ? places[primary].socket : nil
    if !put(command, one, socket, asking: false) { unanswered.append(answer) }
  }

  private func put(_ command: RedisCommand, _ one: Pending, _ socket: RedisSocket?, asking: Bool) -> Bool {
    guard let socket, socket.isReady, let link = socket.link else { return false }
    lastToken += 1
    guard link.send(command, token: lastToken, asking: asking, now: loop.tick) else { return false }
    pending[lastToken] = one
    figures.commands += 1
    return true
  }

  // MARK: The turn

  /// Takes an event of one of its connections; false: it is somebody else's (or `mail`, which may be both).
  func handle(_ event: LoopEvent) -> Bool {
    switch event {
    case .connected(let id):
      guard let socket = socket(id) else { return false }
      socket.connected()
    case .received(let id, let bytes):
      guard let socket = socket(id) else { return false }
      socket.received(bytes)
    case .ended(let id, let reason):
      guard let socket = socket(id) else { return false }
      socket.ended(reason)
    case .drained(let id):
      guard let socket = socket(id) else { return false }
      socket.flush()
      return true
    default: return false
    }
    review()
    return true
  }

  /// Deadlines and new attempts: to be called at least ten times a second. The first call begins.
  func tick(_ now: Tick) {
    guard !isClosed else { return }
    names.takeFound()
    for place in places {
      place.socket?.tick()
      if place.socket == nil, let host = place.host, now >= place.retryAt {
        place.socket = open(host, .primary, attempt: place.attempts)
      }
    }
    finder?.socket?.tick()
    search(now)
    review()
    flush()
  }

  /// What was sent leaves, and what failed at once is told.
  func flush() {
    if !unanswered.isEmpty {
      let failed = unanswered
      unanswered = []
      figures.unanswered += failed.count
      for answer in failed { answer(nil) }
    }
    for place in places { place.socket?.flush() }
  }

  /// Ends all connections; what waits is answered by nil.
  func close() {
    isClosed = true
    finder?.socket?.fail(.unreachable("closed"))
    finder = nil
    for place in places { place.socket?.fail(.unreachable("closed")) }
    review()
    flush()
  }

  func open(_ host: RedisHost, _ greeting: RedisLink.Greeting, attempt: Int) -> RedisSocket {
    RedisSocket(host, greeting, address, attempt: attempt, name: name, loop: loop, names: names)
  }

  private func socket(_ id: ConnectionID) -> RedisSocket? {
    for place in places { if let socket = place.socket, socket.id == id { return socket } }
    if let socket = finder?.socket, socket.id == id { return socket }
    return nil
  }

  /// Looks at what became of each connection, and tells the answers that came.
  private func review() {
    var index = 0
    while index < places.count {
      let place = places[index]
      if let socket = place.socket {
        while let answer = socket.nextAnswer() { settle(answer, from: socket) }
        if socket.isReady, place.readySince == nil { becameReady(index) }
        if case .over(let failure) = socket.phase { lost(place, socket, failure) }
      }
      index += 1
    }
    finder?.review(now: loop.tick)
    takeFound()
  }

  private func becameReady(_ index: Int) {
    let place = places[index]
    guard let socket = place.socket else { return }
    place.readySince = loop.tick
    figures.connections += 1
    Log.info("redis connected", ["primary": "\(socket.host)"])
    if let link = socket.link, link.isCluster, clusterHosts.isEmpty {
      // It was named as one server, and is a node of a cluster.
      clusterHosts = [socket.host]
      wantTopology()
    }
    let isFirst = !place.wasReady
    place.wasReady = true
    if !isFirst { onReconnected(index) }
  }

  /// The connection of a place is over: what waits is answered, and another one begins in a while.
  private func lost(_ place: Place, _ socket: RedisSocket, _ failure: RedisFailure) {
    place.socket = nil
    note(socket.host, failure)
    if let since = place.readySince, loop.tick - since >= Self.steadyMilliseconds { place.attempts = 0 }
    place.readySince = nil
    place.retryAt = loop.tick + Self.backOff(&place.attempts)
    switch address.kind {
    case .sentinel:
      // Whoever is the primary now is asked for each time.
      place.host = nil
      findAt = place.retryAt
    case .single, .cluster: if !clusterHosts.isEmpty { wantTopology() }
    }
    drop(socket)
  }

  /// Answers all that waited at a connection that is over.
  func drop(_ socket: RedisSocket) {
    for token in socket.takeLost() {
      guard let one = pending.removeValue(forKey: token) else { continue }
      figures.unanswered += 1
      one.answer(nil)
    }
  }

  func note(_ host: RedisHost?, _ failure: RedisFailure) {
    lastFailure = (host, failure)
    guard !isClosed, saysFailures else { return }
    Log.warning(
      "redis not reached", ["primary": host?.description ?? address.description, "reason": "\(failure)"])
  }

  static func backOff(_ attempts: inout Int) -> Tick {
    let longest = min(backOffLast, backOffFirst << min(attempts, 8))
    attempts += 1
    return Tick.random(in: (longest / 2)...longest)
  }

  // MARK: Answers

  private func settle(_ answer: RedisLink.Answer, from socket: RedisSocket) {
    guard let one = pending.removeValue(forKey: answer.token) else { return }
    guard case .error(let text) = answer.reply else {
      if answer.reply == nil { figures.unanswered += 1 }
      return one.answer(answer.reply)
    }
    figures.errors += 1
    switch RedisComplaint(text) {
    case .moved(let slot, let host):
      figures.redirections += 1
      moved(slot, to: named(host, by: socket))
      one.answer(nil)
    case .ask(_, let host):
      figures.redirections += 1
      if !follow(one, to: named(host, by: socket)) { one.answer(nil) }
    case .clusterUnsettled:
      wantTopology()
      one.answer(nil)
    case .full:
      figures.refusedWrites += 1
      Log.warning("redis takes no writes", ["primary": "\(socket.host)", "says": text])
      one.answer(answer.reply)
    case .noScript, .readOnly, .notReady, .notAllowed, .other: one.answer(answer.reply)
    }
  }

  private func named(_ host: RedisHost, by socket: RedisSocket) -> RedisHost {
    host.name.isEmpty ? RedisHost(socket.host.name, port: host.port) : host
  }

  /// Asks a command of the primary to which its slot is moving; the rest of the slot may still be where it
  /// was, so that only what touches one key is asked there. Not where the map is a newer one: a later command
  /// may have gone there already.
  private func follow(_ one: Pending, to host: RedisHost) -> Bool {
    guard let command = one.command, one.topology == topology,
      let place = places.first(where: { $0.host == host })
    else { return false }
    return put(command, one, place.socket, asking: true)
  }
}
