/// What a connection receives, put together from chunks of any size: RFC 6455 section 5, and RFC 7692
/// where deflate was agreed on. One a connection; without memory of its own while nothing is half there.
///
/// A whole message in one frame inside one chunk is unmasked in place and handed out as a view into the
/// chunk. Anything else is unmasked and checked as it comes, and gathered in a block of the pool, which
/// goes back on the call after the message was handed out.
///
///     header ---> payload ---> header            a frame
///        |           |
///        +-----------+------> finished           a close frame, or a broken rule
///
/// Control frames may come between the fragments of a message; nothing of that message changes then.
public struct Receiver: ~Copyable {
  /// Which end this is: a server takes only masked frames, a client only such that are not.
  public enum Role { case server, client }

  /// What came. The bytes are valid until the next call, and as long as the chunk.
  public enum Event {
    case text(UnsafeRawBufferPointer)
    case binary(UnsafeRawBufferPointer)
    case ping(UnsafeRawBufferPointer)
    case pong(UnsafeRawBufferPointer)
    /// The other end closes; nothing behind it is looked at. Without a code it gave none.
    case close(code: CloseCode?, reason: UnsafeRawBufferPointer)
    /// The other end broke a rule; nothing behind it is looked at. Close with this code and reason.
    case violation(CloseCode, StaticString)
    /// The chunk is used up.
    case needMore
  }

  private enum Phase { case header, payload, finished }

  /// Which of the blocks the last event was a view of.
  private enum HandedOut { case nothing, message, control }

  /// The most bytes of a message, inflated, over all its fragments. It may be changed between messages.
  public var maxMessageBytes: Int {
    get { Int(maxMessage) }
    set {
      precondition(newValue >= 0 && newValue <= Receiver.highestMessageLimit)
      maxMessage = UInt32(newValue)
    }
  }

  /// What `maxMessageBytes` may be at most: 1 GiB.
  public static let highestMessageLimit = 1 << 30

  // The header that is under way, where a chunk ended inside of it.
  private var partial = InlineArray<14, UInt8>(repeating: 0)
  private var partialCount: UInt8 = 0

  // The frame that is under way. `maskKey` is rotated to the next byte.
  private var phase = Phase.header
  private var opcode = FrameHeader.Opcode.continuation
  private var fin = false
  private var remaining: UInt32 = 0
  private var maskKey: UInt32 = 0

  // The message that is under way: text or binary, and continuation where there is none.
  private var message = FrameHeader.Opcode.continuation
  private var isCompressed = false
  private var validator = TextValidator()
  private var gathered = GatherBuffer()
  private var control = GatherBuffer()
  private var handedOut = HandedOut.nothing

  private var maxMessage: UInt32
  private let role: Role
  private let deflate: Bool

  /// Makes the receiver of one end of a connection. With `deflate`, messages may be compressed.
  public init(role: Role, maxMessageBytes: Int, deflate: Bool = false) {
    precondition(maxMessageBytes >= 0 && maxMessageBytes <= Receiver.highestMessageLimit)
    self.role = role
    self.deflate = deflate
    maxMessage = UInt32(maxMessageBytes)
  }

  deinit {
    precondition(gathered.base == nil && control.base == nil, "a receiver ends by release(to:)")
  }

  /// Bytes of pooled memory that this connection holds.
  public var heldBytes: Int { gathered.capacity + control.capacity }

  /// Gives back what the receiver holds; nothing more is received. Call it when the connection ends.
  public mutating func release(to pool: GatherPool) {
    phase = .finished
    handedOut = .nothing
    pool.giveBack(&gathered)
    pool.giveBack(&control)
  }

  /// Reads on in `chunk` from `offset`, which moves; call it until it needs more. The chunk's payload is
  /// unmasked in place. The pool must be the same on each call.
  public mutating func next(
    _ chunk: UnsafeMutableRawBufferPointer, _ offset: inout Int, pool: GatherPool
  ) -> Event {
    if handedOut != .nothing { takeBack(pool) }
    if let event = takeWhole(chunk, &offset, pool) { return event }
    while true {
      switch phase {
      case .header:
        switch readHeader(chunk, &offset) {
        case .needMore: return .needMore
        case .violation(let reason): return fail(.protocolError, reason, pool)
        case .header(let header, _):
          if let (code, reason) = begin(header) { return fail(code, reason, pool) }
        }
      case .payload:
        let count = min(Int(remaining), chunk.count - offset)
        guard count > 0 || remaining == 0 else { return .needMore }
        let part = UnsafeMutableRawBufferPointer(rebasing: chunk[offset..<offset + count])
        offset += count
        if let event = take(part, pool) { return event }
      case .finished:
        offset = chunk.count
        return .needMore
      }
    }
  }
}

// MARK: - Frames

extension Receiver {
  /// Most of all frames: a whole short message, its end in the chunk too, nothing half there before it.
  /// Nil, and nothing has happened, for any other, which goes the way of all frames.
  @inline(__always)
  private mutating func takeWhole(
    _ chunk: UnsafeMutableRawBufferPointer, _ offset: inout Int, _ pool: GatherPool
  ) -> Event? {
    guard phase == .header, partialCount == 0, message == .continuation,
      let short = FrameHeader.Short(UnsafeRawBufferPointer(rebasing: chunk[offset...])),
      short.isMasked == (role == .server), short.payloadCount <= maxMessageBytes
    else { return nil }
    let start = offset + short.size
    let end = start + short.payloadCount
    guard end <= chunk.count else { return nil }
    let payload = UnsafeMutableRawBufferPointer(rebasing: chunk[start..<end])
    if short.isMasked {
      Mask.apply(key: chunk.loadUnaligned(fromByteOffset: start - 4, as: UInt32.self), to: payload)
    }
    offset = end
    guard short.isText else { return .binary(UnsafeRawBufferPointer(payload)) }
    guard TextValidator.isValid(UnsafeRawBufferPointer(payload)) else {
      return fail(.invalidData, "text is not UTF-8", pool)
    }
    return .text(UnsafeRawBufferPointer(payload))
  }

  /// Reads a header, or keeps the beginning of one for the next chunk.
  private mutating func readHeader(
    _ chunk: UnsafeMutableRawBufferPointer, _ offset: inout Int
  ) -> FrameHeader.Decoded {
    if partialCount == 0 {
      let decoded = FrameHeader.decode(UnsafeRawBufferPointer(rebasing: chunk[offset...]))
      if case .header(_, let size) = decoded { offset += size }
      guard case .needMore = decoded else { return decoded }
    }
    while offset < chunk.count {
      partial[Int(partialCount)] = chunk[offset]
      partialCount += 1
      offset += 1
      let decoded = withUnsafeBytes(of: partial) { [partialCount] bytes in
        FrameHeader.decode(UnsafeRawBufferPointer(rebasing: bytes[..<Int(partialCount)]))
      }
      guard case .needMore = decoded else {
        partialCount = 0
        return decoded
      }
    }
    return .needMore
  }

  /// Takes a header where it stands in the connection, or tells the rule that it breaks.
  private mutating func begin(_ header: FrameHeader) -> (CloseCode, StaticString)? {
    guard (header.maskKey != nil) == (role == .server) else {
      return (.protocolError, role == .server ? "frame not masked" : "frame masked")
    }
    switch header.opcode {
    case .close, .ping, .pong: break
    case .text, .binary:
      guard message == .continuation else { return (.protocolError, "message inside of a message") }
      guard deflate || !header.rsv1 else { return (.protocolError, "reserved bit") }
    case .continuation:
      guard message != .continuation else { return (.protocolError, "nothing to continue") }
      guard !header.rsv1 else { return (.protocolError, "reserved bit") }
    }
    if !header.opcode.isControl {
      let compressed = header.opcode == .continuation ? isCompressed : header.rsv1
      let most = compressed ? Receiver.mostCompressed(of: maxMessageBytes) : maxMessageBytes
      guard header.payloadCount <= most - gathered.count else { return (.messageTooBig, "message too big") }
      isCompressed = compressed
      if header.opcode != .continuation { message = header.opcode }
    }
    opcode = header.opcode
    fin = header.fin
    remaining = UInt32(header.payloadCount)
    maskKey = header.maskKey ?? 0
    phase = .payload
    return nil
  }

  /// The most bytes that are gathered of a compressed message before it is inflated. Stored blocks are
  /// longer than what they hold, and a sender may end each fragment with an empty one.
  private static func mostCompressed(of inflated: Int) -> Int { inflated + inflated / 8 + 1024 }

  /// Takes what the chunk has of the payload: an event where that ends the frame and says something.
  private mutating func take(_ part: UnsafeMutableRawBufferPointer, _ pool: GatherPool) -> Event? {
    if role == .server {
      Mask.apply(key: maskKey, to: part)
      maskKey = Mask.rotated(maskKey, by: part.count)
    }
    remaining -= UInt32(part.count)
    if remaining == 0 { phase = .header }
    let part = UnsafeRawBufferPointer(part)
    return opcode.isControl ? takeControl(part, pool) : takeData(part, pool)
  }

  private mutating func takeData(_ part: UnsafeRawBufferPointer, _ pool: GatherPool) -> Event? {
    if message == .text, !isCompressed, !validator.accept(part) {
      return fail(.invalidData, "text is not UTF-8", pool)
    }
    let isLast = fin && remaining == 0
    var whole = part
    if !isLast || gathered.count > 0 {
      guard pool.append(part, to: &gathered) else { return fail(.tryAgainLater, "no memory left", pool) }
      guard isLast else { return nil }
      whole = gathered.bytes
      handedOut = .message
    }
    if isCompressed {
      if let (code, reason) = inflate(whole, pool) { return fail(code, reason, pool) }
      whole = gathered.bytes
      handedOut = .message
    } else if message == .text, !validator.isComplete {
      return fail(.invalidData, "text ends inside of a character", pool)
    }
    let isText = message == .text
    message = .continuation
    return isText ? .text(whole) : .binary(whole)
  }

  /// Inflates a whole message into a block of its own, which becomes the one that is gathered.
  private mutating func inflate(
    _ compressed: UnsafeRawBufferPointer, _ pool: GatherPool
  ) -> (CloseCode, StaticString)? {
    var inflated = GatherBuffer()
    let outcome = pool.inflater.inflate(compressed, atMost: maxMessageBytes, into: &inflated, pool: pool)
    pool.giveBack(&gathered)
    gathered = inflated
    switch outcome {
    case .invalid: return (.invalidData, "compressed data is damaged")
    case .tooBig: return (.messageTooBig, "message too big")
    case .noMemory: return (.tryAgainLater, "no memory left")
    case .inflated:
      guard message != .text || TextValidator.isValid(gathered.bytes) else {
        return (.invalidData, "text is not UTF-8")
      }
      return nil
    }
  }

  private mutating func takeControl(_ part: UnsafeRawBufferPointer, _ pool: GatherPool) -> Event? {
    var whole = part
    if remaining > 0 || control.count > 0 {
      guard pool.append(part, to: &control) else { return fail(.tryAgainLater, "no memory left", pool) }
      guard remaining == 0 else { return nil }
      whole = control.bytes
      handedOut = .control
    }
    switch opcode {
    case .ping: return .ping(whole)
    case .pong: return .pong(whole)
    default: return close(whole, pool)
    }
  }

  /// Reads the payload of a close frame (RFC 6455 section 5.5.1).
  private mutating func close(_ payload: UnsafeRawBufferPointer, _ pool: GatherPool) -> Event {
    phase = .finished
    pool.giveBack(&gathered)
    guard payload.count > 0 else { return .close(code: nil, reason: payload) }
    guard payload.count >= CloseCode.size else {
      return fail(.protocolError, "close frame of one byte", pool)
    }
    let code = CloseCode(rawValue: UInt16(bigEndian: payload.loadUnaligned(as: UInt16.self)))
    guard code.mayBeSent else { return fail(.protocolError, "close code that may not be sent", pool) }
    let reason = UnsafeRawBufferPointer(rebasing: payload[CloseCode.size...])
    guard TextValidator.isValid(reason) else { return fail(.invalidData, "close reason is not UTF-8", pool) }
    return .close(code: code, reason: reason)
  }

  private mutating func fail(_ code: CloseCode, _ reason: StaticString, _ pool: GatherPool) -> Event {
    release(to: pool)
    return .violation(code, reason)
  }

  /// Takes back the memory of the last event.
  private mutating func takeBack(_ pool: GatherPool) {
    if handedOut == .message { pool.giveBack(&gathered) } else { pool.giveBack(&control) }
    handedOut = .nothing
  }
}
