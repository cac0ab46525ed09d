/// A string as it stands in the input: a view that is valid as long as the input.
public struct JSONText {
  /// What is between the quotes, escapes as they came.
  public let raw: UnsafeRawBufferPointer
  /// No escapes: `raw` is the text.
  public let isPlain: Bool

  @inlinable
  init(raw: UnsafeRawBufferPointer, isPlain: Bool) {
    self.raw = raw
    self.isPlain = isPlain
  }

  /// Whether the text, escapes decoded, is `text`.
  @inlinable @inline(__always)
  public func equals(_ text: StaticString) -> Bool {
    isPlain ? sameBytes(raw, text) : equalsDecoded(text)
  }

  /// Appends the text, escapes decoded to UTF-8. False, and nothing is appended, where it holds half of
  /// a surrogate pair, for which there is no UTF-8.
  public func append(to buffer: inout ByteBuffer) -> Bool {
    guard !isPlain else {
      buffer.append(raw)
      return true
    }
    let before = buffer.count
    var offset = 0
    while let piece = nextPiece(&offset) {
      switch piece {
      case .run(let bytes): buffer.append(bytes)
      case .scalar(let scalar):
        for byte in UTF8.encode(scalar) { buffer.append(byte) }
      case .loneSurrogate:
        buffer.truncate(to: before)
        return false
      }
    }
    return true
  }

  /// Writes the text, escapes decoded to UTF-8; the number of bytes written. Nil where it holds half of
  /// a surrogate pair or has no room; `raw.count` bytes are always room enough.
  public func decoded(into room: UnsafeMutableRawBufferPointer) -> Int? {
    var count = 0
    var offset = 0
    while let piece = nextPiece(&offset) {
      switch piece {
      case .run(let bytes):
        guard room.count - count >= bytes.count else { return nil }
        UnsafeMutableRawBufferPointer(rebasing: room[count...]).copyMemory(from: bytes)
        count += bytes.count
      case .scalar(let scalar):
        for byte in UTF8.encode(scalar) {
          guard count < room.count else { return nil }
          room[count] = byte
          count += 1
        }
      case .loneSurrogate:
        return nil
      }
    }
    return count
  }

  @usableFromInline
  func equalsDecoded(_ text: StaticString) -> Bool {
    let wanted = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    var matched = 0
    var offset = 0
    while let piece = nextPiece(&offset) {
      switch piece {
      case .run(let bytes):
        guard wanted.count - matched >= bytes.count,
          sameBytes(UnsafeRawBufferPointer(rebasing: wanted[matched..<matched + bytes.count]), bytes)
        else { return false }
        matched += bytes.count
      case .scalar(let scalar):
        for byte in UTF8.encode(scalar) {
          guard matched < wanted.count, wanted[matched] == byte else { return false }
          matched += 1
        }
      case .loneSurrogate:
        return false
      }
    }
    return matched == wanted.count
  }
}

// MARK: - Escapes

extension JSONText {
  private enum Piece {
    case run(UnsafeRawBufferPointer)
    case scalar(Unicode.Scalar)
    case loneSurrogate
  }

  /// The bytes up to the next escape, or the escape itself. The reader has seen that it is well-formed.
  private func nextPiece(_ offset: inout Int) -> Piece? {
    guard offset < raw.count else { return nil }
    guard raw[offset] == UInt8(ascii: "\\") else {
      let start = offset
      while offset < raw.count, raw[offset] != UInt8(ascii: "\\") { offset += 1 }
      return .run(UnsafeRawBufferPointer(rebasing: raw[start..<offset]))
    }
    let escaped = raw[offset + 1]
    guard escaped == UInt8(ascii: "u") else {
      offset += 2
      return .scalar(Unicode.Scalar(shortEscape(escaped)))
    }
    let unit = codeUnit(at: offset + 2)
    offset += 6
    if let scalar = Unicode.Scalar(unit) { return .scalar(scalar) }
    guard UTF16.isLeadSurrogate(UInt16(unit)), offset + 6 <= raw.count, raw[offset] == UInt8(ascii: "\\"),
      raw[offset + 1] == UInt8(ascii: "u")
    else { return .loneSurrogate }
    let trail = codeUnit(at: offset + 2)
    guard UTF16.isTrailSurrogate(UInt16(trail)) else { return .loneSurrogate }
    offset += 6
    let value = 0x10000 + ((unit & 0x3FF) << 10 | trail & 0x3FF)
    return Unicode.Scalar(value).map { .scalar($0) } ?? .loneSurrogate
  }

  private func shortEscape(_ byte: UInt8) -> UInt8 {
    switch byte {
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "f"): 0x0C
    case UInt8(ascii: "n"): 0x0A
    case UInt8(ascii: "r"): 0x0D
    case UInt8(ascii: "t"): 0x09
    default: byte
    }
  }

  /// The value of the four hexadecimal digits there.
  private func codeUnit(at offset: Int) -> UInt32 {
    (offset..<offset + 4).reduce(0) { $0 << 4 | (hexValue(raw[$1]) ?? 0) }
  }
}

extension Unicode.UTF8 {
  /// The UTF-8 of a scalar, which always has one.
  fileprivate static func encode(_ scalar: Unicode.Scalar) -> EncodedScalar {
    encode(scalar).unsafelyUnwrapped
  }
}
