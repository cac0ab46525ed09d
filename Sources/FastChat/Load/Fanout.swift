import JSON
import WebSocket

/// A room: client 0 sends, all others listen, and every copy is counted and in order. With `--raw` there is
/// no room, and the floor copies what one connection says to all others.
final class Fanout: Scenario {
  /// Joins under way at one time, each of which tells all who joined before.
  private static let joiningMax = 16

  let connectionCount: Int
  private let path: String
  private let listeners: Int
  private let depth: Int
  private let rate: Int
  private let isRaw: Bool
  private let wire: Wire
  private let attaching: Attaching
  private let frame: SendFrame
  private let rawBody: [UInt8]
  private var live = 0
  private var joinsBegun = 0
  private var joined = 0
  private var isCreated = false
  /// How many copies each client has got.
  private var got: [UInt64]
  private var sent: UInt64 = 0
  private var copies: UInt64 = 0
  private var begunAt: UInt64 = 0
  private var isSending = false
  private var outcome = Outcome()

  init(_ options: LoadOptions, _ wire: Wire) {
    listeners = options.connections
    connectionCount = listeners + 1
    path = options.url.path
    depth = options.depth
    rate = options.rate
    isRaw = options.isRaw
    self.wire = wire
    attaching = Attaching("f", wire)
    frame = SendFrame(to: attaching.room(), bodyBytes: options.size)
    rawBody = Body.template(options.size)
    got = Array(repeating: 0, count: connectionCount)
  }

  func path(of client: Int) -> String { path }

  // MARK: The room

  func opened(_ client: Int) throws(LoadError) { if !isRaw { try attaching.hello(client) } }

  var isReady: Bool { isRaw ? wire.isComplete : joined == listeners }

  private func request(_ client: Int, _ type: StaticString) throws(LoadError) {
    var text = ByteBuffer()
    text.append("{\"type\":\"")
    text.append(type)
    text.append("\",\"id\":\"r\",\"name\":\"load\",\"public\":true,\"chat\":\"")
    text.append(attaching.room())
    text.append("\"}")
    try wire.send(client, text)
  }

  private func join() throws(LoadError) {
    while joinsBegun < listeners, joinsBegun - joined < Fanout.joiningMax {
      joinsBegun += 1
      try request(joinsBegun, "join")
    }
  }

  // MARK: The load

  func begin() throws(LoadError) {
    isSending = true
    begunAt = wire.now
    try sendDue()
  }

  func turned() throws(LoadError) { if isSending { try sendDue() } }

  private func sendDue() throws(LoadError) {
    let due =
      rate > 0
      ? (wire.now - begunAt) * UInt64(rate) / 1_000_000_000
      : copies / UInt64(listeners) + UInt64(depth)
    while sent < due {
      if isRaw {
        try wire.send(0, size: rawBody.count) { payload in
          payload.copyBytes(from: rawBody)
          Body.stamp(payload, sent, wire.now)
        }
      } else {
        try frame.send(sent, at: wire.now, from: 0, wire)
      }
      sent += 1
      outcome.sent += 1
    }
  }

  func received(_ client: Int, _ message: UnsafeRawBufferPointer) throws(LoadError) {
    guard !isRaw else { return try copied(client, message, message.count) }
    let frame = try ChatFrame(message)
    switch frame.kind {
    case .live:
      live += 1
      if live == connectionCount { try request(0, "create") }
    case .ok:
      if isCreated { joined += 1 } else { isCreated = true }
      try join()
    case .message:
      guard let body = frame.body else { throw .failure("a message without a body") }
      try copied(client, body, message.count)
    case .ack, .other: break
    }
  }

  private func copied(_ client: Int, _ body: UnsafeRawBufferPointer, _ bytes: Int) throws(LoadError) {
    guard let number = Body.number(body), number == got[client] else {
      throw .failure("listener \(client): copy \(got[client]) is missing, doubled or not in order")
    }
    got[client] += 1
    copies += 1
    outcome.messages += 1
    outcome.messageBytes = bytes
    outcome.delivered.record(Body.age(body, at: wire.now))
  }

  func beginMeasuring() { outcome = Outcome() }

  func end() -> Outcome {
    isSending = false
    return outcome
  }

  var isDrained: Bool { copies == sent * UInt64(listeners) }
}
