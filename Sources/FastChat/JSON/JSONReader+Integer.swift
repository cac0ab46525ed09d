extension JSONReader {
  /// Integers are kept within what every JSON implementation holds exactly (RFC 8259 section 6).
  @usableFromInline static var integerLimit: UInt64 { 1 << 53 }

  /// Digits that can be accumulated without a look at overflow: 10^15 is below 2^53.
  @usableFromInline static var certainDigits: Int { 15 }

  /// A number whose value is whole and below 2^53 in magnitude, however it is written: `1.0` and `1e3`
  /// are. Any other number is `outOfRange`, and still unread.
  @inlinable
  public mutating func integer() throws(JSONError) -> Int64 {
    let byte = try valueByte()
    guard byte == UInt8(ascii: "-") || isDigit(byte) else { throw mismatch() }
    // Nearly every number is a few digits without sign, point or exponent.
    var at = cursor
    var value: Int64 = 0
    let most = min(limit, cursor + JSONReader.certainDigits)
    while at < most {
      let digit = at.load(as: UInt8.self)
      guard isDigit(digit) else { break }
      value = value &* 10 &+ Int64(digit &- UInt8(ascii: "0"))
      at += 1
    }
    guard at > cursor, byte != UInt8(ascii: "0") || at == cursor + 1, at == limit || endsNumber(at) else {
      return try anyInteger()
    }
    cursor = at
    place = .next
    return value
  }

  /// Whether the byte there cannot be a part of a number.
  @inlinable @inline(__always)
  func endsNumber(_ at: UnsafeRawPointer) -> Bool {
    let byte = at.load(as: UInt8.self)
    return byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") || byte <= 0x20
  }

  /// Reads a number in any notation: the significant digits without the zeros that end them, and the
  /// power of ten that they are multiplied with. If these digits do not fit, neither does the number:
  /// a negative power would leave a fraction.
  @usableFromInline
  mutating func anyInteger() throws(JSONError) -> Int64 {
    var probe = self
    try probe.scanNumber()

    var digits: UInt64 = 0
    var zeros = 0
    var power = 0
    var inFraction = false
    var at = cursor
    while at < probe.cursor {
      let byte = at.load(as: UInt8.self)
      at += 1
      switch byte {
      case UInt8(ascii: "."):
        inFraction = true
        continue
      case UInt8(ascii: "-"):
        continue
      case UInt8(ascii: "0"):
        if digits > 0 { zeros += 1 }
      case UInt8(ascii: "e"), UInt8(ascii: "E"):
        power += exponent(from: at, to: probe.cursor)
        at = probe.cursor
        continue
      default:
        guard let shifted = scaled(digits, by: zeros + 1) else { throw .outOfRange(offset: offset) }
        digits = shifted + UInt64(byte - UInt8(ascii: "0"))
        zeros = 0
      }
      if inFraction { power -= 1 }
    }
    guard digits == 0 || power + zeros >= 0, let magnitude = scaled(digits, by: power + zeros),
      magnitude < JSONReader.integerLimit
    else { throw .outOfRange(offset: offset) }
    let negative = cursor.load(as: UInt8.self) == UInt8(ascii: "-")
    cursor = probe.cursor
    place = .next
    return negative ? -Int64(magnitude) : Int64(magnitude)
  }

  /// The exponent whose sign and digits stand there, cut off where it exceeds any length of a text.
  private func exponent(from: UnsafeRawPointer, to: UnsafeRawPointer) -> Int {
    var value = 0
    var negative = false
    for byte in UnsafeRawBufferPointer(start: from, count: to - from) {
      switch byte {
      case UInt8(ascii: "-"): negative = true
      case UInt8(ascii: "+"): break
      default: value = min(value * 10 + Int(byte - UInt8(ascii: "0")), 1 << 56)
      }
    }
    return negative ? -value : value
  }

  /// `digits` times ten to the `power`; nil where that passes the limit.
  private func scaled(_ digits: UInt64, by power: Int) -> UInt64? {
    guard digits > 0 else { return 0 }
    var value = digits
    for _ in 0..<max(power, 0) {
      guard value < JSONReader.integerLimit else { return nil }
      value *= 10
    }
    return value
  }
}
