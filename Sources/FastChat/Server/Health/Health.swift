import Synchronization

/// What `/healthz` and `/readyz` answer, and what it proves.
///
/// - **healthz**: every shard's loop has turned within the last `turnMilliseconds` (each turns at least
///   every 100 ms). It says nothing of the store: a full disk is no reason to kill the process.
/// - **readyz**: within the last `batchMilliseconds` a record was written into the store's file by a
///   transaction that returned from COMMIT, the batch of that commit went through the mailbox of *every*
///   shard, and every shard's edge took it. It goes false when commits fail or hang, when a shard stands
///   still, and as soon as the server is asked to end. The record is a row of the store's own that no
///   chat ever shows; a commit that carried messages counts as well.
final class Health: Sendable {
  static let turnMilliseconds: Int64 = 5_000
  static let batchMilliseconds: Int64 = 5_000

  private let pulses: [Pulse]
  private let isEnding = Atomic<Bool>(false)

  init(pulses: [Pulse]) { self.pulses = pulses }

  /// The server was asked to end: it is ready no more, and as healthy as before.
  func end() { isEnding.store(true, ordering: .relaxed) }

  func isHealthy(at tick: Int64) -> Bool {
    pulses.allSatisfy { tick - $0.turnTick <= Health.turnMilliseconds }
  }

  func isReady(at tick: Int64) -> Bool {
    !isEnding.load(ordering: .relaxed) && isHealthy(at: tick)
      && pulses.allSatisfy { tick - $0.batchTick <= Health.batchMilliseconds }
  }
}
