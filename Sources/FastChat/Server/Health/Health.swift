import Synchronization

/// What `/healthz` and `/readyz` answer, and what it proves.
///
/// - **healthz**: every shard's loop has turned within the last `turnMilliseconds` (each turns at least
///   every 100 ms). It says nothing of the store: a full disk is no reason to kill the process.
/// - **readyz**: within the last `batchMilliseconds` a record was written into the store's file by a
///   transaction that returned from COMMIT, the batch of that commit went through the mailbox of *every*
///   shard, and every shard's edge took it. It goes false when commits fail or hang, when a shard stands
///   still, and as soon as the server is asked to end. The record is a row of the store's own that no
///   chat ever shows; a commit that carried messages counts as well. Of a server among others:
///   a record went through its own inbox to every shard, the log acknowledged one (a probe, where nobody
///   writes) within the last `logMilliseconds`, and its lease holds.
final class Health: Sendable {
  static let turnMilliseconds: Int64 = 5_000
  static let batchMilliseconds: Int64 = 5_000
  static let logMilliseconds: Int64 = 15_000

  /// Stopped partitions that are named at most.
  static let namedPartitionsMax = 16

  private let pulses: [Pulse]
  /// Until when the backbone is known to take records; for ever where batches prove it.
  private let backboneHolds = Atomic<Int64>(.max)
  private let isEnding = Atomic<Bool>(false)
  private let stopped = Mutex<[Int32]>([])

  init(pulses: [Pulse]) { self.pulses = pulses }

  /// The backbone is known to work until then, a tick.
  func backboneHolds(until tick: Int64) { backboneHolds.store(tick, ordering: .relaxed) }

  /// Partitions that wait for an operator. A server that has some stays ready: all would find the same, and
  /// a proxy that believed them would close the whole cluster for the chats of one partition.
  func stopped(_ partitions: Set<Int32>) { stopped.withLock { $0 = partitions.sorted() } }

  /// What an operator has to look at though the server is ready: one line, nil where there is nothing.
  var complaint: String? {
    let partitions = stopped.withLock { $0 }
    guard !partitions.isEmpty else { return nil }
    let names = partitions.prefix(Self.namedPartitionsMax).map { "\($0)" }.joined(separator: ", ")
    let rest = partitions.count - Self.namedPartitionsMax
    return "stopped partitions: \(names)" + (rest > 0 ? " and \(rest) more" : "")
  }

  /// The server was asked to end: it is ready no more, and as healthy as before.
  func end() { isEnding.store(true, ordering: .relaxed) }

  func isHealthy(at tick: Int64) -> Bool {
    pulses.allSatisfy { tick - $0.turnTick <= Health.turnMilliseconds }
  }

  func isReady(at tick: Int64) -> Bool {
    !isEnding.load(ordering: .relaxed) && isHealthy(at: tick)
      && tick <= backboneHolds.load(ordering: .relaxed)
      && pulses.allSatisfy { tick - $0.batchTick <= Health.batchMilliseconds }
  }
}
