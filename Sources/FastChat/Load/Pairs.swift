import JSON
import WebSocket

/// Direct chats of two: the first of each pair sends, so many messages in flight, or all of them together so
/// many a second; the second is delivered to, maybe by another server.
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

  /// Messages in flight of a pair at a rate; those that are due beyond wait.
  private static let inFlightAtRateMax = 64

  let connectionCount: Int
  private let path: String
  private let peerPath: String
  /// Whether there are two servers. A message is in flight until it is delivered then: what is acknowledged
  /// stands in the log, which takes more than is read from it.
  private let hasPeer: Bool
  private let depth: Int
  private let wire: Wire
  private let attaching: Attaching
  private var pairs: [Pair]
  private var frames: [SendFrame] = []
  /// When the messages in flight were sent; a power of two of places a pair, by number. 0: acknowledged.
  private var sentAt: [UInt64]
  private let places: Int
  /// At a rate.
  private let pace: Pace?
  private var live = 0
  private var isSending = false
  private var outcome = Outcome()

  /// - Parameters:
  ///   - count: pairs of this worker.
  ///   - rate: messages a second of this worker; 0: so many in flight.
  init(_ options: LoadOptions, _ index: Int, _ count: Int, _ rate: Int, _ wire: Wire) throws(LoadError) {
    connectionCount = 2 * count
    path = options.url.path
    peerPath = options.peerURL?.path ?? path
    hasPeer = options.peerURL != nil
    depth = rate > 0 ? Pairs.inFlightAtRateMax : options.depth
    self.wire = wire
    attaching = Attaching("p\(index)", wire)
    pairs = Array(repeating: Pair(), count: count)
    var places = 1
    while places < 4 * depth { places *= 2 }
    self.places = places
    sentAt = Array(repeating: 0, count: count * places)
    pace = rate > 0 ? try Pace(rate: rate, wire) : nil
    for pair in 0..<count {
      frames.append(SendFrame(to: "user:\(attaching.user(2 * pair + 1))", bodyBytes: options.size))
    }
  }

  func path(of client: Int) -> String { isAtPeer(client) ? peerPath : path }
  func isAtPeer(_ client: Int) -> Bool { client & 1 == 1 }
  func opened(_ client: Int) throws(LoadError) { try attaching.hello(client) }
  var isReady: Bool { live == connectionCount }

  func begin() throws(LoadError) {
    isSending = true
    if let pace {
      pace.begin(at: wire.now)
      return try sendDue(pace)
    }
    for pair in pairs.indices {
      for _ in 0..<depth { try send(pair, at: wire.now) }
    }
  }

  func turned() throws(LoadError) {
    guard let pace else { return }
    pace.silence()
    if isSending { try sendDue(pace) }
  }

  private func sendDue(_ pace: Pace) throws(LoadError) {
    while pace.due <= wire.now {
      let pair = Int(pace.next % UInt64(pairs.count))
      guard pairs[pair].sent - min(pairs[pair].acked, pairs[pair].delivered) < depth else { return }
      try send(pair, at: pace.due)
      pace.take()
    }
  }

  /// - Parameter time: from which its latency counts.
  private func send(_ pair: Int, at time: UInt64) throws(LoadError) {
    let number = pairs[pair].sent
    let place = pair * places + Int(number) & (places - 1)
    // An older message is not acknowledged yet, though 3/4 of the places behind it are.
    guard sentAt[place] == 0 else { return }
    sentAt[place] = time
    pairs[pair].sent += 1
    outcome.sent += 1
    try frames[pair].send(number, at: time, from: 2 * pair, wire)
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
    if isSending, pace == nil, !hasPeer { try send(pair, at: wire.now) }
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
    if isSending, pace == nil, hasPeer { try send(pair, at: wire.now) }
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
