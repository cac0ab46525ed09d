/// Why a text could not be read as the caller asked. Offsets are bytes from the start of the text.
public enum JSONError: Error, Equatable {
  /// Not JSON (RFC 8259); the reader is of no use after it.
  case syntax(offset: Int)
  /// Objects and arrays nested deeper than `maxDepth`; the reader is of no use after it.
  case tooDeep(offset: Int)
  /// A well-formed value of another kind. It is still unread: it may be skipped with `value()`.
  case wrongType(offset: Int)
  /// A well-formed number that is not whole or not within 2^53. It is still unread.
  case outOfRange(offset: Int)
}

/// What the next value is, told by its first byte.
public enum JSONKind {
  case object, array, string, number, bool, null
}

/// Reads one JSON text (RFC 8259) piece by piece, in the order in which it stands there.
///
/// The caller pulls: `beginObject`, then `nextKey` and a value until `nextKey` is nil, and `end` when
/// the outermost value is read. Nothing is built and nothing is allocated; what is handed out are views
/// into the input. What is never asked for is still validated, by `value`. The open containers are one
/// bit each, so no text can exhaust the stack.
///
/// Text outside of escapes is not checked to be UTF-8: a WebSocket text message has been.
///
///     {"to" : "user:bob" , "n" : 1 }
///     ^beginObject         ^nextKey ^nextKey is nil
///      ^nextKey ^string        ^integer ^end
public struct JSONReader {
  /// Where the reader stands in the grammar: what a call may be.
  @usableFromInline enum Place {
    /// In front of a value.
    case value
    /// Behind the bracket that opened the innermost container.
    case first
    /// Behind a value.
    case next
  }

  /// The deepest nesting that any reader can follow: a bit each, and one to spare.
  public static let deepest = 63

  @usableFromInline let start: UnsafeRawPointer
  @usableFromInline let limit: UnsafeRawPointer
  @usableFromInline var cursor: UnsafeRawPointer
  @usableFromInline var open = Nesting()
  @usableFromInline var place = Place.value
  @usableFromInline let maxDepth: Int

  /// Reads `bytes`, which must stay valid as long as the reader and what it hands out.
  @inlinable
  public init(_ bytes: UnsafeRawBufferPointer, maxDepth: Int = 32) {
    precondition(maxDepth >= 0 && maxDepth <= JSONReader.deepest)
    // An empty run may have no address; any will do, since none of its bytes is looked at.
    start = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!
    limit = start + bytes.count
    cursor = start
    self.maxDepth = maxDepth
  }

  /// The kind of the next value, which stays unread. The value itself may still be broken.
  @inlinable
  public mutating func kind() throws(JSONError) -> JSONKind {
    switch try valueByte() {
    case UInt8(ascii: "\""): return .string
    case UInt8(ascii: "{"): return .object
    case UInt8(ascii: "["): return .array
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
    case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
    case UInt8(ascii: "n"): return .null
    default: throw syntax()
    }
  }

  @inlinable
  public mutating func beginObject() throws(JSONError) {
    guard try valueByte() == UInt8(ascii: "{") else { throw mismatch() }
    try enter(.object)
  }

  @inlinable
  public mutating func beginArray() throws(JSONError) {
    guard try valueByte() == UInt8(ascii: "[") else { throw mismatch() }
    try enter(.array)
  }

  /// The next key of the innermost container, an object; nil consumes its closing brace.
  @inlinable
  public mutating func nextKey() throws(JSONError) -> JSONText? {
    precondition(open.innermost == .object && place != .value, "nextKey outside of an object")
    if try leave(UInt8(ascii: "}")) { return nil }
    let key = try key()
    place = .value
    return key
  }

  /// Whether the innermost container, an array, has another element; false consumes its closing bracket.
  @inlinable
  public mutating func nextElement() throws(JSONError) -> Bool {
    precondition(open.innermost == .array && place != .value, "nextElement outside of an array")
    if try leave(UInt8(ascii: "]")) { return false }
    place = .value
    return true
  }

  @inlinable
  public mutating func string() throws(JSONError) -> JSONText {
    guard try valueByte() == UInt8(ascii: "\"") else { throw mismatch() }
    let text = try scanString()
    place = .next
    return text
  }

  @inlinable
  public mutating func bool() throws(JSONError) -> Bool {
    let byte = try valueByte()
    guard byte == UInt8(ascii: "t") || byte == UInt8(ascii: "f") else { throw mismatch() }
    try scanWord(byte)
    place = .next
    return byte == UInt8(ascii: "t")
  }

  @inlinable
  public mutating func null() throws(JSONError) {
    let byte = try valueByte()
    guard byte == UInt8(ascii: "n") else { throw mismatch() }
    try scanWord(byte)
    place = .next
  }

  /// Checks that the outermost value has been read and that only white space is left.
  @inlinable
  public mutating func end() throws(JSONError) {
    precondition(open.depth == 0 && place == .next, "end in the middle of a value")
    skipWhiteSpace()
    guard cursor == limit else { throw syntax() }
  }
}

/// The open containers, innermost last: a bit each, set for an object.
@usableFromInline
struct Nesting {
  @usableFromInline enum Container { case object, array }

  @usableFromInline var bits: UInt64 = 0
  @usableFromInline var depth = 0

  @inlinable init() {}

  @inlinable var innermost: Container? {
    depth == 0 ? nil : bits & 1 == 1 ? .object : .array
  }

  @inlinable mutating func push(_ container: Container) {
    bits = bits << 1 | (container == .object ? 1 : 0)
    depth += 1
  }

  @inlinable mutating func pop() {
    bits >>= 1
    depth -= 1
  }
}

// MARK: - Steps

extension JSONReader {
  @inlinable var offset: Int { cursor - start }

  @inlinable func syntax() -> JSONError { .syntax(offset: offset) }

  /// The error for a value of another kind than was asked for: broken text is told first.
  @usableFromInline
  func mismatch() -> JSONError {
    var probe = self
    do throws(JSONError) {
      _ = try probe.value()
      return .wrongType(offset: offset)
    } catch {
      return error
    }
  }

  /// The first byte of the value that the caller reads next.
  @inlinable
  mutating func valueByte() throws(JSONError) -> UInt8 {
    precondition(place == .value, "no value stands here")
    return try significantByte()
  }

  /// Skips white space; the byte behind it, which is not consumed.
  @inlinable @inline(__always)
  mutating func significantByte() throws(JSONError) -> UInt8 {
    skipWhiteSpace()
    guard cursor < limit else { throw syntax() }
    return cursor.load(as: UInt8.self)
  }

  @inlinable @inline(__always)
  mutating func skipWhiteSpace() {
    while cursor < limit {
      let byte = cursor.load(as: UInt8.self)
      guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
      cursor += 1
    }
  }

  /// Consumes the bracket that opens a container.
  @inlinable
  mutating func enter(_ container: Nesting.Container) throws(JSONError) {
    guard open.depth < maxDepth else { throw .tooDeep(offset: offset) }
    cursor += 1
    open.push(container)
    place = .first
  }

  /// Consumes `bracket`, which closes the innermost container, or else the comma where one is due.
  @inlinable @inline(__always)
  mutating func leave(_ bracket: UInt8) throws(JSONError) -> Bool {
    let byte = try significantByte()
    if byte == bracket {
      cursor += 1
      open.pop()
      place = .next
      return true
    }
    if place == .next {
      guard byte == UInt8(ascii: ",") else { throw syntax() }
      cursor += 1
    }
    return false
  }

  /// Consumes a key and its colon.
  @inlinable
  mutating func key() throws(JSONError) -> JSONText {
    guard try significantByte() == UInt8(ascii: "\"") else { throw syntax() }
    let key = try scanString()
    guard try significantByte() == UInt8(ascii: ":") else { throw syntax() }
    cursor += 1
    return key
  }
}
