import Chat

/// One life of a server that stands alone: its shards, the thread that commits and the one that reads.
final class EmbeddedProcess {
  let engine: Engine
  let store: EmbeddedStore
  let faults: EmbeddedFaults
  let epoch: Epoch
  private unowned let run: EmbeddedRun
  private(set) var shards: [EmbeddedShard] = []
  private var sessions: [String: SessionID] = [:]
  private var waiting: [UInt8] = []
  private var isCommitting = false
  private var isHealthy = true
  private var questions: [(query: ViewQuery, shard: Int)] = []
  private var isReading = false
  private(set) var isDead = false

  static let probeMilliseconds: Tick = 1_000

  init(_ run: EmbeddedRun, epoch: Epoch, shards count: Int, limits: Limits) {
    self.run = run
    self.epoch = epoch
    engine = run.engine
    store = run.store
    faults = run.faults
    store.opened()
    shards = (0..<count).map { EmbeddedShard(self, index: $0, limits: limits) }
  }

  var coverage: EmbeddedCoverage {
    get { run.coverage }
    set { run.coverage = newValue }
  }

  var faultsAreOn: Bool { run.faultsAreOn }

  func happens(_ fault: EmbeddedFault, _ probability: Double) -> Bool { run.happens(fault, probability) }

  // MARK: The directory

  func attach(_ session: SessionID, user: String, device: String) {
    let key = "\(user) \(device)"
    if let older = sessions.updateValue(session, forKey: key) { shards[older.shard].post(.replaced(older)) }
  }

  func detach(_ session: SessionID) {
    if let key = sessions.first(where: { $0.value == session })?.key { sessions[key] = nil }
  }

  // MARK: The store's thread

  func append(_ bytes: [UInt8]) {
    waiting += bytes
    commitNext()
  }

  func mark(_ mark: ReadMark) {
    engine.after(engine.random.latency(1, 40)) { [self] in
      if !isDead, let event = store.mark(mark) { tell(event) }
    }
  }

  private func commitNext() {
    guard !isCommitting, !waiting.isEmpty else { return }
    let bytes = waiting
    waiting = []
    begin(bytes)
  }

  private func begin(_ bytes: [UInt8]) {
    isCommitting = true
    let time = happens(.slowDisk, 0.02) ? engine.random.between(500, 12_000) : engine.random.latency(1, 16)
    engine.after(time) { [self] in
      guard !isDead else { return }
      isCommitting = false
      commit(bytes)
      commitNext()
    }
  }

  private func commit(_ bytes: [UInt8]) {
    run.checks.tick(engine.now)
    if !bytes.isEmpty, happens(.crash, 0.02) {
      // Either side of the commit, and before anybody is told.
      _ = store.commit(bytes, wall: engine.wall, fails: true, persists: engine.random.chance(0.5))
      return run.crash()
    }
    let fails = happens(.failedCommit, isHealthy ? 0.06 : 0.5)
    let persists = !fails || engine.random.chance(0.5)
    let news = store.commit(bytes, wall: engine.wall, fails: fails, persists: persists)
    isHealthy = !fails
    for report in news.appended { post(.appended(report), report.origin) }
    for report in news.failed { post(.failed(report), report.origin) }
    for verdict in news.verdicts { post(.judged(verdict), verdict.origin) }
    if let batch = news.batch { for shard in shards { shard.post(.batch(batch)) } }
    if fails { engine.after(Self.probeMilliseconds) { [self] in probe() } }
  }

  /// Proves that the store takes records again, where nothing else does.
  private func probe() {
    guard !isDead, !isHealthy, !isCommitting else { return }
    begin([])
  }

  private func post(_ mail: EmbeddedShard.Mail, _ origin: Origin) { shards[origin.session.shard].post(mail) }

  // MARK: The reader's thread

  func ask(_ query: ViewQuery, shard: Int) {
    questions.append((query, shard))
    readNext()
  }

  private func readNext() {
    guard !isReading, !questions.isEmpty else { return }
    isReading = true
    let (query, shard) = questions.removeFirst()
    engine.after(engine.random.latency(0, 8)) { [self] in
      guard !isDead else { return }
      var answer = store.answer(query)
      answer.hasFailed = happens(.failedRead, 0.08)
      let late = happens(.slowReader, 0.05) ? engine.random.between(20, 6_000) : engine.random.latency(0, 8)
      engine.after(late) { [self] in
        guard !isDead else { return }
        shards[shard].post(.answer(answer))
        isReading = false
        readNext()
      }
    }
  }

  // MARK: Told to all

  func tell(_ event: Ephemeral) { for shard in shards { shard.post(.ephemeral(event)) } }

  func die() {
    isDead = true
    for shard in shards { shard.die() }
  }
}
