import Chat

/// Reads one inbox from its beginning and hands each word to the shards that it concerns, in order.
final class InboxReader {
  private unowned let process: ServerProcess
  private let topic: InboxTopic
  private let kafka: SimulatedKafka
  /// Told once: it cannot be read on from here.
  private let lost: () -> Void
  private var next: Int
  private var isStopped = false

  init(_ process: ServerProcess, topic: InboxTopic, lost: @escaping () -> Void) {
    self.process = process
    self.topic = topic
    self.lost = lost
    kafka = process.cluster.kafka
    next = topic.firstOffset
    fetch()
  }

  func stop() { isStopped = true }

  private func fetch() {
    guard !isStopped else { return }
    guard topic.end > next else { return topic.wait { [weak self] in self?.fetch() } }
    process.engine.after(process.server.link.delay() + process.router.lag) { [weak self] in
      guard let self, !isStopped, !process.isDead else { return }
      process.router.thread.run { [weak self] in self?.take() }
    }
  }

  private func take() {
    guard !isStopped else { return }
    guard next >= topic.firstOffset, kafka.inbox(topic.owner) === topic else {
      isStopped = true
      process.engine.note("\(process.name): its inbox cannot be read on")
      return lost()
    }
    var left = process.engine.random.between(1, 30)
    while left > 0, let word = topic.word(at: next) {
      next += 1
      left -= 1
      hand(word)
    }
    fetch()
  }

  private func hand(_ word: InboxWord) {
    switch word {
    case .batch(let batch):
      process.engine.note(
        "\(process.name): batch p\(batch.partition) \(batch.since.short)..\(batch.upto.short) view \(batch.view.short)"
      )
      process.postAll(.batch(batch))
    case .verdict(let verdict): process.post(.judged(verdict), shard: verdict.origin.session.shard)
    case .replaced(let session): process.post(.word(.replaced(session)), shard: session.shard)
    }
  }
}

extension Seq {
  /// Its offset, for notes; "nothing yet" is -1.
  var short: Int64 { self < SeqSpace.base(generation: 1) - 1 ? self : LogPartition.offset(self) }
}

extension UInt64 {
  /// Enough of an id to tell it from others, for notes.
  var short: String { String(self & 0xffff, radix: 16) }
}
