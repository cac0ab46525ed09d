import Chat
import EventLoop
import JSON
import Kafka
import Redis

/// The loop of the router's thread: a loop without clients, that has all that a server shares with the others
/// (DESIGN section 10). The owners of the partitions that are this server's, the registrar, the way to the
/// log, the inbox, and the connections to Redis.
///
/// A turn, in this order; nothing in it waits, and nothing of the way of a message waits for a tick:
/// ```
/// loop.turn      what the last turn queued for Redis is written; then it waits
/// events         answers of Redis -> owners, registrar, shards
/// shards' mail   records -> the log's producer; questions -> Redis; words -> the registrar
/// helper's mail  answers of the calls that wait for brokers
/// queues         delivery reports -> shards; records -> owners; the inbox -> shards
/// tick           ten times a second
/// flush          one record to each inbox, one write to each primary
/// ```
///
/// Records go through this thread, and not from the shards to librdkafka: it sends a request a partition, and
/// the broker pays for requests, so that all shards' records want to be in the same ones. The way costs a wake
/// of this thread, a few microseconds where it is awake already.
final class Router {
  /// Milliseconds between two ticks of the machines.
  static let tickMilliseconds: Tick = 100
  /// Milliseconds between two rounds of what is rare: queues that nothing announced, leases, notices.
  static let choreMilliseconds: Tick = 1_000
  /// A process that did not turn for so long hears of the time before anything else.
  private static let stallMilliseconds: Tick = 1_000

  let shared: Shared
  let queue: RouterQueue
  let serverID: String
  let facts: ClusterFacts
  let generation: Int64
  let limits: Limits
  let loop: EventLoop
  let redis: RedisPool
  let links: BrokerLinks
  let metrics: MetricsBlock
  private let helper: BrokerHelper
  private var tickets: [UInt64: (BrokerAnswer) -> Void] = [:]
  private var lastTicket: UInt64 = 0
  private var answered: [BrokerHelper.Answered] = []
  private var mail = RouterMail()
  private var bells: [RouterQueue.Bell] = []
  /// Records that the producer had no room for, from `carriedStart` on.
  private var carried = ByteBuffer()
  private var carriedStart = 0
  private(set) var registrar: RegistrarHost!
  private(set) var group: GroupHost!
  private(set) var watch: LeaseWatch!
  private(set) var relay: Relay!
  private var questions: Questions!
  private var reports: ReportSorter
  private var lastTick: Tick = 0
  private var lastChores: Tick = 0
  private var stage = RouterQueue.Stage.serving
  private var hasFlushed = false
  /// How often the log's queue was read.
  private(set) var logDrains: UInt64 = 0
  /// There is more in a queue of librdkafka than a turn takes.
  private var hasMore = Sources()

  /// Queues of librdkafka that have something.
  struct Sources: OptionSet {
    let rawValue: UInt64
    static let reports = Sources(rawValue: 1 << 0)
    static let log = Sources(rawValue: 1 << 1)
    static let state = Sources(rawValue: 1 << 2)
    static let inbox = Sources(rawValue: 1 << 3)
    static let inboxReports = Sources(rawValue: 1 << 4)
    static let group = Sources(rawValue: 1 << 5)
    static let all: Sources = [.reports, .log, .state, .inbox, .inboxReports, .group]
  }

  init(
    _ shared: Shared, queue: RouterQueue, loop: EventLoop, redis: RedisPool, start: ClusterStart,
    helper: BrokerHelper, seed: UInt64
  ) throws(StartFailure) {
    self.shared = shared
    self.queue = queue
    self.loop = loop
    self.redis = redis
    self.helper = helper
    links = start.links
    generation = start.generation
    serverID = shared.configuration.serverID
    limits = shared.configuration.limits
    metrics = shared.backboneMetrics
    reports = ReportSorter(shards: shared.ports.count)
    let host = HostIdentity()
    let machine = Registrar(
      Registrar.Configuration(
        server: serverID, host: host.host, boot: host.boot, process: host.process,
        shards: shared.ports.count, seed: seed))
    facts = ClusterFacts(log: start.logID, epoch: machine.epoch, partitions: start.partitions)
    registrar = RegistrarHost(self, machine, host)
    group = GroupHost(self)
    watch = LeaseWatch(self)
    relay = Relay(self)
    questions = Questions(self)
    redis.onReconnected = { [unowned self] _ in registrar.reconnected() }
    do throws(LoopError) {
      try loop.watch(queue.bell)
      try loop.watch(helper.answers)
      for (descriptor, source) in links.descriptors {
        try loop.watch(descriptor: descriptor, tag: source.rawValue)
      }
    } catch {
      throw StartFailure(error.description)
    }
  }

  var tick: Tick { loop.tick }
  var wall: WallTime { loop.wallTime }
  var epoch: Epoch { registrar.epoch }
  /// The server is about to end: it takes no place in the group any more.
  var isEnding: Bool { stage != .serving }

  // MARK: The turn

  /// Serves until the server ends.
  func run() {
    lastTick = tick
    registrar.start()
    while stage != .leaving { turn() }
    leave()
  }

  private func turn() {
    loop.turn(waitAtMostMilliseconds: hasMore.isEmpty ? Int(Self.tickMilliseconds) : 0)
    if tick - lastTick >= Self.stallMilliseconds { tickAll() }
    var sources = hasMore
    hasMore = []
    while let event = loop.next() {
      if redis.handle(event) { continue }
      if case .readable(let tag) = event { sources.insert(Sources(rawValue: tag)) }
    }
    let newStage = queue.stage
    takeMail()
    takeAnswers()
    if tick - lastChores >= Self.choreMilliseconds { sources = .all }
    drain(sources)
    if tick - lastTick >= Self.tickMilliseconds { tickAll() }
    if tick - lastChores >= Self.choreMilliseconds { chores() }
    group.flush()
    questions.flush()
    links.inboxes.flush()
    redis.flush()
    advance(to: newStage)
  }

  private func tickAll() {
    lastTick = tick
    registrar.tick()
    watch.tick()
    group.tick()
    redis.tick(tick)
  }

  private func chores() {
    lastChores = tick
    group.beat()
    if registrar.isStanding {
      attempt("asking the own inbox") { () throws(KafkaError) in
        try links.inboxes.ping(ServerEpoch(server: serverID, epoch: epoch))
      }
    }
    links.probe(self)
    tellHealth()
    links.reportNotices()
    reportFigures()
  }

  /// While not all of this server stands in the directory nobody can attach, whatever else works.
  private func tellHealth() {
    guard registrar.isStanding else { return }
    let logHolds = (links.producer.acknowledgedAt ?? .min / 2) + Health.logMilliseconds
    shared.health.backboneHolds(until: min(registrar.leaseHeldUntil, logHolds))
  }

  // MARK: From the shards

  private func takeMail() {
    queue.bell.drain(into: &bells)
    queue.take(&mail)
    guard !mail.isEmpty else { return }
    append(mail.appends.bytes)
    for (shard, word) in mail.words { registrar.take(word, from: shard) }
    for question in mail.questions { questions.ask(question) }
    relay.take(mail.marks, mail.ephemerals)
    mail.removeAll()
  }

  /// Hands records to the producer. What it does not take waits, and takes room in the queue so long: the
  /// shards let their sessions feel it.
  private func append(_ run: UnsafeRawBufferPointer) {
    guard !run.isEmpty else { return }
    guard carried.isEmpty else { return carried.append(run) }
    let taken = links.producer.append(run, at: tick, stamp: Clock.nanoseconds())
    queue.release(taken)
    if taken < run.count { carried.append(UnsafeRawBufferPointer(rebasing: run[taken...])) }
  }

  private func appendCarried() {
    guard !carried.isEmpty else { return }
    let rest = UnsafeRawBufferPointer(rebasing: carried.bytes[carriedStart...])
    let taken = links.producer.append(rest, at: tick, stamp: Clock.nanoseconds())
    queue.release(taken)
    carriedStart += taken
    // What waits is moved only when most of it has gone.
    if carriedStart == carried.count {
      carried.removeAll(keepingAtMost: 4 << 20)
      carriedStart = 0
    } else if carriedStart > carried.count / 2 {
      carried.removeFirst(carriedStart)
      carriedStart = 0
    }
  }

  // MARK: The helper

  /// Has something done that waits for a broker. `answer` comes in a later turn, or at once as failed where
  /// too much waits.
  func broker(_ job: BrokerJob, _ answer: @escaping (BrokerAnswer) -> Void) {
    lastTicket += 1
    tickets[lastTicket] = answer
    if !helper.submit(job, ticket: lastTicket) {
      helper.answers.postAlways(BrokerHelper.Answered(ticket: lastTicket, answer: .failed))
    }
  }

  private func takeAnswers() {
    helper.answers.drain(into: &answered)
    for one in answered { tickets.removeValue(forKey: one.ticket)?(one.answer) }
    answered.removeAll(keepingCapacity: true)
  }

  // MARK: Queues of librdkafka

  private func drain(_ sources: Sources) {
    if sources.contains(.reports) || !carried.isEmpty { drainReports() }
    if sources.contains(.log) { drainLog() }
    if sources.contains(.state) { drainState() }
    if sources.contains(.inbox) { drainInbox() }
    if sources.contains(.inboxReports) { drainInboxReports() }
    if sources.contains(.group) { group.drain() }
  }

  /// What waits in a queue comes with the next turn, though no edge announces it.
  func comeBack(to source: Sources) { hasMore.insert(source) }

  private func drainReports() {
    let restarts = links.producer.restarts
    let descriptor = links.producer.descriptor
    let isFirst = links.producer.acknowledgedAt == nil
    attempt("reading delivery reports") { () throws(KafkaError) in try links.producer.drain(at: tick) }
    if links.producer.restarts != restarts {
      Log.warning("the log's producer was begun anew; what was on its way is answered unavailable")
      loop.unwatch(descriptor: descriptor)
      watch(links.producer.descriptor, .reports)
    }
    if isFirst, links.producer.acknowledgedAt != nil { tellHealth() }
    appendCarried()
    reports.tell(links.producer.reports, shared.ports, metrics)
    links.producer.reportsTaken()
  }

  private func watch(_ descriptor: Int32, _ source: Sources) {
    do throws(LoopError) {
      try loop.watch(descriptor: descriptor, tag: source.rawValue)
      comeBack(to: source)
    } catch {
      // Every second it is drained beside that.
      Log.error("a queue of Kafka cannot be watched", ["reason": error.description])
    }
  }

  private func drainLog() {
    logDrains += 1
    if links.log.drain() { comeBack(to: .log) }
    for i in 0..<links.log.count {
      let (partition, reading) = links.log.source(i)
      group.owners[Int(partition)]?.take(links.log.fetched(i), reading)
    }
  }

  private func drainState() {
    if links.state.drain() { comeBack(to: .state) }
    for i in 0..<links.state.count {
      guard let fetched = links.state.fetched(i) else { continue }
      let (partition, reading) = links.state.source(i)
      group.owners[Int(partition)]?.take(fetched, reading)
    }
  }

  private func drainInbox() {
    let began = Clock.nanoseconds()
    if links.inbox.drain() { comeBack(to: .inbox) }
    var isLost = links.inbox.isGone
    let count = links.inbox.count
    for i in 0..<count where !isLost {
      switch links.inbox.fetched(i) {
      case .record(let record): dispatch(record)
      case .outOfRange: isLost = true
      case .failed(let error): Log.warning("the inbox could not be read", ["reason": error.description])
      }
    }
    if count > 0 { metrics.record(.inboxDispatch, nanoseconds: Clock.nanoseconds() - began) }
    if isLost { registrar.inboxLost() }
  }

  /// Hands each word of a record to the shards that it concerns, in order.
  private func dispatch(_ record: InboxReader) {
    var record = record
    var isEmpty = true
    while let item = record.next() {
      isEmpty = false
      switch item {
      case .batch(let batch): dispatch(batch, provesBackbone: true)
      case .verdict(let verdict): dispatch(verdict)
      case .replaced(let session): port(of: session)?.post(.replaced(session))
      case .ephemeral(let event, let epoch): relay.take(event, from: epoch)
      }
    }
    if record.isBroken { Log.warning("a record of the inbox is not of this version, or damaged") }
    guard isEmpty, !record.isBroken else { return }
    let proof = LogNews(provesBackbone: true)
    for port in shared.ports { port.post(proof) }
  }

  /// Every shard gets every batch.
  func dispatch(_ batch: Batch, provesBackbone: Bool = false) {
    let news = LogNews(batch: batch, provesBackbone: provesBackbone)
    for port in shared.ports { port.post(news) }
  }

  func dispatch(_ verdict: Verdict) {
    port(of: verdict.origin.session)?.post(LogNews(verdicts: [verdict]))
  }

  func isThisServer(_ target: ServerEpoch) -> Bool { target.epoch == epoch && target.server == serverID }

  /// Nil for a session that no server of this shape has: what comes from elsewhere is not trusted.
  func port(of session: SessionID) -> ShardPort? {
    shared.ports.indices.contains(session.shard) ? shared.ports[session.shard] : nil
  }

  private func drainInboxReports() {
    links.inboxes.drain()
    for failure in links.inboxes.failures {
      group.owners[Int(failure.partition)]?.notSent(failure.server)
    }
    links.inboxes.failuresTaken()
  }

  /// Does what may fail for now: it is said, and something else notices what is missing.
  func attempt(_ what: String, _ body: () throws(KafkaError) -> Void) {
    do throws(KafkaError) {
      try body()
    } catch {
      Log.warning("kafka refused", ["what": what, "reason": error.description])
    }
  }

  // MARK: The end

  /// `newStage` was read before the turn's mail, so all that was handed over before it has been taken.
  private func advance(to newStage: RouterQueue.Stage) {
    stage = max(stage, newStage)
    guard stage == .flushing, !hasFlushed, carried.isEmpty, links.producer.pendingCount == 0 else { return }
    hasFlushed = true
    queue.flushed.arrive(0)
  }

  /// Milliseconds that the sessions' entries are removed for, and the lease after them.
  private static let leavingMilliseconds: Tick = 2_000

  /// Takes the server out of the directory. Its place in the group stays its own, so that it has its partitions
  /// at once when it comes back.
  private func leave() {
    takeMail()
    let deadline = tick + Self.leavingMilliseconds
    while registrar.hasRemovals, tick < deadline { spin() }
    registrar.stop()
    while redis.waiting.commands > 0, tick < deadline { spin() }
    group.end()
    helper.close()
    redis.close()
    loop.shutdown()
  }

  /// A turn of the end.
  private func spin() {
    redis.flush()
    loop.turn(waitAtMostMilliseconds: 10)
    while let event = loop.next() { _ = redis.handle(event) }
    takeAnswers()
    registrar.tick()
    redis.tick(tick)
  }
}
