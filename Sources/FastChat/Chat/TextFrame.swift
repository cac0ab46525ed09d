import JSON

/// The head of a WebSocket frame, as a server sends an event: one text message, whole, neither masked nor
/// compressed (RFC 6455, section 5.2). It depends on the length alone:
///
/// ```
/// 81 length                 up to 125 bytes
/// 81 7e length (2 bytes)    up to 65,535
/// 81 7f length (8 bytes)    beyond; the most significant byte first
/// ```
/// Batches carry it before each event, so that both are one run of bytes and a socket can send right out of
/// the batch, wherever that lies.
enum TextFrame {
  private static let first: UInt8 = 0x81
  private static let shortBytesMax = 125
  private static let mediumBytesMax = Int(UInt16.max)
  private static let medium: UInt8 = 126
  private static let long: UInt8 = 127

  /// Bytes of the head before so many bytes of text.
  static func headBytes(_ count: Int) -> Int {
    count <= shortBytesMax ? 2 : count <= mediumBytesMax ? 4 : 10
  }

  static func appendHead(_ count: Int, to buffer: inout ByteBuffer) {
    buffer.append(first)
    if count <= shortBytesMax {
      buffer.append(UInt8(count))
    } else if count <= mediumBytesMax {
      buffer.append(medium)
      buffer.append(raw: UInt16(count).bigEndian)
    } else {
      buffer.append(long)
      buffer.append(raw: UInt64(count).bigEndian)
    }
  }

  /// Whether the bytes at `place`, which are `bytes` many, are the head before so many bytes of text.
  static func isHead(_ place: UnsafeRawPointer, bytes: Int, before count: Int) -> Bool {
    guard bytes == headBytes(count), place.load(as: UInt8.self) == first else { return false }
    let second = place.load(fromByteOffset: 1, as: UInt8.self)
    switch bytes {
    case 2: return second == UInt8(count)
    case 4:
      let length = UInt16(bigEndian: place.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
      return second == medium && Int(length) == count
    default:
      let length = UInt64(bigEndian: place.loadUnaligned(fromByteOffset: 2, as: UInt64.self))
      return second == long && length == UInt64(count)
    }
  }
}
