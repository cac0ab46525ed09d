import Chat
import EventLoop
import JSON
import Kafka
import Redis

/// The loop of the router's thread: a loop without clients, that has all that a server shares with the others
/// (DESIGN section 10). The owners of the partitions that are this server's, the registrar, the log and the
/// inboxes, and the connections to Redis.
///
/// A turn, in this order; nothing in it waits, and nothing of the way of a message waits for a tick:
/// ```
/// loop.turn      what the last turn queued for Redis is written; then it waits
/// events         answers of Redis -> owners, registrar, shards
/// shards' mail   questions -> Redis; words -> the registrar; records that wait -> the log
/// helper's mail  answers of the calls that wait for brokers
/// queues         records -> owners; the inbox -> shards; what did not reach the log or an inbox
/// tick           ten times a second
/// flush          one record to each inbox, one write to each primary
/// ```
///
/// The way of an `ack` passes this thread by as long as the log keeps up: a shard hands its records to the log's
/// producer, which all share so that they are in the same requests, and librdkafka's thread tells the shard what the
/// broker said.
final class Router {
  /// Milliseconds between two ticks of the machines.
  static let tickMilliseconds: Tick = 100
  /// Milliseconds between two rounds of what is rare: queues that nothing announced, leases, notices.
  static let choreMilliseconds: Tick = 1_000
  /// Milliseconds between two looks whether records that wait may go to the log.
  private static let carriedMilliseconds: Tick = 1
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
  /// Records that wait for their group to go, or for room in the producer, from `carriedStart` on.
  private var carried = ByteBuffer()
  private var carriedStart = 0
  private var pace: AppendPace
  private(set) var registrar: RegistrarHost!
  private(set) var group: GroupHost!
  private(set) var watch: LeaseWatch!
  private(set) var relay: Relay!
  private(set) var reads: ReadsWriter!
  private var questions: Questions!
  private var lastTick: Tick = 0
  private var lastChores: Tick = 0
  private var stage = RouterQueue.Stage.serving
  private var hasFlushed = false
  /// The log has acknowledged something.
  private var isLogHeard = false
  /// How often the log's queue was read.
  var logDrains: UInt64 = 0
  /// There is more in a queue of librdkafka than a turn takes.
  var hasMore = Sources()

  /// Queues of librdkafka that have something.
  struct Sources: OptionSet {
    let rawValue: UInt64
    static let producer = Sources(rawValue: 1 << 0)
    static let log = Sources(rawValue: 1 << 1)
    static let state = Sources(rawValue: 1 << 2)
    static let inbox = Sources(rawValue: 1 << 3)
    static let inboxReports = Sources(rawValue: 1 << 4)
    static let group = Sources(rawValue: 1 << 5)
    static let all: Sources = [.producer, .log, .state, .inbox, .inboxReports, .group]
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
    let host = HostIdentity()
    let machine = Registrar(
      Registrar.Configuration(
        server: serverID, host: host.host, boot: host.boot, process: host.process,
        shards: shared.ports.count, seed: seed))
    facts = ClusterFacts(log: start.logID, epoch: machine.epoch, partitions: start.partitions)
    pace = AppendPace(partitions: facts.partitions)
    registrar = RegistrarHost(self, machine, host)
    group = GroupHost(self)
    watch = LeaseWatch(self)
    relay = Relay(self)
    reads = ReadsWriter(self)
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
    let wait = carried.isEmpty ? Self.tickMilliseconds : Self.carriedMilliseconds
    loop.turn(waitAtMostMilliseconds: hasMore.isEmpty ? Int(wait) : 0)
    if tick - lastTick >= Self.stallMilliseconds { tickAll() }
    var sources = hasMore
    hasMore = []
    while let event = loop.next() {
      if redis.handle(event) { continue }
      if case .readable(let tag) = event { sources.insert(Sources(rawValue: tag)) }
    }
    let newStage = queue.stage
    takeMail()
    appendCarried()
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
    if !isLogHeard, links.producer.acknowledgedAt != nil {
      isLogHeard = true
      tellHealth()
    }
    registrar.tick()
    watch.tick()
    group.tick()
    reads.tick()
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
    watch.heard(acknowledgedAt: links.producer.acknowledgedAt)
    tellHealth()
    links.reportNotices()
    reportFigures()
  }

  /// While not all of this server stands in the directory nobody can attach, whatever else works.
  func tellHealth() {
    guard registrar.isStanding else { return }
    let logHolds = (links.producer.acknowledgedAt ?? .min / 2) + Health.logMilliseconds
    shared.health.backboneHolds(until: min(registrar.leaseHeldUntil, logHolds))
  }

  // MARK: From the shards

  private func takeMail() {
    queue.bell.drain(into: &bells)
    queue.take(&mail)
    guard !mail.isEmpty else { return }
    carried.append(mail.appends.bytes)
    for (shard, word) in mail.words { registrar.take(word, from: shard) }
    for question in mail.questions { questions.ask(question) }
    relay.take(mail.marks, mail.ephemerals)
    mail.removeAll()
  }

  /// Hands records to the producer, where it is time for it. What waits, and what the producer does not take, takes
  /// room in the queue so long: the shards let their sessions feel it.
  private func appendCarried() {
    guard !carried.isEmpty else { return }
    let producer = links.producer
    let answered = producer.acknowledgedAt ?? .min
    guard pace.mayHandOver(pending: producer.pendingCount, answered: answered, now: tick) else { return }
    defer {
      pace.handedOver(pending: producer.pendingCount, now: tick)
      queue.setPaced(pace.isOn)
    }
    let rest = UnsafeRawBufferPointer(rebasing: carried.bytes[carriedStart...])
    let taken = producer.append(rest, stamp: Clock.nanoseconds())
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

  // MARK: The end

  /// `newStage` was read before the turn's mail, so all that was handed over before it has been taken.
  private func advance(to newStage: RouterQueue.Stage) {
    stage = max(stage, newStage)
    guard stage == .flushing, !hasFlushed, carried.isEmpty else { return }
    guard links.producer.pendingCount == 0, !links.producer.wantsDrain else { return }
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
    reads.writeAll()
    while redis.waiting.commands > 0 || links.inboxes.reads.pendingCount > 0, tick < deadline { spin() }
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
    drainInboxReports()
    registrar.tick()
    redis.tick(tick)
  }
}
