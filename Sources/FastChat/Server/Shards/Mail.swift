import Chat

/// A word to a shard from another thread.
enum Mail: Sendable {
  /// What became of records, as far as this shard is concerned.
  case news(LogNews)
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

/// What became of records, for one shard: first what its own requests came to, then the batch, so that a
/// sender has its `ack` before anybody has the message. Of a store, one commit's; in a cluster reports,
/// batches and verdicts come by themselves.
final class LogNews: Sendable {
  let appended: [Appended]
  let failed: [Failed]
  let verdicts: [Verdict]
  /// The same object for all shards; nil where nothing was applied.
  let batch: Batch?
  /// It shows that the backbone takes records and that words from it arrive.
  let provesBackbone: Bool

  init(
    appended: [Appended] = [], failed: [Failed] = [], verdicts: [Verdict] = [], batch: Batch? = nil,
    provesBackbone: Bool = false
  ) {
    self.appended = appended
    self.failed = failed
    self.verdicts = verdicts
    self.batch = batch
    self.provesBackbone = provesBackbone
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
