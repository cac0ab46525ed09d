import Chat

/// One life of a server: its shards, its router, its producers, and what they share.
final class ServerProcess {
  let name: String
  unowned let server: Server
  unowned let cluster: Cluster
  let engine: Engine
  /// The thread of the Kafka library: reports come through it.
  let library = SimulatedThread()
  private(set) var producer: LogProducer!
  private(set) var inboxes: InboxProducer!
  private(set) var shards: [ShardHost] = []
  private(set) var router: RouterHost!
  /// Where this process's clock without end began.
  private let tickBase: Tick
  /// Its process id.
  let number: Int64
  private(set) var isDraining = false
  private var lastWord: Tick = 0
  private(set) var isDead = false
  private(set) var isStopped = false
  /// Clients are let in.
  var isListening = false

  init(_ server: Server, life: Int) {
    self.server = server
    name = server.name
    cluster = server.cluster
    engine = cluster.engine
    tickBase = engine.random.between(1_000, 1_000_000)
    number = Int64(life)
  }

  func begin() {
    producer = LogProducer(cluster.kafka, link: server.link, process: library) {
      [unowned self] origin, decision, time in
      report(origin, decision, time)
    }
    inboxes = InboxProducer(cluster.kafka, link: server.link, process: library)
    router = RouterHost(self)
    engine.note("\(name): starts with epoch \(router.registrar.epoch.short)")
    cluster.noteClock(of: server, router.registrar.epoch)
    for index in 0..<cluster.plan.shards {
      var configuration = Edge.Configuration(
        shard: index, epoch: router.registrar.epoch, log: Cluster.logID, server: name,
        partitions: cluster.plan.partitions, limits: cluster.limits, hashSeed: engine.random.next())
      configuration.isClustered = true
      shards.append(
        ShardHost(self, index: index, configuration: configuration, mailboxMax: cluster.plan.mailbox))
    }
    router.begin()
  }

  var tick: Tick { engine.now + tickBase }
  var wall: WallTime { engine.wall + server.skew }

  private func report(_ origin: Origin, _ decision: DeliveryPolicy.Decision, _ time: WallTime) {
    let shard = shards[origin.session.shard]
    switch decision {
    case .acknowledge(let seq): shard.post(.appended(Appended(origin: origin, seq: seq, time: time)))
    case .fail(let mayHavePersisted):
      shard.post(.failed(Failed(origin: origin, mayHavePersisted: mayHavePersisted)))
    case .appendAgain, .leaveToOwner: return
    }
  }

  /// To a shard's mailbox, from the router.
  func post(_ mail: Mail, shard: Int) { shards[shard].post(mail) }

  func postAll(_ mail: Mail) { for shard in shards { shard.post(mail) } }

  // MARK: What shards ask for

  func attach(_ entry: SessionEntry) { toRouter { $0.attach(entry) } }
  func detach(_ session: SessionID) { toRouter { $0.detach(session) } }
  func listen(_ chat: [UInt8], shard: Int) { toRouter { $0.listen(chat, shard: shard) } }
  func viewChanged(_ partition: Int32, _ view: ViewID) { toRouter { $0.viewChanged(partition, view) } }
  func unlisten(_ chat: [UInt8], shard: Int) { toRouter { $0.unlisten(chat, shard: shard) } }
  func registrationDoubted(shard: Int) { toRouter { $0.registrationDoubted(shard: shard) } }
  func ask(_ query: ViewQuery, shard: Int) { toRouter { $0.ask(query, shard: shard) } }
  func mark(_ mark: ReadMark) { toRouter { $0.mark(mark) } }

  func askLogEnd(_ partition: Int32, shard: Int) {
    toRouter {
      $0.logEnd(of: partition) { [unowned self] end in
        post(.logEnded(partition: partition, end), shard: shard)
      }
    }
  }

  func tell(_ event: Ephemeral) { postAll(.ephemeral(event)) }

  func stop(_ partition: Int32, _ reason: StopReason) {
    cluster.stopped(partition, reason, by: name)
    toRouter { $0.stop(partition) }
  }

  /// What shards say arrives in its order.
  private func toRouter(_ work: @escaping (RouterHost) -> Void) {
    lastWord = max(lastWord, engine.now + engine.random.between(0, 1))
    engine.after(lastWord - engine.now) { [weak self] in
      guard let self, !isDead else { return }
      router.thread.run { [unowned self] in work(router) }
    }
  }

  // MARK: Its end, and standing still

  private var threads: [SimulatedThread] { [library, router.thread] + shards.map(\.thread) }

  func stopAll() {
    guard !isDead, !isStopped else { return }
    isStopped = true
    for thread in threads { thread.stop() }
  }

  func goOn() {
    guard !isDead, isStopped else { return }
    isStopped = false
    router.wakes()
    for thread in threads { thread.goOn() }
  }

  func die() {
    guard !isDead else { return }
    isDead = true
    engine.note("\(name): is dead")
    library.die()
    router.die()
    for shard in shards { shard.die() }
    cluster.keep(self)
  }

  func drain() {
    isListening = false
    isDraining = true
    for shard in shards { shard.drain() }
  }

  func leave() { router.leave() }
}
