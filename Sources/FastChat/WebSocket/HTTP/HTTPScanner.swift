/// Reads the lists that stand in field values (RFC 9110 section 5.6): tokens, quoted strings, and the
/// marks between them, with white space around each.
struct HTTPScanner {
  private let bytes: UnsafeRawBufferPointer
  private var offset = 0

  init(_ bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
    skipSpace()
  }

  var isAtEnd: Bool { offset == bytes.count }

  /// Whether the element of a list ends here.
  var isAtEndOfElement: Bool { isAtEnd || bytes[offset] == UInt8(ascii: ",") }

  /// Consumes the mark, if it is next.
  mutating func take(_ mark: UInt8) -> Bool {
    guard offset < bytes.count, bytes[offset] == mark else { return false }
    offset += 1
    skipSpace()
    return true
  }

  mutating func token() -> UnsafeRawBufferPointer? {
    let start = offset
    while offset < bytes.count, isTokenByte(bytes[offset]) { offset += 1 }
    guard offset > start else { return nil }
    defer { skipSpace() }
    return UnsafeRawBufferPointer(rebasing: bytes[start..<offset])
  }

  /// A token, or one in quotes. What a quoted string could hold beyond a token is of no use to us.
  mutating func tokenOrQuoted() -> UnsafeRawBufferPointer? {
    guard offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") else { return token() }
    let start = offset + 1
    var end = start
    while end < bytes.count, isTokenByte(bytes[end]) { end += 1 }
    guard end > start, end < bytes.count, bytes[end] == UInt8(ascii: "\"") else { return nil }
    offset = end + 1
    skipSpace()
    return UnsafeRawBufferPointer(rebasing: bytes[start..<end])
  }

  /// Goes to the beginning of the next element of a list, past a comma that is not in quotes.
  mutating func skipToNextElement() {
    var inQuotes = false
    while offset < bytes.count {
      let byte = bytes[offset]
      if inQuotes, byte == UInt8(ascii: "\\"), offset + 1 < bytes.count { offset += 1 }
      if byte == UInt8(ascii: "\"") { inQuotes.toggle() }
      offset += 1
      if byte == UInt8(ascii: ","), !inQuotes { break }
    }
    skipSpace()
  }

  private mutating func skipSpace() {
    while offset < bytes.count, isSpace(bytes[offset]) { offset += 1 }
  }
}

// MARK: - Bytes

func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

/// Letters, digits and the marks of RFC 9110 section 5.6.2.
func isTokenByte(_ byte: UInt8) -> Bool {
  switch byte {
  case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
    UInt8(ascii: "0")...UInt8(ascii: "9"):
    true
  case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
    UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
    UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
    true
  default: false
  }
}

private func lowered(_ byte: UInt8) -> UInt8 {
  byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
}

/// Whether the bytes are that text.
func isSame(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
  bytes.elementsEqual(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
}

/// Whether the bytes are that text, whatever the case of ASCII letters in either.
func isSameToken(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
  isSameToken(bytes, UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
}

func isSameToken(_ bytes: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
  guard bytes.count == other.count else { return false }
  for index in 0..<bytes.count where lowered(bytes[index]) != lowered(other[index]) { return false }
  return true
}

/// The value of decimal digits, nil for anything else and for more than 18 of them.
func decimal(_ bytes: UnsafeRawBufferPointer) -> Int? {
  guard (1...18).contains(bytes.count) else { return nil }
  var value = 0
  for byte in bytes {
    guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
    value = value * 10 + Int(byte - UInt8(ascii: "0"))
  }
  return value
}
