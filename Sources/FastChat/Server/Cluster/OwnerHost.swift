import Chat
import Kafka
import Redis

/// One assignment of a partition to this server: the owner as it is, and what it asks of Redis and the inboxes.
final class OwnerHost {
  /// Milliseconds until a question to a broker that failed is asked again.
  static let retryMilliseconds: Tick = 1_000

  let partition: Int32
  let member: Membership
  unowned let router: Router
  let owner: Owner
  private(set) var isOver = false
  private var isPerforming = false
  /// Inputs that came while actions were performed.
  private var late: [(Owner) -> Void] = []
  // Who listens (`OwnerHost+LookUp`).
  /// The look-ups that went behind the last batch.
  var ahead: Ahead?
  /// Leases that were read in the pipeline of this batch's look-ups, behind them.
  var leasesBehind: LeasesRead?

  // How far it is with the log and the state topic (`OwnerHost+Log`).
  var beginAt: Tick? = .min
  var reading: Reading?
  var isLogPaused = false
  var stateReading: StateReading?
  var isStatePaused = false
  /// Read positions for a view that was rebuilt.
  private(set) var reads: ReadsRestore!
  /// Events of older generations for a view that is being rebuilt.
  private(set) var refill: RefillRestore!
  /// The view that this owner began to rebuild last.
  private var rebuilt: ViewID?
  /// When the log took the last record that was handed in.
  var lastAppended: WallTime = 0

  init(_ router: Router, partition: Int32, member: Membership) {
    self.router = router
    self.partition = partition
    self.member = member
    owner = Owner(
      configuration: Owner.Configuration(
        partition: partition, generation: router.generation, limits: router.limits,
        hashSeedLow: .random(in: 0 ... .max), hashSeedHigh: .random(in: 0 ... .max),
        idSeed: .random(in: 0 ... .max)))
    reads = ReadsRestore(self)
    refill = RefillRestore(self)
  }

  func end() {
    guard !isOver else { return }
    isOver = true
    owner.revoked()
    stopReading()
    reads.stop()
    refill.stop()
  }

  // MARK: Inputs

  func input(_ body: @escaping (Owner) -> Void) {
    guard !isOver else { return }
    guard !isPerforming else { return late.append(body) }
    isPerforming = true
    body(owner)
    settle()
  }

  /// A record of the log, whose texts are valid for the call alone. Not to be called while actions are
  /// performed.
  func received(_ record: borrowing LogRecord, reading: UInt64) {
    guard !isOver else { return }
    precondition(!isPerforming, "records come by themselves")
    isPerforming = true
    owner.received(record, reading: reading)
    settle()
  }

  private func settle() {
    perform()
    while !late.isEmpty, !isOver {
      let next = late.removeFirst()
      next(owner)
      perform()
    }
    isPerforming = false
    if !owner.isInService { reads.stop() }
  }

  func tick() {
    let (tick, wall) = (router.tick, router.wall)
    input { $0.tick(tick: tick, wall: wall) }
    retryReading()
    refill.tick()
    if owner.isInService { reads.tick() }
  }

  func notSent(_ server: ServerEpoch) { input { $0.notSent(server) } }
  func committed(tag: UInt64, isDone: Bool) { input { $0.committed(tag: tag, isDone: isDone) } }

  // MARK: Actions

  private func perform() {
    while !owner.actions.isEmpty, !isOver {
      let actions = owner.actions
      owner.actionsPerformed()
      for action in actions where !isOver { perform(action) }
    }
  }

  private func perform(_ action: OwnerAction) {
    switch action {
    case .readView(let tag, let outcomesAfter):
      ask(.readView(partition: partition, outcomesAfter: outcomesAfter)) { host, reply in
        var answer = ViewStateAnswer(tag: tag)
        if let reply { answer = ViewStateAnswer(tag: tag, reply: reply) } else { answer.hasFailed = true }
        host.input { $0.viewRead(answer) }
      }
    case .apply(let request): apply(request)
    case .beginRebuild(let request):
      rebuilt = request.id
      rebuild(.beginRebuild(request), request.tag)
    case .restore(let request): rebuild(.restore(request), request.tag)
    case .readDirectories(let tag):
      router.readDirectories { [weak self] ids in
        self?.input { $0.directoriesRead(DirectoriesRead(tag: tag, ids: ids)) }
      }
    case .lookUp(let tag, let lookUp): self.lookUp(tag, lookUp)
    case .readLeases(let tag): readLeases(tag)
    case .send(let target, let batch): send(batch, to: target)
    case .verdict(let target, let verdict): send(verdict, to: target)
    case .readLog(let reading, let place):
      refill.stop()
      readLog(reading, from: place)
    case .pauseLog: pause(true)
    case .resumeLog: pause(false)
    case .askLogEnd(let tag):
      broker(.logEnd(partition)) { host, answer in
        var end: Seq?
        if case .seq(let seq) = answer { end = seq }
        host.input { $0.logEnded(tag: tag, at: end) }
      }
    case .askWindow(let tag, let time):
      broker(.firstRecord(partition, since: time)) { host, answer in
        var first: Seq?
        if case .seq(let seq) = answer { first = seq }
        host.input { $0.windowBegins(tag: tag, seq: first) }
      }
    case .readState(let reading):
      // One that is in service only looks for outcomes that are too old.
      let view = router.generation > 1 && !owner.isInService ? rebuilt : nil
      readState(reading, refilling: view)
    case .commit(let tag, let upto, let rows):
      member.commit(StateCommit(partition: partition, upto: upto, rows: rows), tag: tag, of: self)
    case .stop(let reason): router.group.stop(partition, reason)
    }
  }

  func broker(_ job: BrokerJob, _ answer: @escaping (OwnerHost, BrokerAnswer) -> Void) {
    router.broker(job) { [weak self] done in if let self, !isOver { answer(self, done) } }
  }

  // MARK: Redis

  func ask(_ command: RedisCommand, _ answer: @escaping (OwnerHost, RedisReply?) -> Void) {
    router.redis.send(command) { [weak self] reply in if let self { answer(self, reply) } }
  }

  private func apply(_ request: ApplyRequest) {
    let began = Clock.nanoseconds()
    let ahead = Ahead(request, isPossible: router.redis.primaries == 1)
    self.ahead = ahead
    // Leases of before this batch say nothing about it.
    leasesBehind = nil
    ask(.apply(request, limits: router.limits)) { host, reply in
      host.router.metrics.record(.apply, nanoseconds: Clock.nanoseconds() - began)
      ahead?.isBehind = true
      let answer: ApplyAnswer
      if let reply {
        answer = ApplyAnswer(request: request, reply: reply)
      } else {
        answer = ApplyAnswer(tag: request.tag, result: .unknown)
      }
      if case .applied = answer.result { host.router.metrics.add(.appliedRecords, request.records.count) }
      host.input { $0.applied(answer) }
    }
    if let ahead { askAhead(ahead) }
  }

  private func rebuild(_ command: RedisCommand, _ tag: UInt64) {
    ask(command) { host, reply in
      let answer: RebuildAnswer
      if let reply {
        answer = RebuildAnswer(tag: tag, reply: reply)
      } else {
        answer = RebuildAnswer(tag: tag, result: .unknown)
      }
      host.input { $0.rebuildAnswered(answer) }
    }
  }

  // MARK: Inboxes

  /// To another server by its inbox. To this one at once: a batch that comes by a shorter way is one that comes
  /// early (DESIGN I7), and costs no broker two requests.
  private func send(_ batch: Batch, to target: ServerEpoch) {
    router.metrics.add(.batchesSent)
    if router.isThisServer(target) { return router.dispatch(batch.pinned(in: router.shared.pins)) }
    var isSent = false
    router.attempt("sending a batch") { () throws(KafkaError) in
      isSent = try router.links.inboxes.send(batch, to: target)
    }
    if !isSent { notSent(target) }
  }

  private func send(_ verdict: Verdict, to target: ServerEpoch) {
    if router.isThisServer(target) { return router.dispatch(verdict) }
    router.attempt("sending a verdict") { () throws(KafkaError) in
      try router.links.inboxes.send(verdict, to: target)
    }
  }
}
