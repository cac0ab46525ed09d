import Chat

/// A word to a shard from its router, its producer or another shard.
enum Mail {
  case appended(Appended)
  case failed(Failed)
  case judged(Verdict)
  case batch(Batch)
  case ephemeral(Ephemeral)
  case answer(ViewAnswer)
  case logEnded(partition: Int32, Seq?)
  case word(ShardWord)

  /// Whether a full mailbox still takes it: what a registrar says is bounded by what it was asked.
  var alwaysFits: Bool {
    switch self {
    case .word, .logEnded: true
    default: false
    }
  }
}
