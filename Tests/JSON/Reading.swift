import JSON

/// Runs `body` with a reader over the UTF-8 of `text`.
@discardableResult
func reading<Result>(
  _ text: String, maxDepth: Int = 32, _ body: (inout JSONReader) throws -> Result
) rethrows -> Result {
  try reading(Array(text.utf8), maxDepth: maxDepth, body)
}

/// Runs `body` with a reader over a copy of `bytes` that ends where its allocation ends, so that a
/// sanitizer sees a read beyond it.
@discardableResult
func reading<Result>(
  _ bytes: [UInt8], maxDepth: Int = 32, _ body: (inout JSONReader) throws -> Result
) rethrows -> Result {
  let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
  defer { copy.deallocate() }
  copy.copyBytes(from: bytes)
  var reader = JSONReader(UnsafeRawBufferPointer(copy), maxDepth: maxDepth)
  return try body(&reader)
}

/// A value as the tests compare it: what the reader hands out, all of it pulled.
indirect enum Tree: Equatable {
  case object([String: Tree])
  case array([Tree])
  /// nil: half of a surrogate pair, which has no UTF-8.
  case string(String?)
  case number(Double)
  case bool(Bool)
  case null
  /// The value of a key that stands in its object more than once.
  case repeated
}

extension JSONText {
  /// The decoded text, by way of `append`; the two ways of decoding must agree.
  var text: String? {
    var buffer = ByteBuffer()
    buffer.append(UInt8(ascii: "<"))
    let appended = append(to: &buffer)
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: raw.count, alignment: 1)
    defer { room.deallocate() }
    let count = decoded(into: room)
    precondition(appended == (count != nil), "the two ways of decoding agree")
    precondition(appended || buffer.count == 1, "nothing is appended in vain")
    guard let count else { return nil }
    precondition(room[..<count].elementsEqual(buffer[1..<buffer.count]), "the two ways of decoding agree")
    return String(decoding: room[..<count], as: UTF8.self)
  }
}

/// Reads one whole document by the typed calls. Recursive: for tests, with a bounded depth.
func tree(_ reader: inout JSONReader) throws(JSONError) -> Tree {
  switch try reader.kind() {
  case .null:
    try reader.null()
    return .null
  case .bool: return .bool(try reader.bool())
  case .string: return .string(try reader.string().text)
  case .number:
    do throws(JSONError) {
      return .number(Double(try reader.integer()))
    } catch {
      guard case .outOfRange = error else { throw error }
      let raw = try reader.value()
      return .number(Double(String(decoding: raw, as: UTF8.self))!)
    }
  case .array:
    var elements: [Tree] = []
    try reader.beginArray()
    while try reader.nextElement() { elements.append(try tree(&reader)) }
    return .array(elements)
  case .object:
    var members: [String: Tree] = [:]
    try reader.beginObject()
    while let key = try reader.nextKey() {
      let value = try tree(&reader)
      let name = key.text ?? "\u{FFFD}"
      members[name] = members[name] == nil ? value : .repeated
    }
    return .object(members)
  }
}

/// Reads one whole document, pulled piece by piece.
func pulled(_ bytes: [UInt8], maxDepth: Int = 32) throws(JSONError) -> Tree {
  let result = reading(bytes, maxDepth: maxDepth) { reader in
    Result { () throws(JSONError) in
      let value = try tree(&reader)
      try reader.end()
      return value
    }
  }
  return try result.get()
}

/// Reads one whole document by `value`.
func skipped(_ bytes: [UInt8], maxDepth: Int = 32) throws(JSONError) -> String {
  let result = reading(bytes, maxDepth: maxDepth) { reader in
    Result { () throws(JSONError) in
      let raw = String(decoding: try reader.value(), as: UTF8.self)
      try reader.end()
      return raw
    }
  }
  return try result.get()
}
