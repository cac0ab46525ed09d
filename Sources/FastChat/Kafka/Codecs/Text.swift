/// Whether the bytes are UTF-8. Most records are ASCII all through, and end here.
func isUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
  var offset = 0
  while offset + 8 <= bytes.count,
    bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
  {
    offset += 8
  }
  while offset < bytes.count, bytes[offset] < 0x80 { offset += 1 }
  guard offset < bytes.count else { return true }
  let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
  return rest.withMemoryRebound(to: UInt8.self) { (try? UTF8Span(validating: $0.span)) != nil }
}

/// The value of exactly sixteen hexadecimal digits; nil for anything else.
func hexadecimal(_ digits: UnsafeRawBufferPointer) -> UInt64? {
  guard digits.count == 16 else { return nil }
  var value: UInt64 = 0
  for digit in digits {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
    default: return nil
    }
  }
  return value
}
