import Foundation
import JSON
import Testing

/// Foundation's `JSONSerialization` as the oracle: mutated documents must be accepted and refused alike,
/// and have the same values.
///
/// Known differences, left out of the comparison:
/// - text that is not UTF-8: our reader leaves that to the WebSocket codec, which has checked it;
/// - half of a surrogate pair in an escape: well-formed by the grammar, refused by Foundation; our text
///   has no decoded form then;
/// - a zero byte or a byte order mark: Foundation takes them for another encoding;
/// - nesting: our bound is 63 at most, Foundation's 512;
/// - a key that stands twice in an object: which value counts is left open by RFC 8259 section 4;
/// - a comma behind the last element or member: Foundation lets it pass, RFC 8259 section 2 does not;
/// - the last digits of a number that Foundation keeps as a Decimal;
/// - numbers beyond the range of Double: refused by Foundation, `outOfRange` here.
@Suite struct JSONFuzzTests {
  private static let documents = [
    #"{"type":"send","id":"c1","to":"user:bob","body":{"text":"hi \"you\" \u00e9","n":[1,2.5,-3e2,0]}}"#,
    #"{"type":"hello","device":"phone","log":"x","cursors":{"*":0,"dm:alice:bob":1042,"room:a":99}}"#,
    #"[true,false,null,"",{},[],[[]],{"a":{"b":{"c":[0.1,1e5,-0,12345678901]}}}]"#,
    #"{"emoji":"😀\uD83D\uDE00","esc":"\\\/\b\f\n\r\t","long":"abcdefghijklmnopqrstuvwxyz0123456789"}"#,
    " {\n\t\"a\" : [ 1 , 2 ] ,\r\n \"b\" : \"x\" } ", "-12.5e-3", #""plain""#, "9007199254740991",
  ].map { Array($0.utf8) }

  private static let tokens = [
    "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\uD83D", "\\uDE00", "\\n", "0", "1", "-", ".", "e",
    "E5", "+",
    "true", "false", "null", " ", "\n", "\u{1}", "é", "😀", "\"k\":", "[[", "]]", "1e9", "00", "nul",
  ].map { Array($0.utf8) }

  @Test func `mutated documents are judged and read as Foundation does`() throws {
    var random = Seeded(state: 0x5EED)
    var accepted = 0
    var refused = 0
    for _ in 0..<30_000 {
      var bytes = Self.documents[random.below(Self.documents.count)]
      for _ in 0...random.below(4) { mutate(&bytes, &random) }
      guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0),
        !text.unicodeScalars.contains("\u{FEFF}")
      else { continue }
      let oracle = Result {
        try JSONSerialization.jsonObject(with: Data(bytes), options: [.fragmentsAllowed])
      }
      let ours = Result { () throws(JSONError) in try pulled(bytes, maxDepth: JSONReader.deepest) }
      let whole = Result { () throws(JSONError) in try skipped(bytes, maxDepth: JSONReader.deepest) }
      switch (ours, whole) {
      case (.success, .success): break
      case (.failure(let a), .failure(let b)) where a == b: break
      default: Issue.record("pulled \(ours), skipped \(whole): \(text)")
      }
      switch (ours, oracle) {
      case (.failure, .failure): refused += 1
      case (.failure(.tooDeep), .success): continue
      case (.failure(.syntax(let offset)), .success) where isBehindComma(bytes, offset): continue
      case (.success(let value), .failure):
        if !hasNoOracle(value) { Issue.record("accepted, Foundation refuses: \(text)") }
      case (.failure(let error), .success): Issue.record("\(error), Foundation accepts: \(text)")
      case (.success(let value), .success(let object)):
        accepted += 1
        if !isSame(value, object) { Issue.record("read \(value), Foundation \(object): \(text)") }
      }
    }
    #expect(accepted > 100 && refused > 1000)
  }

  @Test func `bytes that are no text at all are read without a fault`() {
    var random = Seeded(state: 0xB17E5)
    for _ in 0..<5_000 {
      var bytes = Self.documents[random.below(Self.documents.count)]
      for _ in 0..<4 where !bytes.isEmpty {
        bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
      }
      let whole = try? skipped(bytes)
      let tree = try? pulled(bytes)
      #expect((whole == nil) == (tree == nil))
    }
  }

  private func mutate(_ bytes: inout [UInt8], _ random: inout Seeded) {
    let at = random.below(bytes.count + 1)
    let upTo = min(bytes.count, at + 1 + random.below(6))
    switch random.below(5) {
    case 0: bytes.replaceSubrange(at..<upTo, with: [])
    case 1: bytes.insert(contentsOf: Self.tokens[random.below(Self.tokens.count)], at: at)
    case 2: bytes.replaceSubrange(at..<upTo, with: Self.tokens[random.below(Self.tokens.count)])
    case 3: bytes.insert(contentsOf: Array(bytes[at..<upTo]), at: random.below(bytes.count + 1))
    default: bytes.replaceSubrange(at..<upTo, with: [UInt8(0x20 + random.below(0x5F))])
    }
  }

  /// Whether Foundation refuses the value for a reason that the suite lists.
  private func hasNoOracle(_ tree: Tree) -> Bool {
    switch tree {
    case .string(let text): text == nil
    case .number(let value): !value.isFinite
    case .array(let elements): elements.contains(where: hasNoOracle)
    case .object(let members):
      members.contains { $0.key.contains("\u{FFFD}") || hasNoOracle($0.value) }
    case .bool, .null, .repeated: false
    }
  }

  private func isSame(_ tree: Tree, _ object: Any) -> Bool {
    switch tree {
    case .null: object is NSNull
    case .repeated: true
    case .bool(let value): (object as? NSNumber)?.boolValue == value && isBool(object)
    case .number(let value):
      !isBool(object) && (object as? NSNumber).map { isSame(value, $0.doubleValue) } ?? false
    case .string(let text): object as? String == text && text != nil
    case .array(let elements):
      (object as? [Any]).map { $0.count == elements.count && zip(elements, $0).allSatisfy(isSame) } ?? false
    case .object(let members):
      (object as? [String: Any]).map { object in
        object.count == members.count
          && members.allSatisfy { key, value in
            object[key].map { isSame(value, $0) } ?? false
          }
      } ?? false
    }
  }

  private func isSame(_ value: Double, _ other: Double) -> Bool {
    abs(value - other) <= 1e-14 * abs(value) + .leastNormalMagnitude
  }

  /// Whether a bracket stands there that closes a container behind a comma.
  private func isBehindComma(_ bytes: [UInt8], _ offset: Int) -> Bool {
    let before = bytes[..<offset].last { !Array(" \t\r\n".utf8).contains($0) }
    return offset < bytes.count && Array("]}".utf8).contains(bytes[offset]) && before == UInt8(ascii: ",")
  }

  private func isBool(_ object: Any) -> Bool {
    (object as? NSNumber).map { String(cString: $0.objCType) == "c" } ?? false
  }
}

/// SplitMix64: the same numbers for the same seed, everywhere.
struct Seeded {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
