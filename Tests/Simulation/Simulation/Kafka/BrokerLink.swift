import Chat

/// A server's way to the brokers: it may be gone for a while, and all that is on it waits.
final class BrokerLink {
  private let kafka: SimulatedKafka
  private let engine: Engine
  private var cutUntil: Tick = 0
  /// What is to be done once something gets through, in this order.
  private var waiting: [() -> Void] = []
  /// When nothing got through last, or will; nil where it always did.
  var lastCut: Tick? { cutUntil > 0 ? cutUntil : nil }

  init(_ kafka: SimulatedKafka) {
    self.kafka = kafka
    engine = kafka.engine
  }

  var isCut: Bool { wait > 0 }

  /// Milliseconds until something gets through.
  var wait: Tick { max(cutUntil - engine.now, 0) }

  /// Milliseconds until a request of this server arrives, or the answer to it.
  func delay(_ low: Tick = 1, _ high: Tick = 12) -> Tick { kafka.delay(low, high, wait: wait) }

  /// Does what needs a broker, at once where the server reaches them, else as soon as it does.
  func whenOpen(_ work: @escaping () -> Void) {
    guard isCut || !waiting.isEmpty else { return work() }
    waiting.append(work)
    if waiting.count == 1 { engine.after(wait) { [self] in open() } }
  }

  private func open() {
    guard !isCut else { return engine.after(wait) { [self] in open() } }
    var next = 0
    while next < waiting.count {
      waiting[next]()
      next += 1
    }
    waiting.removeAll()
  }

  func cut(for pause: Tick) { cutUntil = max(cutUntil, engine.now + pause) }

  /// The run is over: what waits holds on to those whom it would be told.
  func end() { waiting.removeAll() }
}
