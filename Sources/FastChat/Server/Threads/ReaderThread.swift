import Embedded

/// The thread that asks the store's view on behalf of all shards.
enum ReaderThread {
  /// Milliseconds after which it looks whether the server ended without telling it; nothing depends on it.
  private static let waitMilliseconds: Int64 = 60_000

  /// The body of the thread: answers until the queue is closed.
  static func serve(_ file: StoreFile, _ queue: ViewQueue, _ ports: [ShardPort]) {
    let reader = StoreReader(file)
    var questions: [ViewQueue.Question] = []
    while queue.take(&questions, until: Clock.tick() + waitMilliseconds) {
      for question in questions {
        ports[question.shard].post(AnswerNews(reader.answer(question.query)))
      }
      questions.removeAll(keepingCapacity: true)
    }
  }
}
