import Chat

/// A server's producer for inboxes: words to one topic arrive in their order.
final class InboxProducer {
  private let kafka: SimulatedKafka
  private let process: SimulatedThread
  private var lastArrival: [ServerEpoch: Tick] = [:]

  init(_ kafka: SimulatedKafka, process: SimulatedThread) {
    self.kafka = kafka
    self.process = process
  }

  /// `failed` is told, on the process, where the topic is gone, or did not take it.
  func send(_ word: InboxWord, to target: ServerEpoch, failed: @escaping () -> Void) {
    let engine = kafka.engine
    var arrival = engine.now + kafka.delay()
    if let late = kafka.lateBatches, late.server == target.server, late.until > arrival {
      engine.coverage.count(.lateBatches)
      arrival = late.until + engine.random.between(0, 50)
    }
    arrival = max(arrival, lastArrival[target] ?? 0)
    lastArrival[target] = arrival
    engine.after(arrival - engine.now) { [self] in
      // What was still with the process when it died is lost.
      if process.isDead, engine.random.chance(0.3) { return }
      guard let topic = kafka.inbox(target), !kafka.happens(.batchLost, 0.05) else {
        return process.run(failed)
      }
      topic.append(word)
      if kafka.happens(.batchTwice, 0.1) { topic.append(word) }
    }
  }
}
