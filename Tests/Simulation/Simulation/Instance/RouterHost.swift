import Chat
import Redis
import SimulatedRedis

/// The router's loop: the registrar and the owners as they are, the connections to Redis, the inbox.
final class RouterHost {
  static let tickMilliseconds: Tick = 100

  unowned let process: ServerProcess
  unowned let cluster: Cluster
  let engine: Engine
  let kafka: SimulatedKafka
  let link: BrokerLink
  let thread = SimulatedThread()
  let registrar: Registrar
  private(set) var connections: [RedisConnection] = []
  var owners: [OwnerHost?]
  private(set) var standIn: StandInHost!
  private var inbox: InboxReader?
  private(set) var member: RouterGroup.Member?
  /// Milliseconds that its readers are behind.
  var lag: Tick = 0
  private var lastSlow: Tick = 0
  private var lastEpoch: Epoch?
  private var stopped: Set<Int32> = []

  init(_ process: ServerProcess) {
    self.process = process
    cluster = process.cluster
    engine = process.engine
    kafka = process.cluster.kafka
    link = process.server.link
    owners = (0..<process.cluster.plan.partitions).map { _ in nil }
    registrar = Registrar(
      Registrar.Configuration(
        server: process.name, host: process.name, boot: "boot", process: process.number,
        shards: process.cluster.plan.shards, seed: process.engine.random.next()))
    connections = cluster.primaries.map { primary in
      RedisConnection(primary, engine: engine, thread: thread) { [unowned self] in
        registrar.directoryReconnected(self.process.tick)
        performRegistrar()
      }
    }
    standIn = StandInHost(self)
  }

  func begin() {
    registrar.start(tick: process.tick)
    performRegistrar()
    tick()
  }

  private func tick() {
    engine.after(RouterHost.tickMilliseconds) { [self] in
      guard !thread.isDead else { return }
      thread.run { [self] in
        registrar.tick(process.tick)
        performRegistrar()
        standIn.tick()
        for owner in owners { owner?.tick() }
        if engine.now - lastSlow >= 500 {
          lastSlow = engine.now
          for connection in connections { connection.expire() }
          process.producer.expire()
          beatGroup()
        }
        tick()
      }
    }
  }

  // MARK: From shards

  func attach(_ entry: SessionEntry) {
    engine.coverage.count(.attaches)
    registrar.attach(entry)
    performRegistrar()
  }

  func detach(_ session: SessionID) {
    registrar.detach(session)
    performRegistrar()
  }

  func listen(_ chat: [UInt8], shard: Int) {
    registrar.listen(shard: shard, chat: chat)
    performRegistrar()
  }

  func viewChanged(_ partition: Int32, _ view: ViewID) {
    registrar.viewChanged(partition: partition, of: cluster.plan.partitions, view: view)
    performRegistrar()
  }

  func unlisten(_ chat: [UInt8], shard: Int) {
    registrar.unlisten(shard: shard, chat: chat)
    performRegistrar()
  }

  func registrationDoubted(shard: Int) {
    registrar.registrationAsked(shard: shard)
    performRegistrar()
  }

  func ask(_ query: ViewQuery, shard: Int) {
    engine.note("\(process.name)/\(shard): asks \(query.text)")
    send(.query(query)) { [unowned self] reply in
      let answer: ViewAnswer
      if let reply {
        answer = ViewAnswer(query: query, reply: reply)
      } else {
        var failed = ViewAnswer(tag: query.tag, partition: query.partition, view: 0, directory: 0, applied: 0)
        failed.hasFailed = true
        answer = failed
      }
      engine.note("\(process.name)/\(shard): is answered \(answer.text)")
      engine.after(engine.random.between(0, 2)) { [weak process] in
        guard let process, !process.isDead else { return }
        process.post(.answer(answer), shard: shard)
      }
    }
  }

  func mark(_ mark: ReadMark) {
    let partition = mark.chat.withUnsafeBytes { Partition.of($0, count: cluster.plan.partitions) }
    send(.raiseRead(mark, partition: partition)) { _ in }
  }

  // MARK: Redis

  /// To the primary of the command's slot.
  func send(_ command: RedisCommand, _ answer: @escaping (RedisReply?) -> Void) {
    connections[primary(of: command)].send(command, answer)
  }

  func primary(of command: RedisCommand) -> Int {
    guard let slot = command.slot else { return 0 }
    return Int(slot) * connections.count / HashSlot.count
  }

  /// The ids of all primaries; nil where one did not answer.
  func readDirectories(_ answer: @escaping ([DirectoryID]?) -> Void) {
    var ids: [DirectoryID] = []
    var left = connections.count
    var hasFailed = false
    for connection in connections {
      connection.send(.readDirectory) { reply in
        left -= 1
        if let id = reply.flatMap({ DirectoryID(reply: $0) }) { ids.append(id) } else { hasFailed = true }
        if left == 0 { answer(hasFailed ? nil : ids) }
      }
    }
  }

  // MARK: The registrar

  func performRegistrar() {
    while !registrar.actions.isEmpty {
      let actions = registrar.actions
      registrar.actionsPerformed()
      for action in actions { perform(action) }
    }
    if standIn != nil {
      if registrar.leaseHeldUntil > process.tick, !standIn.isCut {
        standIn.leaseHolds(epoch: registrar.epoch, until: registrar.leaseHeldUntil)
      } else {
        standIn.leaseLapsed()
      }
    }
    joinIfStanding()
  }

  /// The process goes on after it stood still: time is the first that it hears of.
  func wakes() {
    registrar.tick(process.tick)
    performRegistrar()
  }

  private func perform(_ action: RegistrarAction) {
    let own = ServerEpoch(server: process.name, epoch: registrar.epoch)
    switch action {
    case .takeLease(let tag, let holder, let replacing):
      send(.takeLease(server: process.name, holder, replacing: replacing)) { [unowned self] in
        leaseAnswered(tag, $0)
      }
    case .renewLease(let tag, let epoch):
      if cluster.stalledLease == process.name {
        engine.coverage.count(.leaseStall)
        return
      }
      send(.renewLease(server: process.name, epoch)) { [unowned self] in leaseAnswered(tag, $0) }
    case .dropLease(let epoch): send(.dropLease(server: process.name, epoch)) { _ in }
    case .registerSessions(let tag, let epoch, let entries):
      registerSessions(tag, ServerEpoch(server: process.name, epoch: epoch), entries)
    case .removeSessions(let tag, let epoch, let entries):
      let owner = ServerEpoch(server: process.name, epoch: epoch)
      all(RedisCommand.removeSessions(server: owner, earlier: registrar.earlierEpochs, entries)) {
        [unowned self] replies in
        registrar.done(tag, replies != nil)
        performRegistrar()
      }
    case .registerRooms(let tag, let epoch, let rooms):
      let server = ServerEpoch(server: process.name, epoch: epoch)
      all(rooms.map { .registerRoom($0, server: server, partitions: cluster.plan.partitions) }) {
        [unowned self] replies in
        registrar.roomsRegistered(tag, replies != nil)
        performRegistrar()
      }
    case .removeRooms(let tag, let epoch, let rooms):
      let server = ServerEpoch(server: process.name, epoch: epoch)
      all(rooms.map { .removeRoom($0, server: server, partitions: cluster.plan.partitions) }) {
        [unowned self] replies in
        registrar.done(tag, replies != nil)
        performRegistrar()
      }
    case .readDirectories(let tag):
      readDirectories { [unowned self] ids in
        var read = DirectoriesRead(tag: tag)
        if let ids { read.directories = ids } else { read.hasFailed = true }
        registrar.directoriesRead(read)
        performRegistrar()
      }
    case .makeInbox(let tag, let epoch):
      broker { [unowned self] in
        kafka.makeInbox(ServerEpoch(server: process.name, epoch: epoch))
        registrar.inboxAnswered(tag, stands: true)
        performRegistrar()
      }
    case .checkInbox(let tag, let epoch):
      broker { [unowned self] in
        let stands = kafka.inbox(ServerEpoch(server: process.name, epoch: epoch)) != nil
        registrar.inboxAnswered(tag, stands: stands)
        performRegistrar()
      }
    case .readInbox(let epoch): readInbox(ServerEpoch(server: process.name, epoch: epoch))
    case .tell(let shard, let word): tell(shard, word)
    case .tellReplaced(let replaced):
      process.inboxes.send(.replaced(replaced.session), to: replaced.server) {}
    case .refuseStart(let other):
      engine.note("\(own.server): refused, \(other.process) holds the lease")
      cluster.refused(process)
    }
  }

  private func tell(_ shard: Int, _ word: ShardWord) {
    switch word {
    case .registrationDoubted: engine.coverage.count(.registrationDoubts)
    case .inboxDoubted: engine.coverage.count(.inboxDoubts)
    case .registeredAgain(let epoch, _):
      engine.coverage.count(.reRegistrations)
      if let lastEpoch, lastEpoch != epoch { engine.coverage.count(.newEpochs) }
      cluster.noteClock(of: process.server, epoch)
      lastEpoch = epoch
      process.isListening = true
    default: break
    }
    engine.note("\(process.name)/\(shard): told \(word.text)")
    process.post(.word(word), shard: shard)
  }

  private func leaseAnswered(_ tag: UInt64, _ reply: RedisReply?) {
    let answer = reply.map { LeaseAnswer(reply: $0) } ?? .unknown
    registrar.leaseAnswered(tag, answer)
    if case .other(let holder) = answer, holder.host == process.name, cluster.isGone(holder) {
      registrar.predecessorIsGone(holder)
    }
    performRegistrar()
  }

  private func registerSessions(_ tag: UInt64, _ server: ServerEpoch, _ entries: [SessionEntry]) {
    all(RedisCommand.registerSessions(server: server, earlier: registrar.earlierEpochs, entries)) {
      [unowned self] replies in
      var registered: [SessionRegistered]? = []
      for reply in replies ?? [] {
        guard let some = [SessionRegistered](reply: reply) else {
          registered = nil
          break
        }
        registered?.append(contentsOf: some)
      }
      registrar.sessionsRegistered(tag, replies == nil ? nil : registered)
      performRegistrar()
    }
  }

  /// All commands, each to its primary; nil where one was not answered.
  func all(_ commands: [RedisCommand], _ answer: @escaping ([RedisReply]?) -> Void) {
    var replies = [RedisReply?](repeating: nil, count: commands.count)
    var left = commands.count
    if left == 0 { return answer([]) }
    for (i, command) in commands.enumerated() {
      send(command) { reply in
        replies[i] = reply
        left -= 1
        if left == 0 { answer(replies.contains { $0 == nil } ? nil : replies.map { $0! }) }
      }
    }
  }

  /// A call that waits for a broker, on the helper thread.
  func broker(_ low: Tick = 2, _ high: Tick = 40, _ work: @escaping () -> Void) {
    engine.after(link.delay(low, high)) { [weak self] in
      guard let self, !thread.isDead else { return }
      thread.run(work)
    }
  }

  private func readInbox(_ owner: ServerEpoch) {
    inbox?.stop()
    guard let topic = kafka.inbox(owner) else {
      registrar.inboxLost()
      return
    }
    inbox = InboxReader(process, topic: topic) { [unowned self] in
      registrar.inboxLost()
      performRegistrar()
    }
  }

  // MARK: The group

  /// Routers belong to the group only while they hold their lease, and do not say that they are cut off.
  private func joinIfStanding() {
    guard registrar.isStanding, member == nil, !process.isDraining, !standIn.isCut else { return }
    guard registrar.leaseHeldUntil > process.tick else { return }
    member = join(as: process.name)
  }

  /// First the transactions, which fences whoever had them, even if the place is not wanted any more by then.
  func join(as instance: String) -> RouterGroup.Member {
    let thread = thread
    let member = RouterGroup.Member(
      instance: instance, link: link, isBeating: { !thread.isDead && !thread.isStopped },
      assign: { [weak self] member, partitions in
        self?.thread.run { [weak self] in self?.assign(partitions ?? [], member) }
      },
      fenced: { [weak self] member in
        self?.thread.run { [weak self] in self?.fenced(member) }
      })
    link.whenOpen { [kafka] in
      guard !thread.isDead else { return }
      member.incarnation = kafka.initTransactions(instance)
      if !member.isOver { kafka.group.join(member) }
    }
    return member
  }

  private func assign(_ partitions: [Int32], _ member: RouterGroup.Member) {
    for p in owners.indices {
      let isWanted = partitions.contains(Int32(p)) && !stopped.contains(Int32(p))
      if let owner = owners[p], owner.member === member {
        if !isWanted { endOwner(p) }
      } else if isWanted {
        endOwner(p)
        engine.coverage.count(.takeovers)
        engine.note("\(process.name): owns p\(p) as \(member.instance)")
        owners[p] = OwnerHost(self, partition: Int32(p), member: member)
        owners[p]?.begin()
      }
    }
    if !member.isIn, member === self.member { self.member = nil }
  }

  private func endOwner(_ p: Int) {
    guard let owner = owners[p] else { return }
    engine.note("\(process.name): lets go of p\(p)")
    owner.end()
    owners[p] = nil
  }

  private func fenced(_ member: RouterGroup.Member) {
    for p in owners.indices where owners[p]?.member === member { endOwner(p) }
    if member === self.member {
      self.member = nil
    } else {
      standIn.fenced(member)
    }
    // It joins again once it holds its lease.
    joinIfStanding()
  }

  /// A transaction was refused: somebody has initialized after this member, and perhaps never joined. The place is
  /// taken again.
  func transactionsFenced(_ member: RouterGroup.Member) {
    guard member.isIn, !member.isOver else { return }
    kafka.group.giveUp(member)
    fenced(member)
  }

  /// A stand-in leaves the place it took.
  func left(_ member: RouterGroup.Member) {
    for p in owners.indices where owners[p]?.member === member { endOwner(p) }
    kafka.group.leave(member)
  }

  /// A member that was put out hears of it by its next heartbeat.
  private func beatGroup() {
    guard !link.isCut else { return }
    if let member, !member.isIn { assign([], member) }
    joinIfStanding()
  }

  func stop(_ partition: Int32) {
    stopped.insert(partition)
    endOwner(Int(partition))
  }

  // MARK: The end

  func logEnd(of partition: Int32, _ answer: @escaping (Seq?) -> Void) {
    broker { [unowned self] in answer(kafka.end(of: partition)) }
  }

  func leave() {
    registrar.stop()
    performRegistrar()
    if let member { kafka.group.leave(member) }
    standIn.leave()
  }

  func die() {
    thread.die()
    inbox?.stop()
    for p in owners.indices {
      owners[p]?.end()
      owners[p] = nil
    }
  }
}
