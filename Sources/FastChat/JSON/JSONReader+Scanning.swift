// What a value is made of, and values that nobody asks for.

extension JSONReader {
  /// Reads any value without looking into it: all of it is validated, and its bytes are handed out as
  /// they stand in the input, without the white space around it.
  public mutating func value() throws(JSONError) -> UnsafeRawBufferPointer {
    _ = try valueByte()
    let first = cursor
    let outside = open.depth
    repeat {
      try scanValueOrEnter()
      // Behind a value, or in an empty container: close what closes here, up to the next value.
      while open.depth > outside {
        let object = open.innermost == .object
        if try leave(object ? UInt8(ascii: "}") : UInt8(ascii: "]")) { continue }
        if object { _ = try key() }
        break
      }
    } while open.depth > outside
    place = .next
    return UnsafeRawBufferPointer(start: first, count: cursor - first)
  }

  /// Consumes a string, number or word, or the bracket that opens a container.
  @usableFromInline
  mutating func scanValueOrEnter() throws(JSONError) {
    let byte = try significantByte()
    switch byte {
    case UInt8(ascii: "{"): return try enter(.object)
    case UInt8(ascii: "["): return try enter(.array)
    case UInt8(ascii: "\""): _ = try scanString()
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try scanNumber()
    default: try scanWord(byte)
    }
    place = .next
  }

  /// Consumes `true`, `false` or `null`, whichever begins with `byte`.
  @inlinable
  mutating func scanWord(_ byte: UInt8) throws(JSONError) {
    switch byte {
    case UInt8(ascii: "t"): try scanWord("true")
    case UInt8(ascii: "f"): try scanWord("false")
    case UInt8(ascii: "n"): try scanWord("null")
    default: throw syntax()
    }
  }

  @inlinable @inline(__always)
  mutating func scanWord(_ word: StaticString) throws(JSONError) {
    let count = word.utf8CodeUnitCount
    guard limit - cursor >= count, sameBytes(UnsafeRawBufferPointer(start: cursor, count: count), word) else {
      throw syntax()
    }
    cursor += count
  }

  // MARK: Strings

  /// Consumes a string, the cursor on its opening quote.
  ///
  /// Eight bytes a step: in `bytesBelow` and `bytesEqual` the lowest mark is always a true one, and the
  /// machine is little-endian, so the lowest mark is the first byte that needs a look.
  @inlinable
  mutating func scanString() throws(JSONError) -> JSONText {
    let first = cursor + 1
    var at = first
    var plain = true
    while true {
      while limit - at >= 8 {
        let word = at.loadUnaligned(as: UInt64.self)
        let marks =
          bytesBelow(0x20, in: word) | bytesEqual(UInt8(ascii: "\""), in: word)
          | bytesEqual(UInt8(ascii: "\\"), in: word)
        if marks != 0 {
          at += marks.trailingZeroBitCount / 8
          break
        }
        at += 8
      }
      if at < limit, at.load(as: UInt8.self) == UInt8(ascii: "\"") {
        cursor = at + 1
        return JSONText(raw: UnsafeRawBufferPointer(start: first, count: at - first), isPlain: plain)
      }
      guard at < limit, at.load(as: UInt8.self) >= 0x20 else { throw .syntax(offset: at - start) }
      if at.load(as: UInt8.self) == UInt8(ascii: "\\") {
        plain = false
        try scanEscape(&at)
      } else {
        at += 1
      }
    }
  }

  /// Consumes a backslash and what it escapes.
  @usableFromInline
  func scanEscape(_ at: inout UnsafeRawPointer) throws(JSONError) {
    guard limit - at >= 2 else { throw .syntax(offset: at - start) }
    switch (at + 1).load(as: UInt8.self) {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      at += 2
    case UInt8(ascii: "u"):
      guard limit - at >= 6 else { throw .syntax(offset: at - start) }
      for index in 2..<6 where hexValue((at + index).load(as: UInt8.self)) == nil {
        throw .syntax(offset: at - start)
      }
      at += 6
    default: throw .syntax(offset: at - start)
    }
  }

  // MARK: Numbers

  /// Consumes a number (RFC 8259 section 6).
  @usableFromInline
  mutating func scanNumber() throws(JSONError) {
    if cursor.load(as: UInt8.self) == UInt8(ascii: "-") { cursor += 1 }
    if cursor < limit, cursor.load(as: UInt8.self) == UInt8(ascii: "0") {
      cursor += 1
      if cursor < limit, isDigit(cursor.load(as: UInt8.self)) { throw syntax() }
    } else {
      try scanDigits()
    }
    if cursor < limit, cursor.load(as: UInt8.self) == UInt8(ascii: ".") {
      cursor += 1
      try scanDigits()
    }
    guard cursor < limit, cursor.load(as: UInt8.self) | 0x20 == UInt8(ascii: "e") else { return }
    cursor += 1
    if cursor < limit {
      let sign = cursor.load(as: UInt8.self)
      if sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { cursor += 1 }
    }
    try scanDigits()
  }

  /// Consumes one digit or more.
  private mutating func scanDigits() throws(JSONError) {
    let first = cursor
    while cursor < limit, isDigit(cursor.load(as: UInt8.self)) { cursor += 1 }
    guard cursor > first else { throw syntax() }
  }
}

// MARK: - Bytes

@inlinable @inline(__always)
func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

@usableFromInline
func hexValue(_ byte: UInt8) -> UInt32? {
  switch byte {
  case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
  case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
  case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A") + 10)
  default: nil
  }
}

/// Marks the high bit of each byte of `word` that is below `bound` (at most 128); above the lowest mark
/// there may be false ones.
@inlinable @inline(__always)
func bytesBelow(_ bound: UInt8, in word: UInt64) -> UInt64 {
  (word &- 0x0101_0101_0101_0101 &* UInt64(bound)) & ~word & 0x8080_8080_8080_8080
}

/// Marks the bytes of `word` that are `byte`, as `bytesBelow`.
@inlinable @inline(__always)
func bytesEqual(_ byte: UInt8, in word: UInt64) -> UInt64 {
  bytesBelow(1, in: word ^ 0x0101_0101_0101_0101 &* UInt64(byte))
}
