import Testing
import WebSocket

/// An event as the tests compare it.
enum Seen: Equatable, CustomStringConvertible {
  case text(String)
  case binary([UInt8])
  case ping([UInt8])
  case pong([UInt8])
  case close(UInt16?, String)
  case violation(UInt16)

  var description: String {
    switch self {
    case .text(let text): "text \(text.prefix(40)) (\(text.utf8.count))"
    case .binary(let bytes): "binary \(bytes.prefix(16)) (\(bytes.count))"
    case .ping(let bytes): "ping \(bytes.count)"
    case .pong(let bytes): "pong \(bytes.count)"
    case .close(let code, let reason): "close \(code.map(String.init) ?? "-") \(reason)"
    case .violation(let code): "violation \(code)"
    }
  }
}

/// A connection's end under test: what it is fed, and what came out.
final class TestEnd {
  let pool: GatherPool
  private(set) var seen: [Seen] = []
  private var receiver: Receiver

  init(
    _ role: Receiver.Role = .server, most: Int = 1 << 20, deflate: Bool = false,
    pool: GatherPool = GatherPool(keeping: 1 << 20, lending: 1 << 30)
  ) {
    self.pool = pool
    receiver = Receiver(role: role, maxMessageBytes: most, deflate: deflate)
  }

  deinit { receiver.release(to: pool) }

  var heldBytes: Int { receiver.heldBytes }
  var maxMessageBytes: Int {
    get { receiver.maxMessageBytes }
    set { receiver.maxMessageBytes = newValue }
  }

  /// Feeds one chunk, a copy that ends where its allocation ends and is gone afterwards.
  func feed(_ bytes: some Collection<UInt8>) {
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { chunk.deallocate() }
    chunk.copyBytes(from: bytes)
    var offset = 0
    while true {
      switch receiver.next(chunk, &offset, pool: pool) {
      case .text(let bytes): seen.append(.text(String(decoding: bytes, as: UTF8.self)))
      case .binary(let bytes): seen.append(.binary(Array(bytes)))
      case .ping(let bytes): seen.append(.ping(Array(bytes)))
      case .pong(let bytes): seen.append(.pong(Array(bytes)))
      case .close(let code, let reason):
        seen.append(.close(code?.rawValue, String(decoding: reason, as: UTF8.self)))
      case .violation(let code, _): seen.append(.violation(code.rawValue))
      case .needMore:
        precondition(offset == chunk.count, "a chunk is used up")
        return
      }
    }
  }

  func release() { receiver.release(to: pool) }
}

/// What one end makes of bytes that come in chunks cut at `cuts`.
func received(
  _ bytes: [UInt8], cuts: [Int] = [], role: Receiver.Role = .server, most: Int = 1 << 20,
  deflate: Bool = false
) -> [Seen] {
  let end = TestEnd(role, most: most, deflate: deflate)
  var start = 0
  for cut in cuts + [bytes.count] {
    end.feed(bytes[start..<cut])
    start = cut
  }
  end.release()
  #expect(end.pool.bytesInUse == 0, "a receiver gives back all it took")
  return end.seen
}

/// What one end makes of bytes that come whole, in two chunks cut at each place, and byte by byte; all
/// three must be the same.
func receivedAnyhow(
  _ bytes: [UInt8], role: Receiver.Role = .server, most: Int = 1 << 20, deflate: Bool = false
) -> [Seen] {
  let whole = received(bytes, role: role, most: most, deflate: deflate)
  for cut in 0...bytes.count {
    let seen = received(bytes, cuts: [cut], role: role, most: most, deflate: deflate)
    if seen != whole { Issue.record("cut at \(cut): \(seen), whole: \(whole)") }
  }
  let single = received(bytes, cuts: Array(0..<bytes.count), role: role, most: most, deflate: deflate)
  if single != whole { Issue.record("byte by byte: \(single), whole: \(whole)") }
  return whole
}

/// A frame as RFC 6455 section 5.2 draws it, written apart from the code under test.
func frame(
  _ opcode: UInt8, _ payload: some Collection<UInt8>, fin: Bool = true, rsv: UInt8 = 0,
  key: [UInt8]? = [0x37, 0xFA, 0x21, 0x3D]
) -> [UInt8] {
  var bytes = [(fin ? 0x80 : 0) | rsv << 4 | opcode]
  let mask: UInt8 = key == nil ? 0 : 0x80
  let count = payload.count
  if count < 126 {
    bytes.append(mask | UInt8(count))
  } else if count < 65536 {
    bytes += [mask | 126, UInt8(count >> 8), UInt8(count & 255)]
  } else {
    bytes.append(mask | 127)
    bytes += (0..<8).map { UInt8(truncatingIfNeeded: count >> (56 - 8 * $0)) }
  }
  bytes += key ?? []
  for (index, byte) in payload.enumerated() { bytes.append(byte ^ (key?[index % 4] ?? 0)) }
  return bytes
}

func text(_ text: String, fin: Bool = true) -> [UInt8] { frame(1, Array(text.utf8), fin: fin) }

/// SplitMix64: the same numbers for the same seed, everywhere.
struct Seeded {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
}
