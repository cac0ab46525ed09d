/// A 128-bit hash under a secret seed: SipHash-1-3 with its 128-bit output (Aumasson and Bernstein, 2012;
/// the round counts are those of most languages' hash tables). Without the seed nobody can make two
/// texts collide, so that equal hashes may stand for equal texts.
public struct KeyedHash: Sendable {
  /// A hash. Equal texts have equal ones.
  public struct Value: Equatable, Sendable {
    public var low: UInt64
    public var high: UInt64

    @inline(__always)
    public init(low: UInt64, high: UInt64) {
      self.low = low
      self.high = high
    }
  }

  private let seedLow: UInt64
  private let seedHigh: UInt64

  public init(seedLow: UInt64, seedHigh: UInt64) {
    self.seedLow = seedLow
    self.seedHigh = seedHigh
  }

  /// The hash of one text.
  public func callAsFunction(_ text: UnsafeRawBufferPointer) -> Value {
    var state = State(seedLow, seedHigh)
    state.absorb(UInt64(text.count))
    state.absorb(text)
    return state.finish()
  }

  /// The hash of a record's name: what makes it the same record when it is appended again. The lengths
  /// (each below 2^16) go in first, so that no two names run into the same bytes.
  public func callAsFunction(
    chat: UnsafeRawBufferPointer, from: UnsafeRawBufferPointer, device: UnsafeRawBufferPointer,
    id: UnsafeRawBufferPointer
  ) -> Value {
    var state = State(seedLow, seedHigh)
    state.absorb(
      UInt64(chat.count) | UInt64(from.count) << 16 | UInt64(device.count) << 32 | UInt64(id.count) << 48)
    state.absorb(chat)
    state.absorb(from)
    state.absorb(device)
    state.absorb(id)
    return state.finish()
  }

  private struct State {
    var v0: UInt64
    var v1: UInt64
    var v2: UInt64
    var v3: UInt64

    @inline(__always)
    init(_ low: UInt64, _ high: UInt64) {
      v0 = low ^ 0x736f_6d65_7073_6575
      v1 = high ^ 0x646f_7261_6e64_6f6d ^ 0xee
      v2 = low ^ 0x6c79_6765_6e65_7261
      v3 = high ^ 0x7465_6462_7974_6573
    }

    /// Takes a text in words of eight bytes, the last one filled up with zeros.
    @inline(__always)
    mutating func absorb(_ text: UnsafeRawBufferPointer) {
      guard let base = text.baseAddress else { return }
      var offset = 0
      while offset + 8 <= text.count {
        absorb(base.loadUnaligned(fromByteOffset: offset, as: UInt64.self).littleEndian)
        offset += 8
      }
      guard offset < text.count else { return }
      var word: UInt64 = 0
      var shift: UInt64 = 0
      while offset < text.count {
        word |= UInt64(base.load(fromByteOffset: offset, as: UInt8.self)) << shift
        shift += 8
        offset += 1
      }
      absorb(word)
    }

    @inline(__always)
    mutating func absorb(_ word: UInt64) {
      v3 ^= word
      round()
      v0 ^= word
    }

    @inline(__always)
    mutating func finish() -> Value {
      v2 ^= 0xee
      round()
      round()
      round()
      let low = v0 ^ v1 ^ v2 ^ v3
      v1 ^= 0xdd
      round()
      round()
      round()
      return Value(low: low, high: v0 ^ v1 ^ v2 ^ v3)
    }

    @inline(__always)
    private mutating func round() {
      v0 &+= v1
      v1 = (v1 &<< 13 | v1 &>> 51) ^ v0
      v0 = v0 &<< 32 | v0 &>> 32
      v2 &+= v3
      v3 = (v3 &<< 16 | v3 &>> 48) ^ v2
      v0 &+= v3
      v3 = (v3 &<< 21 | v3 &>> 43) ^ v0
      v2 &+= v1
      v1 = (v1 &<< 17 | v1 &>> 47) ^ v2
      v2 = v2 &<< 32 | v2 &>> 32
    }
  }
}
