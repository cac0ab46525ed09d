import JSON
import Testing

@Suite struct JSONTextTests {
  /// `raw` read as the content of a JSON string.
  private func withText<Result>(_ raw: String, _ body: (JSONText) throws -> Result) throws -> Result {
    try reading("\"\(raw)\"") { reader in
      let result = try body(try reader.string())
      try reader.end()
      return result
    }
  }

  @Test func `text without escapes is handed out as it stands`() throws {
    for length in 0..<40 {
      let raw = String("0123456789äöü🙂abcdefghijklmnopqrstuvwxyz".prefix(length))
      try withText(raw) { text in
        #expect(text.isPlain)
        #expect(String(decoding: text.raw, as: UTF8.self) == raw)
        #expect(text.text == raw)
      }
    }
  }

  @Test func `a quote, a backslash and a control character are found at every place`() throws {
    for before in 0..<20 {
      let padding = String(repeating: "é", count: before / 2) + String(repeating: "x", count: before % 2)
      for after in 0..<10 {
        let rest = String(repeating: "y", count: after)
        try withText(padding + #"\""# + rest) { #expect($0.text == padding + "\"" + rest) }
        try withText(padding + rest) { #expect($0.text == padding + rest) }
        for control in ["\u{0}", "\u{1}", "\n", "\u{1F}"] {
          #expect(throws: JSONError.syntax(offset: 1 + padding.utf8.count)) {
            try withText(padding + control + rest) { _ in }
          }
        }
        try withText(padding + "\u{20}\u{7F}\u{80}" + rest) { #expect($0.isPlain) }
      }
    }
  }

  @Test(arguments: [
    (#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{C}\n\r\t"), (#"\u0041\u00e9\u20AC"#, "Aé€"), (#"\u0000"#, "\u{0}"),
    (#"\uD83D\uDE00"#, "😀"), (#"a\ud83d\ude00b"#, "a😀b"), (#"\uDBFF\uDFFF"#, "\u{10FFFF}"),
    (#"\uD800\uDC00"#, "\u{10000}"), (#"\uFFFF\uE000\uD7FF"#, "\u{FFFF}\u{E000}\u{D7FF}"),
  ]) func `escapes are decoded`(raw: String, expected: String) throws {
    try withText(raw) { text in
      #expect(!text.isPlain)
      #expect(text.text == expected)
    }
  }

  @Test(arguments: [
    #"\uD83D"#, #"\uDE00"#, #"\uDE00\uD83D"#, #"\uD83D\uD83D"#, #"\uD83Dx"#, #"\uD83D\n"#, #"ab\uD83D\u0041"#,
    #"\uD83D\u"# + "0041",
  ]) func `half of a surrogate pair is well-formed but has no text`(raw: String) throws {
    try withText(raw) { text in
      #expect(text.text == nil)
      #expect(!text.equals("x"))
    }
  }

  @Test func `a text is compared with its escapes decoded`() throws {
    try withText("type") { text in
      #expect(text.equals("type"))
      #expect(!text.equals("typ") && !text.equals("types") && !text.equals("tYpe") && !text.equals(""))
    }
    try withText(#"t\u0079pe"#) { text in
      #expect(text.equals("type"))
      #expect(!text.equals("typ") && !text.equals("types") && !text.equals("txpe") && !text.equals(""))
    }
    try withText(#"\u20ac"#) { #expect($0.equals("€") && !$0.equals("\u{20AD}") && !$0.equals("\u{E2}")) }
    try withText("") { #expect($0.equals("") && !$0.equals("a")) }
    let long: StaticString = "a-key-of-thirty-two-bytes-length"
    try withText("a-key-of-thirty-two-bytes-length") { #expect($0.equals(long)) }
    try withText("a-key-of-thirty-two-bytes-lengtH") { #expect(!$0.equals(long)) }
    try withText("a-key-Of-thirty-two-bytes-length") { #expect(!$0.equals(long)) }
  }

  @Test func `decoding into too little room gives nothing`() throws {
    try withText(#"ab\u20ac"#) { text in
      let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 5, alignment: 1)
      defer { room.deallocate() }
      #expect(text.decoded(into: room) == 5)
      for size in 0..<5 {
        #expect(text.decoded(into: UnsafeMutableRawBufferPointer(rebasing: room[..<size])) == nil)
      }
    }
  }
}
