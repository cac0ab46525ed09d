import Chat
import Embedded
import JSON

/// What a store says of itself once it is open.
struct StoreFacts: Sendable {
  let file: StoreFile
  let log: String
  let view: UInt64
  let directory: UInt64
  let applied: Seq
}

/// The thread that owns the store: takes what the shards handed over, has it committed, and posts to each
/// shard what it came to. Nothing is told of a record before its COMMIT returned, or failed.
final class StoreThread {
  /// Milliseconds between two rounds of what is done beside committing: letting go of old records, and
  /// the proof that a commit would come through.
  static let choreMilliseconds: Int64 = 1_000

  private let store: Store
  private let queue: StoreQueue
  private let ports: [ShardPort]
  private let pins: Pins
  private let metrics: MetricsBlock
  private var run = ByteBuffer(capacity: 64 << 10)
  private var marks: [ReadMark] = []
  private var wasHealthy = true
  /// Retention has more to do: it gets a portion after each commit.
  private var hasOldRecords = false
  private var lastCommit: Int64 = 0

  private init(
    _ store: Store, _ queue: StoreQueue, _ ports: [ShardPort], _ pins: Pins, _ metrics: MetricsBlock
  ) {
    self.store = store
    self.queue = queue
    self.ports = ports
    self.pins = pins
    self.metrics = metrics
  }

  /// The body of the thread. Opens the store, says how that went, and serves until the queue is closed and
  /// everything in it has been answered. The store is closed when this returns.
  static func serve(
    _ configuration: Configuration, queue: StoreQueue, ports: [ShardPort], pins: Pins,
    metrics: MetricsBlock, opened: Handoff<Result<StoreFacts, StartFailure>>
  ) {
    let store: Store
    do throws(StoreError) {
      store = try Store(directory: configuration.dataDirectory, limits: configuration.limits)
    } catch {
      return opened.give(.failure(StartFailure(error.description)))
    }
    opened.give(
      .success(
        StoreFacts(
          file: store.file, log: store.logID, view: store.viewID, directory: Store.directoryID,
          applied: store.applied)))
    StoreThread(store, queue, ports, pins, metrics).serve()
  }

  private func serve() {
    var nextChores = Clock.tick()
    while queue.take(&run, &marks, until: nextChores) {
      if !run.isEmpty || !marks.isEmpty { commitAll() }
      let now = Clock.tick()
      if now >= nextChores {
        chores(at: now)
        nextChores = now + StoreThread.choreMilliseconds
      }
    }
  }

  // MARK: Committing

  /// Commits what was taken in portions that a transaction takes. What arrives meanwhile is the next run.
  private func commitAll() {
    var start = 0
    repeat {
      let (end, records) = portion(from: start)
      let began = Clock.nanoseconds()
      let result = store.commit(appends: run[start..<end], reads: marks, now: Clock.wall())
      metrics.record(.commit, nanoseconds: Clock.nanoseconds() - began)
      metrics.add(.storedRecords, store.isHealthy ? records : 0)
      tell(result, batch: result.batch?.pinned(in: pins))
      queue.release(end - start)
      marks.removeAll(keepingCapacity: true)
      if hasOldRecords { hasOldRecords = store.retain(now: Clock.wall()) }
      start = end
    } while start < run.count
    run.removeAll(keepingAtMost: 4 << 20)
  }

  /// How far the records from `start` on go into one transaction, and how many they are.
  private func portion(from start: Int) -> (end: Int, records: Int) {
    let bytes = run.bytes
    var end = start
    var records = 0
    while records < Store.batchRecords {
      var next = end
      guard AppendCodec.decode(bytes, at: &next) != nil else { break }
      if records > 0, next - start > Store.batchBytes { break }
      end = next
      records += 1
    }
    return (end, records)
  }

  // MARK: Telling

  private func tell(_ result: CommitResult, batch: Batch?) {
    noteHealth()
    metrics.add(store.isHealthy ? .storedBatches : .storeFailures)
    if store.isHealthy { lastCommit = Clock.tick() }
    for (shard, port) in ports.enumerated() {
      let news = LogNews(
        appended: own(result.appended, shard) { $0.origin },
        failed: own(result.failed, shard) { $0.origin },
        verdicts: own(result.verdicts, shard) { $0.origin }, batch: batch,
        provesBackbone: store.isHealthy)
      port.post(news)
      if !result.ephemerals.isEmpty { port.post(result.ephemerals) }
    }
  }

  /// What of the reports is for requests of one shard.
  private func own<Report>(
    _ reports: [Report], _ shard: Int, _ origin: (Report) -> Origin
  ) -> [Report] {
    ports.count == 1 || reports.isEmpty ? reports : reports.filter { origin($0).session.shard == shard }
  }

  private func noteHealth() {
    guard store.isHealthy != wasHealthy else { return }
    wasHealthy = store.isHealthy
    if wasHealthy {
      Log.info("the store takes records again")
    } else {
      Log.error(
        "the store cannot commit; sends are answered unavailable, reading goes on",
        ["reason": store.complaint])
    }
  }

  // MARK: Chores

  private func chores(at now: Int64) {
    metrics.set(.pinnedBytes, to: pins.bytes)
    hasOldRecords = store.retain(now: Clock.wall())
    // A commit of the last second is proof enough of its own.
    guard !store.isHealthy || now - lastCommit >= StoreThread.choreMilliseconds else { return }
    let result = store.probe()
    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
    let empty = Batch(
      partition: 0, view: store.viewID, directories: [Store.directoryID], since: store.applied,
      upto: store.applied, hints: nothing)
    tell(result, batch: result.batch ?? empty)
  }
}
