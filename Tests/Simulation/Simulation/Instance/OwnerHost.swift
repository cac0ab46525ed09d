import Chat
import Redis
import SimulatedRedis

/// One assignment of a partition to a router: the owner as it is, and what it asks of everybody.
final class OwnerHost {
  let partition: Int32
  let member: RouterGroup.Member
  unowned let router: RouterHost
  unowned let process: ServerProcess
  private let engine: Engine
  private let kafka: SimulatedKafka
  unowned let cluster: Cluster
  private let owner: Owner
  private var reader: LogReader?
  private var stateReading: StateReading?
  private var isOver = false
  private var countedRebuilds: UInt64 = 0
  /// What was asked behind the last batch, and the leases behind that (`OwnerHost+ShortWays`).
  var ahead: Ahead?
  var leasesBehind: LeasesRead?

  /// Rows of the state topic under way to the owner.
  private final class StateReading {
    let number: UInt64
    var rows: [StateRow]
    let committed: Seq?
    var next = 0
    var isPaused = false

    init(number: UInt64, rows: [StateRow], committed: Seq?) {
      self.number = number
      self.rows = rows
      self.committed = committed
    }
  }

  init(_ router: RouterHost, partition: Int32, member: RouterGroup.Member) {
    self.router = router
    self.partition = partition
    self.member = member
    process = router.process
    engine = router.engine
    kafka = router.kafka
    cluster = router.cluster
    var configuration = Owner.Configuration(
      partition: partition, generation: 1, limits: cluster.limits, hashSeedLow: engine.random.next(),
      hashSeedHigh: engine.random.next(), idSeed: engine.random.next())
    configuration.rememberedRecords = 100_000
    owner = Owner(configuration: configuration)
  }

  /// What was committed when this owner began.
  private var committedBefore: Seq = 0

  /// The group's committed position is asked for first; it waits for transactions that are open.
  func begin() {
    let open = max(kafka.state.openUntil[Int(partition)] - engine.now, 0)
    engine.after(open) { [weak self] in
      self?.broker { host in
        let committed = host.kafka.state.committed[Int(host.partition)]
        host.committedBefore = committed ?? 0
        host.input { $0.assigned(committed: committed, tick: host.process.tick, wall: host.process.wall) }
      }
    }
  }

  func tick() { input { $0.tick(tick: process.tick, wall: process.wall) } }

  func end() {
    guard !isOver else { return }
    isOver = true
    reader?.stop()
    owner.revoked()
  }

  // MARK: Inputs

  func input(_ body: (Owner) -> Void) {
    guard !isOver else { return }
    body(owner)
    perform()
    note()
  }

  /// A call that waits for a broker.
  private func broker(_ work: @escaping (OwnerHost) -> Void) {
    router.broker { [weak self] in if let self, !isOver { work(self) } }
  }

  private func perform() {
    while !owner.actions.isEmpty, !isOver {
      let actions = owner.actions
      owner.actionsPerformed()
      for action in actions { perform(action) }
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
      engine.note(
        "\(process.name): p\(partition) begins view \(request.id.short) until \(request.until.short)")
      rebuild(.beginRebuild(request), request.tag)
    case .restore(let request):
      engine.note(
        "\(process.name): p\(partition) restores \(request.rows.map(\.seq.short)), applied \(request.applied?.short ?? -2)"
      )
      if let begin = request.applied {
        process.cluster.checks.replays(partition: Int(partition), behind: begin)
      }
      rebuild(.restore(request), request.tag)
    case .readDirectories(let tag):
      router.readDirectories { [weak self] ids in
        var read = DirectoriesRead(tag: tag)
        if let ids { read.directories = ids } else { read.hasFailed = true }
        self?.input { $0.directoriesRead(read) }
      }
    case .lookUp(let tag, let lookUp):
      if !answersAhead(tag, lookUp) { self.lookUp(tag, lookUp) }
    case .readLeases(let tag):
      if var read = leasesBehind {
        leasesBehind = nil
        read.tag = tag
        return input { $0.leasesRead(read) }
      }
      ask(.readLeases) { host, reply in
        var read = LeasesRead(tag: tag)
        if let reply { read = LeasesRead(tag: tag, reply: reply) } else { read.hasFailed = true }
        host.input { $0.leasesRead(read) }
      }
    case .send(let target, let batch): send(batch, to: target)
    case .verdict(let target, let verdict):
      if isNear(target) {
        process.post(.judged(verdict), shard: verdict.origin.session.shard)
      } else {
        process.inboxes.send(.verdict(verdict), to: target) {}
      }
    case .readLog(let reading, let place): readLog(reading, from: place)
    case .pauseLog:
      reader?.pause()
      stateReading?.isPaused = true
    case .resumeLog:
      reader?.resume()
      stateReading?.isPaused = false
      handRows()
    case .askLogEnd(let tag):
      broker { host in
        let end = host.kafka.end(of: host.partition)
        host.input { $0.logEnded(tag: tag, at: end) }
      }
    case .askWindow(let tag, let time):
      broker { host in
        let log = host.kafka.log[Int(host.partition)]
        let seq = LogPartition.seq(log.offset(since: time) ?? log.nextOffset)
        host.input { $0.windowBegins(tag: tag, seq: seq) }
      }
    case .readState(let reading): readState(reading)
    case .commit(let tag, let upto, let rows): commit(tag, upto, rows)
    case .stop(let reason):
      cluster.stopped(partition, reason, by: process.name)
      router.stop(partition)
    }
  }

  // MARK: Redis

  private func ask(_ command: RedisCommand, _ answer: @escaping (OwnerHost, RedisReply?) -> Void) {
    router.send(command) { [weak self] reply in if let self { answer(self, reply) } }
  }

  private func apply(_ request: ApplyRequest) {
    ask(.apply(request, limits: cluster.limits)) { host, reply in
      let answer: ApplyAnswer
      if let reply {
        answer = ApplyAnswer(request: request, reply: reply)
      } else {
        answer = ApplyAnswer(tag: request.tag, result: .unknown)
      }
      if case .refused(let state) = answer.result {
        host.engine.coverage.count(.refusals)
        if state.id == request.view, state.applied ?? 0 > request.from { host.engine.coverage.count(.jumps) }
      }
      if case .applied = answer.result {
        if request.upto > request.from { host.engine.coverage.count(.applies) }
        host.checkPlace(of: request)
      }
      host.engine.note("\(host.process.name): p\(host.partition) \(request.text) \(answer.text)")
      host.input { $0.applied(answer) }
    }
    askAhead(request)
  }

  /// I6: what an owner was told as committed stood in the view; one that went back below is rebuilt first.
  private func checkPlace(of request: ApplyRequest) {
    guard !request.isReplay, request.from < committedBefore,
      !cluster.checks.truth.lost.contains(Int(partition))
    else { return }
    cluster.checks.note(
      .i6, "p\(partition): applied behind \(request.from), and \(committedBefore) was committed before")
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

  /// Look-ups, and behind the last one on each primary the question how it is called.
  func lookUp(_ tag: UInt64, _ lookUp: LookUp) {
    let commands = RedisCommand.lookUp(lookUp, partitions: cluster.plan.partitions)
    var primaries: [Int] = []
    for command in commands {
      let primary = router.primary(of: command)
      if !primaries.contains(primary) { primaries.append(primary) }
    }
    var replies = [RedisReply?](repeating: nil, count: commands.count)
    var names = [RedisReply?](repeating: nil, count: primaries.count)
    var left = commands.count + primaries.count
    let finish = { [weak self] in
      left -= 1
      guard left == 0, let self else { return }
      var answer = LookedUp(tag: tag)
      if replies.contains(where: { $0 == nil }) || names.contains(where: { $0 == nil }) {
        answer.hasFailed = true
      } else {
        answer = LookedUp(tag: tag, lookUp, replies: replies.map { $0! }, primaries: names.map { $0! })
      }
      input { $0.lookedUp(answer) }
    }
    for (i, command) in commands.enumerated() {
      router.connections[router.primary(of: command)].send(command) { reply in
        replies[i] = reply
        finish()
      }
    }
    for (i, primary) in primaries.enumerated() {
      router.connections[primary].send(.readDirectory) { reply in
        names[i] = reply
        finish()
      }
    }
    if commands.isEmpty {
      let answer = LookedUp(tag: tag)
      engine.after(0) { [weak self] in
        self?.router.thread.run { [weak self] in self?.input { $0.lookedUp(answer) } }
      }
    }
  }

  // MARK: Kafka

  private func send(_ batch: Batch, to target: ServerEpoch) {
    engine.coverage.count(.batches)
    engine.note(
      "\(process.name): p\(partition) sends \(target.server) \(batch.since.short)..\(batch.upto.short)"
        + " view \(batch.view.short)")
    if isNear(target) { return process.postAll(.batch(batch)) }
    process.inboxes.send(.batch(batch), to: target) { [weak self] in
      self?.input { $0.notSent(target) }
    }
  }

  private func readLog(_ reading: UInt64, from place: LogPlace) {
    reader?.stop()
    stateReading?.isPaused = false
    let reader = LogReader(
      kafka, partition: partition, from: place, thread: router.thread,
      delay: { [unowned router] in router.link.delay() + router.lag },
      deliver: { [weak self] record in self?.hand(record, reading) })
    self.reader = reader
  }

  private func hand(_ record: LogPartition.Record, _ reading: UInt64) {
    record.bytes.withUnsafeBytes { bytes in
      var offset = 0
      guard let append = AppendCodec.decode(bytes, at: &offset) else { return }
      input {
        $0.received(
          LogRecord(seq: LogPartition.seq(record.offset), appended: record.appended, append: append),
          reading: reading)
      }
    }
  }

  /// The committed position first, then all rows up to the end there is then, behind open transactions.
  private func readState(_ reading: UInt64) {
    broker { host in
      let state = host.kafka.state
      let committed = state.committed[Int(host.partition)]
      let open = max(state.openUntil[Int(host.partition)] - host.engine.now, 0)
      host.engine.after(open) { [weak host] in
        host?.broker { host in
          host.stateReading = StateReading(
            number: reading, rows: host.kafka.state.read(partition: host.partition), committed: committed)
          host.handRows()
        }
      }
    }
  }

  private func handRows() {
    guard let reading = stateReading else { return }
    while reading.next < reading.rows.count, !reading.isPaused, stateReading === reading {
      let row = reading.rows[reading.next]
      reading.next += 1
      input { $0.stateRead(row, reading: reading.number) }
    }
    guard stateReading === reading, reading.next == reading.rows.count, !reading.isPaused else { return }
    stateReading = nil
    input { $0.stateEnded(committed: reading.committed, reading: reading.number) }
  }

  /// One transaction, on the helper thread: taken where the group and the transactional id still are this
  /// member's.
  private func commit(_ tag: UInt64, _ upto: Seq, _ rows: [StateRow]) {
    engine.after(router.link.delay(10, 60)) { [weak self] in
      guard let self else { return }
      let isFenced = !kafka.isCurrent(transactional: member.instance, member.incarnation)
      let isCurrent = kafka.group.isCurrent(member, partition: partition) && !isFenced
      if process.isDead {
        if isCurrent, engine.random.chance(0.5) {
          kafka.state.commit(rows, upto: upto, partition: partition)
        } else if isCurrent {
          // Begun, and never ended.
          kafka.state.openUntil[Int(partition)] = engine.now + 10_000
        }
        return
      }
      let isLost = kafka.happens(.commitLost, 0.1)
      let isStalled = engine.now < kafka.commitsStalledUntil
      let isDone = isCurrent && !isStalled && (!isLost || engine.random.chance(0.5))
      if isDone {
        engine.coverage.count(.commits)
        kafka.state.commit(rows, upto: upto, partition: partition)
        engine.note("\(process.name): p\(partition) committed \(upto.short) with \(rows.count) rows")
      } else {
        engine.coverage.count(.fencedCommits)
      }
      let isKnown = isDone && !isLost
      engine.after(router.link.delay(2, 20)) { [weak self] in
        guard let self, !router.thread.isDead else { return }
        router.thread.run { [weak self] in
          guard let self else { return }
          input { $0.committed(tag: tag, isDone: isKnown) }
          if isFenced { router.transactionsFenced(member) }
        }
      }
    }
  }

  // MARK: What is counted

  private func note() {
    if owner.counters.rebuilds > countedRebuilds {
      countedRebuilds = owner.counters.rebuilds
      engine.coverage.count(.rebuilds)
    }
  }
}
