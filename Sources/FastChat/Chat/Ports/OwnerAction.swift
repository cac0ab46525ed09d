/// What an owner wants done; the answers come back under the same tag. Performed in order, all of them
/// before the next input.
public enum OwnerAction {
  // To the view; answered by `viewRead`, `applied`, `rebuildAnswered`.
  /// Positions, and outcomes above a seq (`.max`: none).
  case readView(tag: UInt64, outcomesAfter: Seq)
  case apply(ApplyRequest)
  case beginRebuild(RebuildRequest)
  case restore(RestoreRequest)

  // To the directory; answered by `directoriesRead`, `lookedUp`, `leasesRead`.
  case readDirectories(tag: UInt64)
  case lookUp(tag: UInt64, LookUp)
  case readLeases(tag: UInt64)

  // To inboxes. A batch that could not be produced is told by `notSent`; a verdict is best effort.
  case send(ServerEpoch, Batch)
  /// To whichever server holds a lease in the verdict's epoch.
  case verdict(ServerEpoch, Verdict)

  // To the log.
  /// Begin reading, under a new number: `received` brings its records in order. What was read under
  /// another number is not handed in any more.
  case readLog(reading: UInt64, from: LogPlace)
  /// Hand in no more records, and no more rows of the state topic, before `resumeLog`. `readLog` and
  /// `readState` resume too.
  case pauseLog
  case resumeLog
  /// Ask the broker where the log ends; answered by `logEnded`.
  case askLogEnd(tag: UInt64)
  /// Ask for the first record that the log took at `time` or later and that is still there; answered by
  /// `windowBegins` with its seq, or the one behind the log's end where there is none.
  case askWindow(tag: UInt64, time: WallTime)

  // To the state topic.
  /// Read all rows of the partition: `stateRead` for each, then `stateEnded` with the offset committed
  /// before the reading began.
  case readState(reading: UInt64)
  /// Write rows and `upto` as the committed position in one transaction; answered by `committed`.
  case commit(tag: UInt64, upto: Seq, rows: [StateRow])

  /// Nothing more is done in this partition before an operator has spoken.
  case stop(StopReason)
}
