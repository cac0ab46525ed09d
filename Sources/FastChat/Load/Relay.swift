import WebSocket

/// What `Pairs` does, on the floor: the second of each pair gets what the first sends, the first gets an
/// answer of a fixed size. No chat, no store: what direct messages cost at the least.
final class Relay: Scenario {
  /// The receiver's place, the message's number and the time it was sent, in the machine's byte order.
  private static let numberOffset = 8
  private static let timeOffset = 16

  let connectionCount: Int
  private let depth: Int
  private let size: Int
  private let wire: Wire
  private var sent: [UInt64]
  private var answered: UInt64 = 0
  private var delivered: [UInt64]
  private var total: (sent: UInt64, delivered: UInt64) = (0, 0)
  private var isSending = false
  private var outcome = Outcome()

  init(_ options: LoadOptions, _ wire: Wire) {
    connectionCount = 2 * options.pairs
    depth = options.depth
    size = options.size
    self.wire = wire
    sent = Array(repeating: 0, count: options.pairs)
    delivered = Array(repeating: 0, count: options.pairs)
  }

  /// The floor knows a connection by its path.
  func path(of client: Int) -> String { "/\(client)" }
  func opened(_ client: Int) {}
  var isReady: Bool { wire.isComplete }

  func begin() throws(LoadError) {
    isSending = true
    for pair in sent.indices {
      for _ in 0..<depth { try send(pair) }
    }
  }

  private func send(_ pair: Int) throws(LoadError) {
    let number = sent[pair]
    try wire.send(2 * pair, opcode: .binary, size: size) { payload in
      _ = payload.initializeMemory(as: UInt8.self, repeating: 0)
      payload.storeBytes(of: UInt32(2 * pair + 1), as: UInt32.self)
      payload.storeBytes(of: number, toByteOffset: Relay.numberOffset, as: UInt64.self)
      payload.storeBytes(of: wire.now, toByteOffset: Relay.timeOffset, as: UInt64.self)
    }
    sent[pair] += 1
    total.sent += 1
    outcome.sent += 1
  }

  func received(_ client: Int, _ message: UnsafeRawBufferPointer) throws(LoadError) {
    guard message.count >= Relay.timeOffset + 8 else { throw .failure("a message too short") }
    let age = wire.now - message.loadUnaligned(fromByteOffset: Relay.timeOffset, as: UInt64.self)
    let pair = client / 2
    if client & 1 == 0 {
      answered += 1
      outcome.answered.record(age)
      if isSending { try send(pair) }
    } else {
      let number = message.loadUnaligned(fromByteOffset: Relay.numberOffset, as: UInt64.self)
      guard number == delivered[pair] else { throw .failure("a message is missing or not in order") }
      delivered[pair] += 1
      total.delivered += 1
      outcome.delivered.record(age)
      outcome.messages += 1
      outcome.messageBytes = message.count
    }
  }

  func beginMeasuring() { outcome = Outcome() }

  func end() -> Outcome {
    isSending = false
    return outcome
  }

  var isDrained: Bool { answered == total.sent && total.delivered == total.sent }
}
