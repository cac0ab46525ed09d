import Chat

/// A word to a shard from another thread.
enum Mail: Sendable {
  /// What one commit of the store came to, as far as this shard is concerned.
  case commit(CommitNews)
  /// The view's answer to a query of this shard.
  case answer(AnswerNews)
  /// What is told to whoever listens now. From a shard (typing) or from the store (read positions).
  case ephemerals([Ephemeral])
  /// A newer session of the same device attached.
  case replaced(SessionID)
  /// From the registrar of a server among others.
  case word(ShardWord)
  /// Where the log of a partition ends; nil where no broker said.
  case logEnded(partition: Int32, Seq?)
}

/// The store's news of one commit for one shard: first what its own requests came to, then the batch, so
/// that a sender has its `ack` before anybody has the message.
final class CommitNews: Sendable {
  let appended: [Appended]
  let failed: [Failed]
  let verdicts: [Verdict]
  /// The same object for all shards; nil where nothing was applied.
  let batch: Batch?
  /// The commit went to the disk.
  let provesStorage: Bool

  init(
    appended: [Appended], failed: [Failed], verdicts: [Verdict], batch: Batch?, provesStorage: Bool
  ) {
    self.appended = appended
    self.failed = failed
    self.verdicts = verdicts
    self.batch = batch
    self.provesStorage = provesStorage
  }

  /// Bytes that it holds on to, for the bound on what waits for a shard.
  var bytes: Int {
    (batch?.hints.bytes.count ?? 0) + appended.count * MemoryLayout<Appended>.stride
      + failed.count * MemoryLayout<Failed>.stride + verdicts.count * MemoryLayout<Verdict>.stride
  }
}

/// An answer is some hundred bytes of fields: boxed, so that all mail stays small.
final class AnswerNews: Sendable {
  let answer: ViewAnswer
  init(_ answer: ViewAnswer) { self.answer = answer }

  var bytes: Int { answer.bytes.count + answer.rows.count * MemoryLayout<ViewAnswer.Row>.stride }
}
