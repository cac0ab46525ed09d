/// The masking of what a client sends (RFC 6455 section 5.3): byte i is combined with byte i mod 4 of
/// the key. Applied twice it is undone.
public enum Mask {
  /// Masks or unmasks `bytes` in place. `offset` is where they begin in the frame's payload; `key` is
  /// the four bytes of the key as they lie in memory.
  ///
  /// Words are loaded and stored wherever they lie: on this machine alignment costs nothing, and a
  /// receive buffer has none.
  public static func apply(key: UInt32, offset: Int = 0, to bytes: UnsafeMutableRawBufferPointer) {
    guard var at = bytes.baseAddress else { return }
    let key = rotated(key, by: offset)
    let pattern = UInt64(key) << 32 | UInt64(key)
    let end = at + bytes.count
    while end - at >= 32 {
      mask(at, pattern)
      mask(at + 8, pattern)
      mask(at + 16, pattern)
      mask(at + 24, pattern)
      at += 32
    }
    while end - at >= 8 {
      mask(at, pattern)
      at += 8
    }
    var rest = pattern
    while at < end {
      at.storeBytes(of: at.load(as: UInt8.self) ^ UInt8(truncatingIfNeeded: rest), as: UInt8.self)
      rest >>= 8
      at += 1
    }
  }

  /// The key for bytes that begin `offset` bytes into the payload. The first byte of the key is the
  /// lowest one, since the machine is little-endian.
  static func rotated(_ key: UInt32, by offset: Int) -> UInt32 {
    let shift = UInt32(truncatingIfNeeded: offset & 3) * 8
    return key >> shift | key << ((32 - shift) & 31)
  }

  @inline(__always)
  private static func mask(_ at: UnsafeMutableRawPointer, _ pattern: UInt64) {
    at.storeBytes(of: at.loadUnaligned(as: UInt64.self) ^ pattern, as: UInt64.self)
  }
}
