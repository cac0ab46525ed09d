import Chat

/// The brokers: the log, inboxes, the state topic and the routers' group.
final class SimulatedKafka {
  let engine: Engine
  let log: [LogPartition]
  let state: StateTopic
  let group: RouterGroup
  /// Faults that may happen now; none once the run settles.
  var faults: FaultSet
  /// Nobody is answered before: a broker is gone.
  var stalledUntil: Tick = 0
  /// No transaction comes through before.
  var commitsStalledUntil: Tick = 0
  /// Batches to this server stay under way until then.
  var lateBatches: (server: String, until: Tick)?
  /// Told of each record as the log takes it.
  var onAppend: (Int32, LogPartition.Record) -> Void = { _, _ in }
  /// The wall clock from which on records are kept.
  private(set) var windowBegins: WallTime = 0
  private var inboxes: [ServerEpoch: InboxTopic] = [:]
  /// Incarnations of the transactional ids: whoever initialized last may commit.
  private var transactions: [String: Int] = [:]

  init(_ engine: Engine, partitions: Int32, faults: FaultSet) {
    self.engine = engine
    self.faults = faults
    log = (0..<partitions).map { LogPartition(number: $0) }
    state = StateTopic(partitions: partitions)
    group = RouterGroup(engine, partitions: partitions)
  }

  /// Milliseconds until a request arrives, or its answer, where nothing gets through for `wait`.
  func delay(_ low: Tick = 1, _ high: Tick = 12, wait: Tick = 0) -> Tick {
    engine.random.latency(low, high) + max(stalledUntil - engine.now, wait, 0)
  }

  func happens(_ fault: FaultKind, _ probability: Double) -> Bool {
    guard faults.contains(fault), engine.random.chance(probability) else { return false }
    engine.coverage.count(fault)
    return true
  }

  // MARK: The log

  func append(_ bytes: [UInt8], to partition: Int32) -> LogPartition.Record {
    if engine.random.chance(0.02) { log[Int(partition)].skipOffset() }
    let record = log[Int(partition)].append(bytes, at: engine.wall)
    engine.coverage.count(.appends)
    engine.fold(Int64(partition) << 40 | record.offset)
    onAppend(partition, record)
    return record
  }

  /// The answer to "where does the log end": the seq of its last record.
  func end(of partition: Int32) -> Seq { LogPartition.seq(log[Int(partition)].visibleEnd) - 1 }

  func forget(before time: WallTime) {
    windowBegins = max(windowBegins, time)
    for partition in log {
      // A segment stays until all of it is old: what is kept reaches back further than asked.
      partition.removeRecords(below: partition.offset(since: time) ?? partition.nextOffset)
    }
  }

  // MARK: Inboxes

  func makeInbox(_ owner: ServerEpoch) {
    if inboxes[owner] == nil { inboxes[owner] = InboxTopic(owner: owner) }
  }

  func inbox(_ owner: ServerEpoch) -> InboxTopic? { inboxes[owner] }

  func removeInbox(_ owner: ServerEpoch) { inboxes[owner] = nil }

  // MARK: Transactions

  /// Ends whatever a dead process of the same id left open, and fences it.
  func initTransactions(_ id: String) -> Int {
    transactions[id, default: 0] += 1
    for partition in log.indices { state.openUntil[partition] = min(state.openUntil[partition], engine.now) }
    return transactions[id]!
  }

  func isCurrent(transactional id: String, _ incarnation: Int) -> Bool { transactions[id] == incarnation }
}

extension SimulatedKafka {
  /// The run is over: readers that wait hold on to those whom they would tell.
  func end() {
    for partition in log { partition.forgetReaders() }
    onAppend = { _, _ in }
  }
}
