/// In which partition of a log a chat lives: `(murmur2(utf8) & 0x7fffffff) % n`, the Java client's default,
/// so that other producers agree (DESIGN section 2).
public enum Partition {
  public static func of(_ chat: UnsafeRawBufferPointer, count: Int32) -> Int32 {
    count == 1 ? 0 : Int32((murmur2(chat) & 0x7fff_ffff) % UInt32(count))
  }

  /// Kafka's murmur2 (32 bits, seed 0x9747b28c).
  public static func murmur2(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    let m: UInt32 = 0x5bd1_e995
    var h: UInt32 = 0x9747_b28c ^ UInt32(truncatingIfNeeded: bytes.count)
    var i = 0
    while i + 4 <= bytes.count {
      var k = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: i, as: UInt32.self))
      k &*= m
      k ^= k >> 24
      k &*= m
      h &*= m
      h ^= k
      i += 4
    }
    let rest = bytes.count - i
    if rest > 0 {
      if rest == 3 { h ^= UInt32(bytes[i + 2]) << 16 }
      if rest >= 2 { h ^= UInt32(bytes[i + 1]) << 8 }
      h ^= UInt32(bytes[i])
      h &*= m
    }
    h ^= h >> 13
    h &*= m
    h ^= h >> 15
    return h
  }
}
