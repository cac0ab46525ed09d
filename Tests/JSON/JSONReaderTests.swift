import JSON
import Testing

@Suite struct JSONReaderTests {
  @Test func `a frame is read key by key and its body handed out byte for byte`() throws {
    let frame =
      #" {"type":"send", "id" : "c1","to":"user:bob","body": {"a" : [1, {"b":null}]} ,"n":7}"# + "\n"
    try reading(frame) { reader in
      var seen: [String] = []
      try reader.beginObject()
      while let key = try reader.nextKey() {
        if key.equals("body") {
          seen.append(String(decoding: try reader.value(), as: UTF8.self))
        } else if key.equals("n") {
          seen.append(String(try reader.integer()))
        } else {
          seen.append(try #require(try reader.string().text))
        }
      }
      try reader.end()
      #expect(seen == ["send", "c1", "user:bob", #"{"a" : [1, {"b":null}]}"#, "7"])
    }
  }

  @Test(arguments: [
    ("{}", Tree.object([:])), ("[]", .array([])), (" [ ] ", .array([])), (" { } ", .object([:])),
    (#""""#, .string("")), ("null", .null), ("\t\r\n true\n", .bool(true)), ("false", .bool(false)),
    ("[1,[2,[]],3]", .array([.number(1), .array([.number(2), .array([])]), .number(3)])),
    (#"{"a":{"b":{}},"c":[{}]}"#, .object(["a": .object(["b": .object([:])]), "c": .array([.object([:])])])),
    ("-0", .number(0)), ("0.5", .number(0.5)), ("[-1.5e-3]", .array([.number(-0.0015)])),
  ]) func `a document is the same pulled and skipped`(text: String, expected: Tree) throws {
    #expect(try pulled(Array(text.utf8)) == expected)
    let outer = text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed()
    #expect(try skipped(Array(text.utf8)) == String(outer))
  }

  @Test(arguments: [
    "", " ", "{", "[", "}", "]", #"{"a"}"#, #"{"a":}"#, #"{"a":1,}"#, #"{"a":1 "b":2}"#, #"{,"a":1}"#,
    "{a:1}", "{1:1}", "[1,]", "[,1]", "[1 2]", "[1,,2]", "[1}", #"{"a":1]"#, "[]]", "{}{}", "1 2", "[1],",
    "tru", "truth", "True", "nul", "fals", "NaN", "Infinity", "-Infinity", "undefined", "'a'", #""a"#, #"""#,
    #""\"#, #""\""#, #""\x""#, #""\u12""#, #""\u12G4""#, #""\u"#, "\"a\u{0}b\"", "\"a\nb\"",
    "\"12345678\u{1F}\"",
    "01", "-01", "00", "1.", "-", "+1", ".5", "1.e3", "1e", "1e+", "1e-", "0x10", "1_000", "-.5", "--1",
    "[01]", "/* c */ 1", "1 // c", "\u{A0}1", "\u{FEFF}1",
  ]) func `broken text is refused as syntax, pulled and skipped`(text: String) {
    func isSyntax(_ error: any Error) -> Bool {
      if case JSONError.syntax(let offset) = error { return (0...text.utf8.count).contains(offset) }
      return false
    }
    #expect { try pulled(Array(text.utf8)) } throws: { isSyntax($0) }
    #expect { try skipped(Array(text.utf8)) } throws: { isSyntax($0) }
  }

  @Test func `every beginning of a document is refused`() throws {
    let text = #"{"a":[1.5e3,"x\u00e9\n",true,{"b":null}],"c":-12}"#
    let bytes = Array(text.utf8)
    _ = try pulled(bytes)
    for length in 0..<bytes.count {
      #expect(throws: JSONError.self) { try pulled(Array(bytes[..<length])) }
      #expect(throws: JSONError.self) { try skipped(Array(bytes[..<length])) }
    }
  }

  @Test func `an error tells the byte where it stands`() {
    #expect(throws: JSONError.syntax(offset: 6)) { try pulled(Array("[true x]".utf8)) }
    #expect(throws: JSONError.syntax(offset: 4)) { try skipped(Array(#"{"a"x1}"#.utf8)) }
  }

  @Test func `kind tells each value and leaves it unread`() throws {
    let values: [(String, JSONKind)] = [
      ("{}", .object), ("[]", .array), (#""x""#, .string), ("-1", .number), ("0", .number), ("true", .bool),
      ("false", .bool), ("null", .null),
    ]
    for (text, kind) in values {
      try reading(text) { reader in
        #expect(try reader.kind() == kind)
        #expect(try reader.kind() == kind)
        _ = try reader.value()
        try reader.end()
      }
    }
    reading("x") { reader in
      #expect(throws: JSONError.syntax(offset: 0)) { try reader.kind() }
    }
  }

  @Test func `a value of another kind is wrongType and can still be skipped`() throws {
    let text = #"[ {"a":1}, [2], "s", 3, true, null ]"#
    try reading(text) { reader in
      try reader.beginArray()
      for kind in [JSONKind.object, .array, .string, .number, .bool, .null] {
        #expect(try reader.nextElement())
        func refused<T>(_ wrong: JSONKind, _ read: (inout JSONReader) throws -> T) {
          guard wrong != kind else { return }
          #expect { try read(&reader) } throws: {
            if case JSONError.wrongType = $0 { true } else { false }
          }
        }
        refused(.object) { try $0.beginObject() }
        refused(.array) { try $0.beginArray() }
        refused(.string) { try $0.string() }
        refused(.number) { try $0.integer() }
        refused(.bool) { try $0.bool() }
        refused(.null) { try $0.null() }
        _ = try reader.value()
      }
      #expect(try !reader.nextElement())
      try reader.end()
    }
  }

  @Test func `broken text where another kind was asked for is syntax`() {
    reading("[tru]") { reader in
      #expect(throws: Never.self) { try reader.beginArray() }
      #expect(throws: Never.self) { try reader.nextElement() }
      #expect(throws: JSONError.syntax(offset: 1)) { try reader.string() }
    }
  }

  @Test func `nesting is bounded, pulled and skipped, and counted from the outermost value`() throws {
    func nested(_ depth: Int, _ open: String, _ close: String) -> [UInt8] {
      Array((String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)).utf8)
    }
    for (open, close) in [("[", "]"), (#"{"k":"#, "}"), (#"[{"k":"#, "}]")] {
      let deepest = 32 / open.count(where: { $0 == "[" || $0 == "{" })
      _ = try pulled(nested(deepest, open, close))
      _ = try skipped(nested(deepest, open, close))
      for read in [{ (bytes: [UInt8]) in _ = try pulled(bytes) }, { _ = try skipped($0) }] {
        #expect {
          try read(nested(deepest + 1, open, close))
        } throws: {
          if case JSONError.tooDeep = $0 { true } else { false }
        }
      }
    }
    _ = try skipped(nested(JSONReader.deepest, "[", "]"), maxDepth: JSONReader.deepest)
    #expect(throws: JSONError.tooDeep(offset: 63)) {
      try skipped(nested(1_000_000, "[", "]"), maxDepth: JSONReader.deepest)
    }
    try reading("[[[1]]]", maxDepth: 2) { reader in
      try reader.beginArray()
      _ = try reader.nextElement()
      #expect(throws: JSONError.tooDeep(offset: 2)) { try reader.value() }
    }
  }

  @Test func `the kinds of closed containers are forgotten and those of open ones kept`() throws {
    let text = #"[{"a":[{"b":{}},[]]},[[{}],{"c":[]}]]"#
    try reading(text) { reader in
      #expect(try tree(&reader) == pulled(Array(text.utf8)))
      try reader.end()
    }
    #expect(throws: JSONError.self) { try pulled(Array("[{\"a\":[}]}]".utf8)) }
    #expect(throws: JSONError.self) { try skipped(Array("[{\"a\":[1}]]".utf8)) }
  }
}
