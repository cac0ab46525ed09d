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
      guard check.next() != nil else { return nil }
    }
  }

  public mutating func next() -> HTTPField? {
    guard let end = rest.firstIndex(of: 0x0A) else { return nil }
    guard let colon = rest[..<end].firstIndex(of: UInt8(ascii: ":")), colon > 0,
      rest[..<colon].allSatisfy(isTokenByte)
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
