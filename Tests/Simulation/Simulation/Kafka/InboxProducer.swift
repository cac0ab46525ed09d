import Chat

/// A server's producer for inboxes: words to one topic arrive in their order.
final class InboxProducer {
  /// A word that no broker took for so long is given up.
  static let patienceMilliseconds: Tick = 5_000

  private let kafka: SimulatedKafka
  private let link: BrokerLink
  private let process: SimulatedThread
  private var lastArrival: [ServerEpoch: Tick] = [:]

  init(_ kafka: SimulatedKafka, link: BrokerLink, process: SimulatedThread) {
    self.kafka = kafka
    self.link = link
    self.process = process
  }

  /// `failed` is told, on the process, where the topic is gone, or did not take it.
  func send(_ word: InboxWord, to target: ServerEpoch, failed: @escaping () -> Void) {
    let engine = kafka.engine
    var failed = failed
    if link.wait > Self.patienceMilliseconds {
      let giveUp = failed
      engine.after(Self.patienceMilliseconds) { [self] in process.run(giveUp) }
      // Some of it stood in a socket, and arrives all the same.
      guard engine.random.chance(0.5) else { return }
      failed = {}
    }
    let undelivered = failed
    var arrival = engine.now + link.delay()
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
        return process.run(undelivered)
      }
      topic.append(word)
      if kafka.happens(.batchTwice, 0.1) { topic.append(word) }
    }
  }
}
