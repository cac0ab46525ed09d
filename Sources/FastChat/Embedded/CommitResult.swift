public import Chat

/// What a batch came to, to be told to whoever waits: one object, filled again by every commit.
public final class CommitResult {
  /// Plain first sends that are stored, in the log's order.
  public internal(set) var appended: [Appended] = []
  /// Records that came to no event, or repeat one that is stored.
  public internal(set) var verdicts: [Verdict] = []
  /// Records that were not stored, or of which nobody knows.
  public internal(set) var failed: [Failed] = []
  /// Read positions that moved.
  public internal(set) var ephemerals: [Ephemeral] = []
  /// For every shard; nil where the log did not move.
  public internal(set) var batch: Batch?

  init() {
    appended.reserveCapacity(Store.batchRecords)
    verdicts.reserveCapacity(Store.batchRecords)
  }

  func removeAll() {
    appended.removeAll(keepingCapacity: true)
    verdicts.removeAll(keepingCapacity: true)
    failed.removeAll(keepingCapacity: true)
    ephemerals.removeAll(keepingCapacity: true)
    batch = nil
  }
}
