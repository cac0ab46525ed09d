import JSON
import Testing

@Suite struct JSONIntegerTests {
  private static let zeros = String(repeating: "0", count: 40)

  private static let whole: [(String, Int64)] = [
    ("0", 0), ("-0", 0), ("7", 7), ("-7", -7), ("1760000000000", 1_760_000_000_000),
    ("999999999999999", 999_999_999_999_999), ("1000000000000000", 1_000_000_000_000_000),
    ("9007199254740991", 9_007_199_254_740_991), ("-9007199254740991", -9_007_199_254_740_991),
    ("1.0", 1), ("1e3", 1000), ("1E+3", 1000), ("1200e-2", 12), ("-1.5e1", -15), ("0e999999999999999999", 0),
    ("0.000e-7", 0), ("10.00", 10), ("0.00012e5", 12), ("90071992547409910e-1", 9_007_199_254_740_991),
    ("1\(zeros)e-40", 1), ("0.\(zeros)1e41", 1),
  ]

  @Test(arguments: whole) func `a whole number is read however it is written`(text: String, expected: Int64)
    throws
  {
    for padded in [text, text + " ", text + "\n"] {
      try reading(padded) { reader in
        #expect(try reader.integer() == expected)
        try reader.end()
      }
    }
    try reading("[\(text),\(text)]") { reader in
      try reader.beginArray()
      #expect(try reader.nextElement())
      #expect(try reader.integer() == expected)
      #expect(try reader.nextElement())
      #expect(try reader.integer() == expected)
      #expect(try !reader.nextElement())
    }
  }

  @Test(arguments: [
    "0.5", "1.5", "1e-1", "-0.1e0", "12.34e1", "9007199254740992", "-9007199254740992", "9223372036854775808",
    "18446744073709551617", "1e16", "1e400", "1e-400", "1e99999999999999999999", "1e-99999999999999999999",
    "123456789012345678901234567890", "0.1234567890123456789012345678901234567890e40",
  ]) func `a fraction or a number beyond 2^53 is outOfRange and can be skipped`(text: String) throws {
    try reading("[\(text)]") { reader in
      try reader.beginArray()
      #expect(try reader.nextElement())
      #expect(throws: JSONError.outOfRange(offset: 1)) { try reader.integer() }
      #expect(String(decoding: try reader.value(), as: UTF8.self) == text)
      #expect(try !reader.nextElement())
      try reader.end()
    }
  }

  @Test func `an exponent as long as a frame takes no time`() throws {
    let zeros = String(repeating: "0", count: 200_000)
    try reading("1\(zeros)e-200000") { reader in
      let value = try reader.integer()
      #expect(value == 1)
    }
    try reading("1e\(zeros)2") { reader in
      let value = try reader.integer()
      #expect(value == 100)
    }
    reading("1e1\(zeros)") { reader in
      #expect(throws: JSONError.outOfRange(offset: 0)) { try reader.integer() }
    }
  }
}
