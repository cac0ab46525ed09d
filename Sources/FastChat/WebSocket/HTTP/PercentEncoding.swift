/// Percent-encoding in paths and queries (RFC 3986 section 2.1). A plus sign is a plus sign.
public enum PercentEncoding {
  /// Decodes into `room`; `text.count` bytes are always enough.
  ///
  /// - Returns: the number of bytes written; nil for a percent sign without two hexadecimal digits behind
  ///   it, and where the room is too small.
  public static func decode(
    _ text: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer
  ) -> Int? {
    var count = 0
    var offset = 0
    while offset < text.count {
      guard count < room.count else { return nil }
      var byte = text[offset]
      offset += 1
      if byte == UInt8(ascii: "%") {
        guard offset + 2 <= text.count, let high = digit(text[offset]), let low = digit(text[offset + 1])
        else {
          return nil
        }
        byte = high << 4 | low
        offset += 2
      }
      room[count] = byte
      count += 1
    }
    return count
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
