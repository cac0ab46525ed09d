import Foundation

/// JSON as the tests look at it, read by Foundation: another implementation than the server's.
public enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  public init(parsing text: some StringProtocol) throws {
    self = .init(try JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed))
  }

  private init(_ value: Any) {
    switch value {
    case let object as [String: Any]: self = .object(object.mapValues { JSONValue($0) })
    case let array as [Any]: self = .array(array.map { JSONValue($0) })
    case let string as String: self = .string(string)
    case let number as NSNumber:
      switch UInt8(bitPattern: number.objCType.pointee) {
      case UInt8(ascii: "c"): self = .bool(number.boolValue)
      case UInt8(ascii: "d"), UInt8(ascii: "f"): self = .number(number.doubleValue)
      default: self = .integer(number.intValue)
      }
    default: self = .null
    }
  }

  public subscript(key: String) -> JSONValue? {
    if case .object(let fields) = self { fields[key] } else { nil }
  }

  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var int: Int? { if case .integer(let value) = self { value } else { nil } }
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
  public var keys: Set<String> { if case .object(let fields) = self { Set(fields.keys) } else { [] } }

  /// The text of a string as JSON.
  public static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": quoted += "\\\(scalar)"
      case "\u{0}"..<" ": quoted += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }

  /// The bytes of each member of the object in `text`, as they stand there, by key. The text must be valid.
  static func members(of text: String) -> [String: String] {
    let bytes = Array(text.utf8)
    var members: [String: String] = [:]
    var index = 0
    func skipSpace() { while index < bytes.count, [9, 10, 13, 32].contains(bytes[index]) { index += 1 } }
    func skipString() {
      index += 1
      while bytes[index] != UInt8(ascii: "\"") { index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1 }
      index += 1
    }
    func skipValue() -> String {
      let begin = index
      var depth = 0
      while true {
        switch bytes[index] {
        case UInt8(ascii: "\""): skipString()
        case UInt8(ascii: "{"), UInt8(ascii: "["):
          depth += 1
          index += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: ","):
          if depth == 0 { return String(decoding: bytes[begin..<index], as: UTF8.self) }
          if bytes[index] != UInt8(ascii: ",") { depth -= 1 }
          index += 1
        default: index += 1
        }
      }
    }
    skipSpace()
    while index < bytes.count, bytes[index] != UInt8(ascii: "}") {
      index += 1  // the opening brace, then each comma
      skipSpace()
      guard bytes[index] == UInt8(ascii: "\"") else { break }
      let begin = index + 1
      skipString()
      let key = String(decoding: bytes[begin..<(index - 1)], as: UTF8.self)
      skipSpace()
      index += 1  // the colon
      skipSpace()
      members[key] = skipValue()
    }
    return members
  }
}
