/// The slots of a Redis Cluster (Redis Cluster specification, "Keys distribution model").
public enum HashSlot {
  public static let count = 16_384

  /// CRC16 of the key's hash tag, or of all of it where it has none, modulo `count`.
  public static func of(_ key: UnsafeRawBufferPointer) -> UInt16 {
    var tag = key
    if let open = key.firstIndex(of: UInt8(ascii: "{")) {
      let rest = UnsafeRawBufferPointer(rebasing: key[(open + 1)...])
      if let close = rest.firstIndex(of: UInt8(ascii: "}")), close > 0 {
        tag = UnsafeRawBufferPointer(rebasing: rest[..<close])
      }
    }
    return crc16(tag) % UInt16(count)
  }

  /// CRC16-XMODEM: polynomial 0x1021, initial value 0.
  static func crc16(_ bytes: UnsafeRawBufferPointer) -> UInt16 {
    var crc: UInt16 = 0
    for byte in bytes {
      crc ^= UInt16(byte) << 8
      for _ in 0..<8 { crc = crc & 0x8000 != 0 ? crc << 1 ^ 0x1021 : crc << 1 }
    }
    return crc
  }
}
