import JSON
import WebSocket

/// Direct chats of two: the first of each pair sends, so many messages in flight; the second is delivered to.
///
/// Everything is checked: each message is acknowledged once and delivered once, in the order in which it
/// was sent, with rising seqs that link to each other by `prev`, and the seq of the ack is the seq of the
/// delivery.
final class Pairs: Scenario {
  private struct Pair {
    var sent: UInt64 = 0
    var acked: UInt64 = 0
    var delivered: UInt64 = 0
    var lastSeq: Int64 = 0
    /// Sums over what was acknowledged and what was delivered of (number, seq), mixed: equal at the end.
    var ackedSum: UInt64 = 0
    var deliveredSum: UInt64 = 0
  }

  let connectionCount: Int
  private let path: String
  private let depth: Int
  private let wire: Wire
  private let attaching: Attaching
  private var pairs: [Pair]
  private var frames: [SendFrame] = []
  /// When the messages in flight were sent; a power of two of places a pair, by number. 0: acknowledged.
  private var sentAt: [UInt64]
  private let places: Int
  private var live = 0
  private var isSending = false
  private var outcome = Outcome()

  init(_ options: LoadOptions, _ index: Int, _ count: Int, _ wire: Wire) {
    connectionCount = 2 * count
    path = options.path
    depth = options.depth
    self.wire = wire
    attaching = Attaching("p\(index)", wire)
    pairs = Array(repeating: Pair(), count: count)
    var places = 1
    while places < 4 * depth { places *= 2 }
    self.places = places
    sentAt = Array(repeating: 0, count: count * places)
    for pair in 0..<count {
      frames.append(SendFrame(to: "user:\(attaching.user(2 * pair + 1))", bodyBytes: options.size))
    }
  }

  func path(of client: Int) -> String { path }
  func opened(_ client: Int) throws(LoadError) { try attaching.hello(client) }
  var isReady: Bool { live == connectionCount }

  func begin() throws(LoadError) {
    isSending = true
    for pair in pairs.indices {
      for _ in 0..<depth { try send(pair) }
    }
  }

  private func send(_ pair: Int) throws(LoadError) {
    let number = pairs[pair].sent
    let place = pair * places + Int(number) & (places - 1)
    // An older message is not acknowledged yet, though 3/4 of the places behind it are.
    guard sentAt[place] == 0 else { return }
    sentAt[place] = wire.now
    pairs[pair].sent += 1
    outcome.sent += 1
    try frames[pair].send(number, from: 2 * pair, wire)
  }

  func received(_ client: Int, _ message: UnsafeRawBufferPointer) throws(LoadError) {
    let frame = try ChatFrame(message)
    switch frame.kind {
    case .ack where client & 1 == 0: try acked(client / 2, frame)
    case .message where client & 1 == 1: try delivered(client / 2, frame, message.count)
    case .live: live += 1
    case .ack, .message:
      throw .failure("a frame came to the wrong session: \(String(decoding: message, as: UTF8.self))")
    case .ok, .other: break
    }
  }

  private func acked(_ pair: Int, _ frame: ChatFrame) throws(LoadError) {
    guard let number = SendFrame.number(frame.id), number < pairs[pair].sent else {
      throw .failure("an ack of something that was not sent")
    }
    let place = pair * places + Int(number) & (places - 1)
    guard sentAt[place] != 0 else {
      throw .failure("message \(number) of pair \(pair) was acknowledged twice")
    }
    outcome.answered.record(wire.now - sentAt[place])
    sentAt[place] = 0
    pairs[pair].acked += 1
    pairs[pair].ackedSum &+= Pairs.mix(number, frame.seq)
    if isSending { try send(pair) }
  }

  private func delivered(_ pair: Int, _ frame: ChatFrame, _ bytes: Int) throws(LoadError) {
    guard let body = frame.body, let number = Body.number(body), number == pairs[pair].delivered,
      SendFrame.number(frame.id) == number
    else {
      throw .failure("pair \(pair): message \(pairs[pair].delivered) is missing, doubled or not in order")
    }
    guard frame.seq > pairs[pair].lastSeq, frame.prev == pairs[pair].lastSeq else {
      throw .failure("pair \(pair): seq \(frame.seq), prev \(frame.prev) after seq \(pairs[pair].lastSeq)")
    }
    pairs[pair].lastSeq = frame.seq
    pairs[pair].delivered += 1
    pairs[pair].deliveredSum &+= Pairs.mix(number, frame.seq)
    outcome.delivered.record(Body.age(body, at: wire.now))
    outcome.messages += 1
    outcome.messageBytes = bytes
  }

  private static func mix(_ number: UInt64, _ seq: Int64) -> UInt64 {
    let x = (number &* 0x9E37_79B9_7F4A_7C15) ^ UInt64(bitPattern: seq)
    return (x ^ x >> 29) &* 0xBF58_476D_1CE4_E5B9
  }

  func beginMeasuring() { outcome = Outcome() }

  func end() -> Outcome {
    isSending = false
    return outcome
  }

  var isDrained: Bool { pairs.allSatisfy { $0.acked == $0.sent && $0.delivered == $0.sent } }

  func check() throws(LoadError) {
    for (index, pair) in pairs.enumerated() where pair.ackedSum != pair.deliveredSum {
      throw .failure("pair \(index): acknowledged and delivered seqs differ")
    }
  }
}
