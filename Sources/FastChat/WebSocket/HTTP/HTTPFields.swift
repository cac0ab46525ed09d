#if canImport(Glibc)
  private import Glibc
#endif

/// One header field: views into the head, without the white space around the value.
public struct HTTPField {
  public let name: UnsafeRawBufferPointer
  public let value: UnsafeRawBufferPointer

  /// Whether it has that name; the case of letters means nothing.
  public func isNamed(_ name: StaticString) -> Bool { isSameToken(self.name, name) }
}

/// The header fields of a message, in order. Lines that have been seen to be well-formed.
public struct HTTPFields: Sequence, IteratorProtocol {
  /// The lines not yet read, each with its CR LF.
  private var rest: UnsafeRawBufferPointer

  /// Nil where a line is not a field: no colon, a name that is no token, white space before the colon.
  init?(lines: UnsafeRawBufferPointer) {
    rest = lines
    var check = self
    while !check.rest.isEmpty {
      guard let field = check.next(), !field.name.isEmpty else { return nil }
      for byte in field.name where !isTokenByte(byte) { return nil }
    }
  }

  /// The next field. Names are looked for often, so that they are tokens is checked once, at the start.
  public mutating func next() -> HTTPField? {
    guard let end = HTTPFields.offset(of: 0x0A, in: rest, before: rest.count),
      let colon = HTTPFields.offset(of: UInt8(ascii: ":"), in: rest, before: end)
    else { return nil }
    var first = colon + 1
    var last = end - 1
    while first < last, isSpace(rest[first]) { first += 1 }
    while last > first, isSpace(rest[last - 1]) { last -= 1 }
    defer { rest = UnsafeRawBufferPointer(rebasing: rest[(end + 1)...]) }
    return HTTPField(
      name: UnsafeRawBufferPointer(rebasing: rest[..<colon]),
      value: UnsafeRawBufferPointer(rebasing: rest[first..<last]))
  }

  private static func offset(of byte: UInt8, in bytes: UnsafeRawBufferPointer, before end: Int) -> Int? {
    guard let start = bytes.baseAddress, let found = memchr(start, Int32(byte), end) else { return nil }
    return UnsafeRawPointer(found) - start
  }

  /// The value of the first field of that name.
  public func value(_ name: StaticString) -> UnsafeRawBufferPointer? {
    for field in self where field.isNamed(name) { return field.value }
    return nil
  }

  /// The value of the field of that name, if it stands there exactly once.
  func onlyValue(_ name: StaticString) -> UnsafeRawBufferPointer? {
    count(name) == 1 ? value(name) : nil
  }

  func count(_ name: StaticString) -> Int {
    var count = 0
    for field in self where field.isNamed(name) { count += 1 }
    return count
  }

  /// Whether the token is an element of the list that the fields of that name make; the case of letters
  /// means nothing.
  public func contains(_ token: StaticString, in name: StaticString) -> Bool {
    for field in self where field.isNamed(name) {
      var list = HTTPScanner(field.value)
      while !list.isAtEnd {
        if let element = list.token(), list.isAtEndOfElement, isSameToken(element, token) { return true }
        list.skipToNextElement()
      }
    }
    return false
  }
}
