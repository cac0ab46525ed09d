import WebSocket

/// Messages that come back: so many in flight on each connection, each echo replaced by a new one.
final class Echo: Scenario {
  let connectionCount: Int
  private let path: String
  private let depth: Int
  private let size: Int
  private let wire: Wire
  /// `depth` frames, one behind the other.
  private let frames: UnsafeMutableRawBufferPointer
  private let frameBytes: Int
  /// When each message in flight was sent: `depth` places a connection, used in turn.
  private var sentAt: [UInt64]
  private var next: [Int]
  /// Echoes of the reception that is being told.
  private var echoes = 0
  private var inFlight = 0
  private var isSending = false
  private var outcome = Outcome()

  init(_ options: LoadOptions, _ connections: Int, _ wire: Wire) {
    connectionCount = connections
    path = options.url.path
    depth = options.depth
    size = options.size
    self.wire = wire
    sentAt = Array(repeating: 0, count: connections * depth)
    next = Array(repeating: 0, count: connections)
    frameBytes = FrameHeader.encodedSize(payload: size, masked: true) + size
    frames = .allocate(byteCount: frameBytes * depth, alignment: 16)
    for i in 0..<depth {
      let room = UnsafeMutableRawBufferPointer(rebasing: frames[i * frameBytes..<(i + 1) * frameBytes])
      Wire.encode(.text, size: size, into: room) { payload in
        for j in payload.indices { payload[j] = UInt8(ascii: "a") + UInt8(j % 26) }
      }
    }
  }

  deinit { frames.deallocate() }

  func path(of client: Int) -> String { path }
  func opened(_ client: Int) {}
  var isReady: Bool { wire.isComplete }

  func begin() throws(LoadError) {
    isSending = true
    for client in 0..<connectionCount { try send(client, depth) }
  }

  private func send(_ client: Int, _ count: Int) throws(LoadError) {
    try wire.send(client, encoded: UnsafeRawBufferPointer(rebasing: frames[..<(count * frameBytes)]))
    inFlight += count
    for _ in 0..<count {
      sentAt[client * depth + next[client]] = wire.now
      next[client] = next[client] + 1 == depth ? 0 : next[client] + 1
    }
    outcome.sent += UInt64(count)
  }

  func received(_ client: Int, _ message: UnsafeRawBufferPointer) throws(LoadError) {
    guard message.count == size, size == 0 || message[size - 1] == UInt8(ascii: "a") + UInt8((size - 1) % 26)
    else { throw .failure("an echo is not what was sent") }
    // The oldest in flight stands where the next will, `echoes` further for those told before it.
    let place = (next[client] + echoes) % depth
    outcome.answered.record(wire.now - sentAt[client * depth + place])
    echoes += 1
  }

  func receivedAll(_ client: Int) throws(LoadError) {
    let count = echoes
    echoes = 0
    inFlight -= count
    outcome.messages += UInt64(count)
    if isSending, count > 0 { try send(client, count) }
  }

  func beginMeasuring() {
    outcome = Outcome()
    outcome.messageBytes = size
  }

  func end() -> Outcome {
    isSending = false
    return outcome
  }

  var isDrained: Bool { inFlight == 0 }
}
