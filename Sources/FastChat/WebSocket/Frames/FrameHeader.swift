/// What stands in front of a frame's payload (RFC 6455 section 5.2).
///
///     0               1               2 .. 3 or 2 .. 9    then 4 bytes
///     FIN RSV opcode  MASK length     longer length       masking key, if MASK
///     1   3   4 bits  1    7 bits     16 or 64 bits
public struct FrameHeader: Equatable {
  public enum Opcode: UInt8 {
    case continuation = 0
    case text = 1
    case binary = 2
    case close = 8
    case ping = 9
    case pong = 10

    @inlinable public var isControl: Bool { rawValue >= 8 }
  }

  public enum Decoded {
    case header(FrameHeader, size: Int)
    case needMore
    /// Against the rules whoever sends it: close with 1002.
    case violation(StaticString)
  }

  /// The longest header in bytes.
  public static let mostBytes = 14
  /// The longest payload of a control frame in bytes.
  public static let mostControlBytes = 125

  public var opcode: Opcode
  public var fin: Bool
  /// The message is compressed (RFC 7692 section 6), on its first frame.
  public var rsv1: Bool
  /// The masking key as it lies in memory; nil for a frame that is not masked.
  public var maskKey: UInt32?
  /// Bytes of payload behind the header.
  public var payloadCount: Int

  public init(opcode: Opcode, fin: Bool = true, rsv1: Bool = false, maskKey: UInt32? = nil, payloadCount: Int)
  {
    self.opcode = opcode
    self.fin = fin
    self.rsv1 = rsv1
    self.maskKey = maskKey
    self.payloadCount = payloadCount
  }
}

// MARK: - Decoding

extension FrameHeader {
  private static let mostIn7Bits = 125
  private static let in16Bits: UInt8 = 126
  private static let mostIn16Bits = 0xFFFF

  /// Reads the header that begins with the first of `bytes`. What is wrong with a header for everyone
  /// is told as soon as the bytes that show it are there.
  public static func decode(_ bytes: UnsafeRawBufferPointer) -> Decoded {
    guard bytes.count >= 2 else { return .needMore }
    let first = bytes[0]
    let second = bytes[1]
    guard first & 0x30 == 0 else { return .violation("reserved bit") }
    guard let opcode = Opcode(rawValue: first & 0x0F) else {
      return .violation("reserved opcode")
    }
    let fin = first & 0x80 != 0
    let rsv1 = first & 0x40 != 0
    let short = second & 0x7F
    if opcode.isControl {
      guard fin else { return .violation("control frame in fragments") }
      guard !rsv1 else { return .violation("reserved bit") }
      guard short <= mostControlBytes else { return .violation("control frame too long") }
    }

    var size = 2
    var count = Int(short)
    if short > mostIn7Bits {
      if short == in16Bits {
        guard bytes.count >= 4 else { return .needMore }
        count = Int(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
        guard count > mostIn7Bits else { return .violation("length not minimal") }
        size = 4
      } else {
        guard bytes.count >= 10 else { return .needMore }
        let long = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt64.self))
        guard long <= UInt64(Int64.max) else { return .violation("length out of range") }
        guard long > mostIn16Bits else { return .violation("length not minimal") }
        count = Int(long)
        size = 10
      }
    }
    var maskKey: UInt32?
    if second & 0x80 != 0 {
      guard bytes.count >= size + 4 else { return .needMore }
      maskKey = bytes.loadUnaligned(fromByteOffset: size, as: UInt32.self)
      size += 4
    }
    let header = FrameHeader(opcode: opcode, fin: fin, rsv1: rsv1, maskKey: maskKey, payloadCount: count)
    return .header(header, size: size)
  }
}

// MARK: - The ordinary header

extension FrameHeader {
  /// The header of a text or binary message in one frame of less than 64 KiB, not compressed.
  struct Short {
    let isText: Bool
    let isMasked: Bool
    let payloadCount: Int
    let size: Int

    /// Nil for every other header, for one that breaks a rule, and where less than six bytes are there.
    @inline(__always)
    init?(_ bytes: UnsafeRawBufferPointer) {
      guard bytes.count >= 6 else { return nil }
      let first = bytes[0]
      let second = bytes[1]
      guard first == 0x80 | Opcode.text.rawValue || first == 0x80 | Opcode.binary.rawValue else { return nil }
      var count = Int(second & 0x7F)
      var size = 2
      if count > FrameHeader.mostIn7Bits {
        guard count == FrameHeader.in16Bits else { return nil }
        count = Int(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
        guard count > FrameHeader.mostIn7Bits else { return nil }
        size = 4
      }
      isText = first == 0x80 | Opcode.text.rawValue
      isMasked = second & 0x80 != 0
      payloadCount = count
      self.size = isMasked ? size + 4 : size
    }
  }
}

// MARK: - Encoding

extension FrameHeader {
  /// Bytes of the header of a frame with so much payload.
  public static func encodedSize(payload count: Int, masked: Bool = false) -> Int {
    (count <= mostIn7Bits ? 2 : count <= mostIn16Bits ? 4 : 10) + (masked ? 4 : 0)
  }

  /// Writes the header of a server's frame, which is not masked.
  ///
  /// - Returns: the number of bytes written, `encodedSize(payload: count)`.
  public static func encode(
    opcode: Opcode, fin: Bool = true, rsv1: Bool = false, count: Int, into room: UnsafeMutableRawBufferPointer
  ) -> Int {
    FrameHeader(opcode: opcode, fin: fin, rsv1: rsv1, payloadCount: count).encode(into: room)
  }

  /// Writes the header. The payload behind it is masked by the caller, with `Mask.apply`.
  ///
  /// - Returns: the number of bytes written.
  public func encode(into room: UnsafeMutableRawBufferPointer) -> Int {
    precondition(room.count >= FrameHeader.encodedSize(payload: payloadCount, masked: maskKey != nil))
    room[0] = opcode.rawValue | (fin ? 0x80 : 0) | (rsv1 ? 0x40 : 0)
    let maskBit: UInt8 = maskKey == nil ? 0 : 0x80
    var size = 2
    if payloadCount <= FrameHeader.mostIn7Bits {
      room[1] = UInt8(payloadCount) | maskBit
    } else if payloadCount <= FrameHeader.mostIn16Bits {
      room[1] = FrameHeader.in16Bits | maskBit
      room.storeBytes(of: UInt16(payloadCount).bigEndian, toByteOffset: 2, as: UInt16.self)
      size = 4
    } else {
      room[1] = FrameHeader.in16Bits + 1 | maskBit
      room.storeBytes(of: UInt64(payloadCount).bigEndian, toByteOffset: 2, as: UInt64.self)
      size = 10
    }
    if let maskKey {
      room.storeBytes(of: maskKey, toByteOffset: size, as: UInt32.self)
      size += 4
    }
    return size
  }
}
