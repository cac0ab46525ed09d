import Chat
import Kafka
import Redis

/// The registrar as it is, and what it asks of Redis, the brokers and the shards.
final class RegistrarHost {
  private unowned let router: Router
  private let machine: Registrar
  private let host: HostIdentity
  private var isPerforming = false
  /// Inputs that came while actions were performed.
  private var late: [(Registrar) -> Void] = []
  /// Shards that wait to hear where the log of a partition ends.
  private var logEndAsked: [Int32: Set<Int>] = [:]

  init(_ router: Router, _ machine: Registrar, _ host: HostIdentity) {
    self.router = router
    self.machine = machine
    self.host = host
  }

  var epoch: Epoch { machine.epoch }
  var isStanding: Bool { machine.isStanding }
  var leaseHeldUntil: Tick { machine.leaseHeldUntil }
  /// Entries are still being taken out of the directory.
  var hasRemovals: Bool { machine.hasRemovals }

  // MARK: Inputs

  private func input(_ body: @escaping (Registrar) -> Void) {
    guard !isPerforming else { return late.append(body) }
    isPerforming = true
    body(machine)
    perform()
    while !late.isEmpty {
      let next = late.removeFirst()
      next(machine)
      perform()
    }
    isPerforming = false
    router.watch.leaseIs(epoch: machine.epoch, heldUntil: machine.leaseHeldUntil)
    router.group.join()
  }

  func start() {
    let tick = router.tick
    input { $0.start(tick: tick) }
  }

  func tick() {
    let tick = router.tick
    input { $0.tick(tick) }
  }

  func stop() { input { $0.stop() } }
  func inboxLost() { input { $0.inboxLost() } }

  func reconnected() {
    let tick = router.tick
    input { $0.directoryReconnected(tick) }
  }

  func take(_ word: RouterWord, from shard: Int) {
    switch word {
    case .attach(let entry): input { $0.attach(entry) }
    case .detach(let session): input { $0.detach(session) }
    case .listen(let room): input { $0.listen(shard: shard, chat: room) }
    case .unlisten(let room): input { $0.unlisten(shard: shard, chat: room) }
    case .viewChanged(let partition, let view):
      let partitions = router.facts.partitions
      input { $0.viewChanged(partition: partition, of: partitions, view: view) }
    case .askRegistration: input { $0.registrationAsked(shard: shard) }
    case .askLogEnd(let partition): askLogEnd(partition, for: shard)
    case .stop(let partition, let reason): router.group.stop(partition, reason)
    }
  }

  /// One question a partition, however many shards ask: clients say which cursors they have.
  private func askLogEnd(_ partition: Int32, for shard: Int) {
    let isAsked = logEndAsked[partition] != nil
    logEndAsked[partition, default: []].insert(shard)
    guard !isAsked else { return }
    router.broker(.logEnd(partition)) { [unowned self] answer in
      var end: Seq?
      if case .seq(let seq) = answer { end = seq }
      for shard in logEndAsked.removeValue(forKey: partition) ?? [] {
        router.shared.ports[shard].post(logEnd: end, partition: partition)
      }
    }
  }

  // MARK: Actions

  private func perform() {
    while !machine.actions.isEmpty {
      let actions = machine.actions
      machine.actionsPerformed()
      for action in actions { perform(action) }
    }
  }

  private func perform(_ action: RegistrarAction) {
    let server = router.serverID
    switch action {
    case .takeLease(let tag, let holder, let replacing):
      router.redis.send(.takeLease(server: server, holder, replacing: replacing)) { [unowned self] in
        leaseAnswered(tag, $0)
      }
    case .renewLease(let tag, let epoch):
      router.redis.send(.renewLease(server: server, epoch)) { [unowned self] in leaseAnswered(tag, $0) }
    case .dropLease(let epoch): router.redis.send(.dropLease(server: server, epoch)) { _ in }
    case .registerSessions(let tag, let epoch, let entries):
      registerSessions(tag, ServerEpoch(server: server, epoch: epoch), entries)
    case .removeSessions(let tag, let epoch, let entries):
      let owner = ServerEpoch(server: server, epoch: epoch)
      all(RedisCommand.removeSessions(server: owner, earlier: machine.earlierEpochs, entries)) {
        [unowned self] replies in input { $0.done(tag, replies != nil) }
      }
    case .registerRooms(let tag, let epoch, let rooms):
      let owner = ServerEpoch(server: server, epoch: epoch)
      all(rooms.map { .registerRoom($0, server: owner, partitions: router.facts.partitions) }) {
        [unowned self] replies in input { $0.roomsRegistered(tag, replies != nil) }
      }
    case .removeRooms(let tag, let epoch, let rooms):
      let owner = ServerEpoch(server: server, epoch: epoch)
      all(rooms.map { .removeRoom($0, server: owner, partitions: router.facts.partitions) }) {
        [unowned self] replies in input { $0.done(tag, replies != nil) }
      }
    case .readDirectories(let tag):
      router.readDirectories { [unowned self] ids in
        input { $0.directoriesRead(DirectoriesRead(tag: tag, ids: ids)) }
      }
    case .makeInbox(let tag, let epoch):
      router.broker(.makeInbox(ServerEpoch(server: server, epoch: epoch))) { [unowned self] answer in
        var stands: Bool?
        if case .done = answer { stands = true }
        input { $0.inboxAnswered(tag, stands: stands) }
      }
    case .checkInbox(let tag, let epoch):
      router.broker(.findInbox(ServerEpoch(server: server, epoch: epoch))) { [unowned self] answer in
        var stands: Bool?
        if case .found(let isThere) = answer { stands = isThere }
        input { $0.inboxAnswered(tag, stands: stands) }
      }
    case .readInbox(let epoch): readInbox(ServerEpoch(server: server, epoch: epoch))
    case .tell(let shard, let word): router.shared.ports[shard].post(word)
    case .tellReplaced(let replaced):
      router.attempt("telling a session that it was replaced") { () throws(KafkaError) in
        try router.links.inboxes.send(replaced)
      }
    case .refuseStart(let other): refuse(other)
    }
  }

  private func refuse(_ other: LeaseHolder) {
    let host = other.host.prefix { $0 != "/" }
    router.shared.fail(
      StartFailure(
        "the server id \(router.serverID) is in use by process \(other.process) on \(host); "
          + "give each server another --server-id"))
  }

  private func leaseAnswered(_ tag: UInt64, _ reply: RedisReply?) {
    let answer = reply.map { LeaseAnswer(reply: $0) } ?? .unknown
    input { $0.leaseAnswered(tag, answer) }
    if case .other(let holder) = answer, host.isGone(holder) { input { $0.predecessorIsGone(holder) } }
  }

  private func registerSessions(_ tag: UInt64, _ server: ServerEpoch, _ entries: [SessionEntry]) {
    let began = Clock.nanoseconds()
    all(RedisCommand.registerSessions(server: server, earlier: machine.earlierEpochs, entries)) {
      [unowned self] replies in
      router.metrics.record(.registration, nanoseconds: Clock.nanoseconds() - began)
      var registered: [SessionRegistered]? = replies == nil ? nil : []
      for reply in replies ?? [] {
        guard let some = [SessionRegistered](reply: reply) else {
          registered = nil
          break
        }
        registered?.append(contentsOf: some)
      }
      input { $0.sessionsRegistered(tag, registered) }
    }
  }

  /// All commands, each to its primary; nil where one was not done.
  private func all(_ commands: [RedisCommand], _ answer: @escaping ([RedisReply]?) -> Void) {
    guard !commands.isEmpty else { return answer([]) }
    let gathered = Gathered(commands.count)
    for (i, command) in commands.enumerated() {
      router.redis.send(command) { reply in
        if case .error? = reply { gathered.put(nil, at: i) } else { gathered.put(reply, at: i) }
        if gathered.isComplete { answer(gathered.all) }
      }
    }
  }

  private func readInbox(_ server: ServerEpoch) {
    do throws(KafkaError) {
      try router.links.inbox.read(server)
      router.comeBack(to: .inbox)
    } catch {
      Log.warning("the inbox cannot be read", ["reason": error.description])
      input { $0.inboxLost() }
    }
  }
}

/// Replies of several commands that are waited for together.
final class Gathered {
  private(set) var replies: [RedisReply?]
  private var missing: Int

  init(_ count: Int) {
    replies = Array(repeating: nil, count: count)
    missing = count
  }

  func put(_ reply: RedisReply?, at place: Int) {
    replies[place] = reply
    missing -= 1
  }

  var isComplete: Bool { missing == 0 }

  /// All of them; nil where one is not known.
  var all: [RedisReply]? {
    let known = replies.compactMap { $0 }
    return known.count == replies.count ? known : nil
  }
}

extension Router {
  /// The ids of all primaries; nil where one did not answer.
  func readDirectories(_ answer: @escaping ([DirectoryID]?) -> Void) {
    let gathered = Gathered(redis.primaries)
    for primary in 0..<redis.primaries {
      redis.send(.readDirectory, primary: primary) { reply in
        gathered.put(reply, at: primary)
        guard gathered.isComplete else { return }
        let ids = gathered.all?.compactMap { DirectoryID(reply: $0) }
        answer(ids?.count == gathered.replies.count ? ids : nil)
      }
    }
  }
}

extension DirectoriesRead {
  /// - Parameter ids: nil where a primary did not answer.
  init(tag: UInt64, ids: [DirectoryID]?) {
    self.init(tag: tag)
    if let ids { directories = ids } else { hasFailed = true }
  }
}
