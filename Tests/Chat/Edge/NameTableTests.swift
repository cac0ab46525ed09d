import Testing

@testable import Chat

@Suite struct NameTableTests {
  /// Held against a dictionary under random comings and goings: probing and shifting back lose nothing.
  @Test func namesAreFoundAsLongAsTheyAreReferredTo() {
    var random = Generator(seed: 7)
    var table = NameTable(seed: 3)
    var expected: [String: (number: Int32, references: Int)] = [:]
    for _ in 0..<20_000 {
      let name = "user\(Int.random(in: 0..<300, using: &random))"
      Array(name.utf8).withUnsafeBytes { bytes in
        if random.chance(55) {
          let number = table.retain(bytes)
          if let known = expected[name] { #expect(known.number == number) }
          expected[name] = (number, (expected[name]?.references ?? 0) + 1)
        } else if let known = expected[name] {
          let wasLast = table.release(known.number)
          #expect(wasLast == (known.references == 1))
          expected[name] = wasLast ? nil : (known.number, known.references - 1)
        }
        #expect(table.find(bytes) == expected[name]?.number)
      }
      #expect(table.count == expected.count)
    }
    for (name, entry) in expected {
      #expect(String(decoding: table.bytes(entry.number), as: UTF8.self) == name)
    }
  }
}
