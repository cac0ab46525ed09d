/// A keyed hash for tables of names: two multiplications for eight bytes, folded. Not for secrets; the seed
/// is what keeps clients from choosing names that collide.
enum Hash {
  static func of(_ bytes: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
    var state = seed ^ (UInt64(truncatingIfNeeded: bytes.count) &* 0x9E37_79B9_7F4A_7C15)
    var i = 0
    while i + 8 <= bytes.count {
      state = fold(state ^ bytes.loadUnaligned(fromByteOffset: i, as: UInt64.self))
      i += 8
    }
    var last: UInt64 = 0
    while i < bytes.count {
      last = last << 8 | UInt64(bytes[i])
      i += 1
    }
    return fold(fold(state ^ last) ^ seed)
  }

  @inline(__always)
  private static func fold(_ value: UInt64) -> UInt64 {
    let product = (value ^ 0x2D35_8DCC_AA6C_78A5).multipliedFullWidth(by: 0x8BB8_4B93_962E_ACC9)
    return product.high ^ product.low
  }
}
