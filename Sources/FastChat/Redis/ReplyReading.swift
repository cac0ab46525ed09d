import Chat

/// Replies as figures and texts. A reply that is not what was asked for is no answer: these are nil then.
extension RedisReply {
  /// A whole number, whether Redis says it as one or as a text.
  var number: Int64? {
    switch self {
    case .integer(let value): value
    case .bytes(let text): Int64(decimal: text[...])
    default: nil
    }
  }

  /// A random 64-bit id.
  var id: UInt64? {
    guard case .bytes(let text) = self else { return nil }
    return UInt64(decimal: text[...])
  }

  var bytes: [UInt8]? { if case .bytes(let text) = self { text } else { nil } }
  var elements: [RedisReply]? { if case .array(let elements) = self { elements } else { nil } }
  var isNull: Bool { self == .null }
}

extension UInt64 {
  /// Reads decimal digits and nothing else.
  init?(decimal text: ArraySlice<UInt8>) {
    guard !text.isEmpty, text.count <= 20 else { return nil }
    var value: UInt64 = 0
    for byte in text {
      guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
      guard !overflow, !carry else { return nil }
      value = sum
    }
    self = value
  }
}

extension Int64 {
  init?(decimal text: ArraySlice<UInt8>) {
    if text.first == UInt8(ascii: "-") {
      guard let magnitude = UInt64(decimal: text.dropFirst()), magnitude <= 1 << 63 else { return nil }
      self = Int64(truncatingIfNeeded: 0 &- magnitude)
    } else {
      guard let value = UInt64(decimal: text), value <= UInt64(Int64.max) else { return nil }
      self = Int64(value)
    }
  }
}

/// Figures of a row, with a space or a colon between two.
struct Figures {
  private var rest: ArraySlice<UInt8>

  init(_ text: [UInt8]) { rest = text[...] }

  mutating func next() -> Int64? { Int64(decimal: part()) }
  mutating func nextID() -> UInt64? { UInt64(decimal: part()) }

  private mutating func part() -> ArraySlice<UInt8> {
    let end = rest.firstIndex { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: ":") } ?? rest.endIndex
    defer { rest = rest[end...].dropFirst() }
    return rest[..<end]
  }
}

extension Role {
  init?(_ number: Int64?) {
    guard let number, let raw = UInt8(exactly: number) else { return nil }
    self.init(rawValue: raw)
  }
}

extension Outcome {
  init?(_ number: Int64?) {
    guard let number, let raw = UInt8(exactly: number) else { return nil }
    self.init(rawValue: raw)
  }
}
