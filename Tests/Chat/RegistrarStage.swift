import Chat

/// A directory with its primaries, the brokers and the shards around one registrar, under one clock. It holds
/// the registrar to what its words mean: whatever a shard was told is checked against the primary that the
/// shard knows, after each step.
final class RegistrarStage {
  struct Primary {
    var sessions: [SessionID: (epoch: Epoch, entry: SessionEntry)] = [:]
    var rooms: [[UInt8]: Epoch] = [:]
    var lease: (holder: LeaseHolder, until: Tick)?
  }

  /// What happens to requests, in percent.
  struct Faults {
    var lostRequests = 0
    var lostAnswers = 0
    var lateRequests = 0
    /// Milliseconds that a request or an answer travels, at most.
    var delay: Int64 = 0
  }

  private enum Event {
    case execute(RegistrarAction, answers: Bool)
    case answer((Registrar) -> Void)
  }

  struct Shard {
    var isDoubted = true
    var directories: [DirectoryID] = []
    var epoch: Epoch = 0
    var registered: Set<SessionID> = []
    var replaced: Set<SessionID> = []
    var leaseUntil: Tick = .min
    /// Rooms listened to, how many words are owed, and how many came.
    var listening: Set<[UInt8]> = []
    var asked: [[UInt8]: Int] = [:]
    var words: [[UInt8]: Int] = [:]
  }

  static let server = "one"
  let registrar: Registrar
  var faults = Faults()
  var generator: Generator
  var now: Tick = 1_000
  var primaries: [DirectoryID: Primary] = [1: Primary()]
  var primary: DirectoryID = 1
  var inboxes: Set<Epoch> = []
  private var inboxesMade: Set<Epoch> = []
  var brokersAnswer = true
  var isDown = false
  var shards: [Shard]
  var attached: [SessionID: SessionEntry] = [:]
  /// All that the registrar wanted, in order.
  var history: [RegistrarAction] = []
  var failures: [String] = []
  private var events: [(at: Tick, order: Int, event: Event)] = []
  private var order = 0

  init(seed: UInt64 = 1, shards: Int = 2) {
    generator = Generator(seed: seed)
    registrar = Registrar(
      Registrar.Configuration(
        server: Self.server, host: "host", boot: "boot", process: 7, shards: shards, seed: seed))
    self.shards = .init(repeating: Shard(), count: shards)
  }

  /// Started, and told to all shards that everything is registered.
  static func standing(seed: UInt64 = 1, shards: Int = 2) -> RegistrarStage {
    let stage = RegistrarStage(seed: seed, shards: shards)
    stage.start()
    stage.run(1_000)
    return stage
  }

  // MARK: Inputs

  func start() { input { $0.start(tick: now) } }

  func input(_ body: (Registrar) -> Void) {
    body(registrar)
    perform()
  }

  @discardableResult
  func attach(_ number: Int, shard: Int = 0, user: String = "ann", device: String = "phone") -> SessionID {
    let session = SessionID(shard: shard, generation: 1, slot: number)
    let entry = SessionEntry(session: session, user: Array(user.utf8), device: Array(device.utf8))
    attached[session] = entry
    input { $0.attach(entry) }
    return session
  }

  func detach(_ session: SessionID) {
    attached[session] = nil
    input { $0.detach(session) }
  }

  func listen(_ shard: Int, _ room: String) {
    let chat = Array(room.utf8)
    shards[shard].listening.insert(chat)
    shards[shard].asked[chat, default: 0] += 1
    input { $0.listen(shard: shard, chat: chat) }
  }

  func unlisten(_ shard: Int, _ room: String) {
    let chat = Array(room.utf8)
    shards[shard].listening.remove(chat)
    input { $0.unlisten(shard: shard, chat: chat) }
  }

  /// Another primary serves from now on, with what `keeps` is left of the old one.
  func failOver(keeps: (inout Primary) -> Void = { $0 = Primary() }) {
    var next = primaries[primary]!
    keeps(&next)
    primary += 1
    primaries[primary] = next
  }

  /// Time passes, with a tick every 50 ms; or the registrar's process is frozen meanwhile.
  func run(_ milliseconds: Int64, isFrozen: Bool = false) {
    let end = now + milliseconds
    while now < end {
      now += 50
      if !isFrozen {
        input { $0.tick(now) }
        check()
      }
      while let event = nextEvent(isFrozen: isFrozen) {
        switch event {
        case .execute(let action, let answers): execute(action, answers: answers)
        case .answer(let answer): input(answer)
        }
        check()
      }
    }
    if isFrozen { input { $0.tick(now) } }
  }

  private func nextEvent(isFrozen: Bool) -> Event? {
    var next: Int?
    for (index, event) in events.enumerated() where event.at <= now {
      if case .answer = event.event, isFrozen { continue }
      if let earliest = next, (events[earliest].at, events[earliest].order) < (event.at, event.order) {
        continue
      }
      next = index
    }
    return next.map { events.remove(at: $0).event }
  }

  private func schedule(_ event: Event, in milliseconds: Int64) {
    order += 1
    events.append((now + milliseconds, order, event))
  }

  private func delay() -> Int64 { faults.delay == 0 ? 0 : .random(in: 0...faults.delay, using: &generator) }

  private func perform() {
    let actions = registrar.actions
    registrar.actionsPerformed()
    for action in actions {
      history.append(action)
      checkOrder(action)
      switch action {
      case .tell(let shard, let word): tell(shard, word)
      case .readInbox(let epoch):
        if !inboxesMade.contains(epoch) { failures.append("reads an inbox that was not made") }
      case .tellReplaced, .refuseStart: break
      default: send(action)
      }
    }
  }

  private func send(_ action: RegistrarAction) {
    if generator.chance(faults.lostRequests) {
      // Half of them are told to be unknown at once, the others never; but what is asked of brokers is asked
      // through somebody who always says what came of it.
      if generator.chance(50) || action.isOfInbox { answerUnknown(action) }
    } else if generator.chance(faults.lateRequests) {
      if generator.chance(50) || action.isOfInbox { answerUnknown(action) }
      schedule(.execute(action, answers: false), in: .random(in: 0...2_900, using: &generator))
    } else {
      schedule(.execute(action, answers: !generator.chance(faults.lostAnswers)), in: delay())
    }
  }

  private func answerUnknown(_ action: RegistrarAction) {
    schedule(
      .answer { registrar in
        switch action {
        case .takeLease(let tag, _, _), .renewLease(let tag, _): registrar.leaseAnswered(tag, .unknown)
        case .registerSessions(let tag, _, _): registrar.sessionsRegistered(tag, nil)
        case .registerRooms(let tag, _, _): registrar.roomsRegistered(tag, false)
        case .removeSessions(let tag, _, _), .removeRooms(let tag, _, _): registrar.done(tag, false)
        case .readDirectories(let tag):
          var read = DirectoriesRead(tag: tag)
          read.hasFailed = true
          registrar.directoriesRead(read)
        case .makeInbox(let tag, _), .checkInbox(let tag, _): registrar.inboxAnswered(tag, stands: nil)
        case .dropLease, .readInbox, .tell, .tellReplaced, .refuseStart: break
        }
      }, in: delay())
  }

  // MARK: The directory

  private func execute(_ action: RegistrarAction, answers: Bool) {
    if isDown { return answers ? answerUnknown(action) : () }
    var store = primaries[primary]!
    if let lease = store.lease, lease.until <= now { store.lease = nil }
    let answer = apply(action, to: &store)
    primaries[primary] = store
    if answers { schedule(.answer(answer), in: delay()) }
  }

  private func apply(_ action: RegistrarAction, to store: inout Primary) -> (Registrar) -> Void {
    let until = now + Limits.leaseMilliseconds
    switch action {
    case .takeLease(let tag, let holder, let replacing):
      if let lease = store.lease, lease.holder != holder, lease.holder != replacing {
        return { $0.leaseAnswered(tag, .other(lease.holder)) }
      }
      store.lease = (holder, until)
      return { $0.leaseAnswered(tag, .held) }
    case .renewLease(let tag, let epoch):
      guard let lease = store.lease else { return { $0.leaseAnswered(tag, .absent) } }
      guard lease.holder.epoch == epoch else { return { $0.leaseAnswered(tag, .other(lease.holder)) } }
      store.lease = (lease.holder, until)
      return { $0.leaseAnswered(tag, .held) }
    case .dropLease(let epoch):
      if store.lease?.holder.epoch == epoch { store.lease = nil }
      return { _ in }
    case .registerSessions(let tag, let epoch, let entries):
      let registered = entries.map { register($0, epoch, in: &store) }
      return { $0.sessionsRegistered(tag, registered) }
    case .removeSessions(let tag, _, let entries):
      for entry in entries { store.sessions[entry.session] = nil }
      return { $0.done(tag, true) }
    case .registerRooms(let tag, let epoch, let chats):
      for chat in chats { store.rooms[chat] = epoch }
      return { $0.roomsRegistered(tag, true) }
    case .removeRooms(let tag, let epoch, let chats):
      for chat in chats where store.rooms[chat] == epoch { store.rooms[chat] = nil }
      return { $0.done(tag, true) }
    case .readDirectories(let tag):
      var read = DirectoriesRead(tag: tag)
      read.directories = [primary]
      return { $0.directoriesRead(read) }
    case .makeInbox(let tag, let epoch):
      if brokersAnswer {
        inboxes.insert(epoch)
        inboxesMade.insert(epoch)
      }
      return { [brokersAnswer] in $0.inboxAnswered(tag, stands: brokersAnswer ? true : nil) }
    case .checkInbox(let tag, let epoch):
      let stands = brokersAnswer ? inboxes.contains(epoch) : nil
      return { $0.inboxAnswered(tag, stands: stands) }
    case .readInbox, .tell, .tellReplaced, .refuseStart:
      return { _ in }
    }
  }

  private func register(
    _ entry: SessionEntry, _ epoch: Epoch, in store: inout Primary
  ) -> SessionRegistered {
    let others = store.sessions.values.lazy.map(\.entry).filter {
      $0.session != entry.session && $0.user == entry.user && $0.device == entry.device
    }.sorted { $0.session.raw < $1.session.raw }
    let newest = others.compactMap(\.helloAt).max() ?? 0
    var entry = entry
    entry.helloAt = entry.helloAt ?? store.sessions[entry.session]?.entry.helloAt ?? max(now, newest + 1)
    let replaced = others.filter { $0.helloAt! < entry.helloAt! }.map { other in
      ReplacedSession(
        server: ServerEpoch(server: Self.server, epoch: store.sessions[other.session]!.epoch),
        session: other.session)
    }
    store.sessions[entry.session] = (epoch, entry)
    return SessionRegistered(
      session: entry.session, helloAt: entry.helloAt!, isOutdated: false, replaced: replaced)
  }

  // MARK: What the words mean

  private func tell(_ index: Int, _ word: ShardWord) {
    switch word {
    case .registered(let session):
      if shards[index].isDoubted { failures.append("\(session) registered while in doubt") }
      if attached[session] != nil, !shards[index].registered.insert(session).inserted {
        failures.append("\(session) registered twice")
      }
    case .replaced(let session):
      shards[index].registered.remove(session)
      shards[index].replaced.insert(session)
      // The edge closes it.
      if attached.removeValue(forKey: session) != nil { schedule(.answer { $0.detach(session) }, in: 0) }
    case .roomRegistered(let chat):
      if shards[index].isDoubted { failures.append("\(chat) registered while in doubt") }
      shards[index].words[chat, default: 0] += 1
    case .registrationDoubted: shards[index].isDoubted = true
    case .registeredAgain(let epoch, let directories):
      shards[index].isDoubted = false
      shards[index].epoch = epoch
      shards[index].directories = directories
    case .inboxDoubted: break
    case .leaseHolds(let until):
      if shards[index].isDoubted { failures.append("a lease that holds while in doubt") }
      shards[index].leaseUntil = until
    }
  }

  /// Nothing that was told before is written again without doubt in every mailbox.
  private func checkOrder(_ action: RegistrarAction) {
    let isDoubted = shards.allSatisfy(\.isDoubted)
    switch action {
    case .takeLease where !isDoubted:
      failures.append("takes the lease without a doubt")
    case .registerSessions(_, _, let entries) where !isDoubted:
      for entry in entries where shards[entry.session.shard].registered.contains(entry.session) {
        failures.append("registers \(entry.session) again without a doubt")
      }
    case .registerRooms(_, _, let chats) where !isDoubted:
      for chat in chats where shards.contains(where: { $0.isRegistered(chat) }) {
        failures.append("registers \(chat) again without a doubt")
      }
    default: break
    }
  }

  /// Whatever a shard takes for registered stands in the primary that it knows.
  private func check() {
    for shard in shards where !shard.isDoubted {
      guard let store = primaries[shard.directories[0]] else { continue }
      for session in shard.registered where attached[session] != nil {
        if store.sessions[session]?.epoch != shard.epoch {
          // One that is being replaced is told so in a moment.
          let entry = attached[session]!
          let hasNewer = attached.values.contains {
            $0.session != session && $0.user == entry.user && $0.device == entry.device
          }
          guard !hasNewer else { continue }
          failures.append("\(now): \(session) is taken for registered in \(shard.directories) and is not")
        }
      }
      for chat in shard.listening where shard.isRegistered(chat) {
        if store.rooms[chat] != shard.epoch {
          failures.append("\(now): room \(chat) is taken for registered in \(shard.directories) and is not")
        }
      }
    }
  }

  /// The directory holds what the table holds, of this epoch, once nothing is under way any more.
  func checkQuiet() {
    let store = primaries[primary]!
    if !registrar.isStanding { failures.append("does not stand at the end") }
    let living = attached.keys.filter { !shards[$0.shard].replaced.contains($0) }
    let sessions = store.sessions.filter { $0.value.epoch == registrar.epoch }
    if Set(living) != Set(sessions.keys) {
      failures.append("sessions differ: \(Set(living).symmetricDifference(sessions.keys))")
    }
    for session in living where !shards[session.shard].registered.contains(session) {
      failures.append("\(session) was never told that it is registered")
    }
    let listening = shards.reduce(into: Set<[UInt8]>()) { $0.formUnion($1.listening) }
    let rooms = Set(store.rooms.filter { $0.value == registrar.epoch }.keys)
    if listening != rooms { failures.append("rooms differ: \(listening.symmetricDifference(rooms))") }
    if shards.contains(where: { $0.asked != $0.words }) { failures.append("a listen was not answered once") }
    if shards.contains(where: { $0.leaseUntil <= now }) { failures.append("the lease is not told to hold") }
    if registrar.roomCount != listening.count { failures.append("the table keeps rooms") }
    if registrar.sessionCount != attached.count { failures.append("the table keeps sessions") }
  }
}

extension RegistrarAction {
  fileprivate var isOfInbox: Bool {
    switch self {
    case .makeInbox, .checkInbox: true
    default: false
    }
  }
}

extension RegistrarStage.Shard {
  /// All that was asked for the room was answered.
  func isRegistered(_ chat: [UInt8]) -> Bool {
    listening.contains(chat) && asked[chat] != nil && asked[chat] == words[chat]
  }
}
