/// Tells whether text that comes in pieces, cut anywhere, is UTF-8 (RFC 3629), and tells it at the first
/// byte with which it no longer can be.
struct TextValidator {
  /// Continuation bytes that the scalar begun still lacks.
  private var missing: UInt8 = 0
  /// The range of the next of them: narrower behind a lead byte that could begin an overlong form, a
  /// surrogate or a scalar beyond U+10FFFF.
  private var lowest: UInt8 = 0x80
  private var highest: UInt8 = 0xBF

  /// Whether the text so far ends with a whole scalar.
  var isComplete: Bool { missing == 0 }

  /// Whether the text so far can still be UTF-8 with these bytes behind it.
  mutating func accept(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var start = 0
    while missing > 0, start < bytes.count {
      guard step(bytes[start]) else { return false }
      start += 1
    }
    // Most text is ASCII all through, and asks nothing more.
    start += TextValidator.countOfASCII(UnsafeRawBufferPointer(rebasing: bytes[start...]))
    guard start < bytes.count else { return true }
    let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
    let whole = TextValidator.countOfWholeScalars(rest)
    guard TextValidator.isValid(UnsafeRawBufferPointer(rebasing: rest[..<whole])) else { return false }
    for byte in rest[whole...] where !step(byte) { return false }
    return true
  }

  /// Whether the bytes, all of the text, are UTF-8.
  static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let ascii = countOfASCII(bytes)
    guard ascii < bytes.count else { return true }
    let rest = UnsafeRawBufferPointer(rebasing: bytes[ascii...])
    return rest.withMemoryRebound(to: UInt8.self) { elements in
      (try? UTF8Span(validating: elements.span)) != nil
    }
  }

  /// Bytes in front that are ASCII. It may stop short of the first that is not, by less than a step.
  private static func countOfASCII(_ bytes: UnsafeRawBufferPointer) -> Int {
    guard let start = bytes.baseAddress else { return 0 }
    let count = bytes.count
    func word(_ offset: Int) -> UInt64 { start.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
    let highBits: UInt64 = 0x8080_8080_8080_8080
    var offset = 0
    while offset + 32 <= count {
      let all = word(offset) | word(offset + 8) | word(offset + 16) | word(offset + 24)
      guard all & highBits == 0 else { return offset }
      offset += 32
    }
    while offset + 8 <= count {
      guard word(offset) & highBits == 0 else { return offset }
      offset += 8
    }
    // The last word may overlap the one before it.
    if count >= 8 { return word(count - 8) & highBits == 0 ? count : offset }
    while offset < count, bytes[offset] < 0x80 { offset += 1 }
    return offset
  }

  /// Bytes in front of a scalar that the end of the piece may have cut.
  private static func countOfWholeScalars(_ bytes: UnsafeRawBufferPointer) -> Int {
    let count = bytes.count
    for back in 1...3 where back <= count {
      let byte = bytes[count - back]
      if byte < 0x80 { return count }
      if byte < 0xC0 { continue }
      let length = byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
      return length > back ? count - back : count
    }
    return count
  }

  /// Takes one byte.
  private mutating func step(_ byte: UInt8) -> Bool {
    if missing > 0 {
      guard byte >= lowest, byte <= highest else { return false }
      missing -= 1
      lowest = 0x80
      highest = 0xBF
      return true
    }
    switch byte {
    case 0..<0x80: break
    case 0xC2...0xDF: missing = 1
    case 0xE0...0xEF:
      missing = 2
      if byte == 0xE0 { lowest = 0xA0 }
      if byte == 0xED { highest = 0x9F }
    case 0xF0...0xF4:
      missing = 3
      if byte == 0xF0 { lowest = 0x90 }
      if byte == 0xF4 { highest = 0x8F }
    default: return false
    }
    return true
  }
}
