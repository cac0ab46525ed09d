import Testing
import WebSocket

@Suite struct ReceiverTextTests {
  private static let valid = [
    "", "plain ASCII that is longer than a word", "κόσμε", "äöü€😀", "\u{0}\u{7F}\u{80}\u{7FF}\u{800}\u{FFFF}",
    "\u{10000}\u{10FFFF}\u{D7FF}\u{E000}\u{FFFD}", "1234567é", "12345678é", "123456€", "12345😀",
  ]

  /// Bytes that are not UTF-8, and how many of them show it.
  private static let invalid: [([UInt8], Int)] = [
    ([0x80], 1), ([0xBF], 1), ([0xC0, 0x80], 1), ([0xC1, 0xBF], 1), ([0xC3, 0x28], 2),
    ([0xE0, 0x9F, 0xBF], 2),
    ([0xE2, 0x28, 0xA1], 2), ([0xE2, 0x82, 0x28], 3), ([0xED, 0xA0, 0x80], 2), ([0xED, 0xBF, 0xBF], 2),
    ([0xF0, 0x8F, 0xBF, 0xBF], 2), ([0xF4, 0x90, 0x80, 0x80], 2), ([0xF5, 0x80, 0x80, 0x80], 1), ([0xFE], 1),
    ([0xFF], 1), ([0xF8, 0x88, 0x80, 0x80, 0x80], 1), ([0xF0, 0x9F, 0x98, 0x28], 4),
  ]

  @Test(arguments: valid) func `text is taken whole and cut at every byte, in chunks and in fragments`(
    string: String
  ) {
    #expect(receivedAnyhow(text(string)) == [.text(string)])
    let bytes = Array(string.utf8)
    for cut in 0...bytes.count {
      for second in cut...bytes.count {
        let fragments =
          frame(1, bytes[..<cut], fin: false) + frame(0, bytes[cut..<second], fin: false)
          + frame(0, bytes[second...])
        #expect(received(fragments) == [.text(string)])
      }
    }
  }

  @Test(arguments: invalid) func `a byte that cannot be is a violation at once`(bytes: [UInt8], shown: Int) {
    for before in ["", "1234567", "12345678", "é", "abcdefghijklmnopé"] {
      let start = Array(before.utf8)
      let payload = start + bytes + Array("more text".utf8)
      #expect(receivedAnyhow(frame(1, payload)) == [.violation(1007)])
      // Byte by byte: not a byte too late, and not one too early.
      let wire = frame(1, payload)
      let header = wire.count - payload.count
      let end = TestEnd()
      for (index, byte) in wire.enumerated() {
        end.feed([byte])
        #expect(end.seen.isEmpty == (index + 1 < header + start.count + shown), "at \(index)")
      }
      // In fragments of one byte.
      let fragmented = TestEnd()
      for (index, byte) in payload.enumerated() {
        fragmented.feed(frame(index == 0 ? 1 : 0, [byte], fin: false))
        #expect(fragmented.seen.isEmpty == (index + 1 < start.count + shown), "fragment \(index)")
      }
    }
  }

  @Test func `text that ends inside of a character is refused at its end`() {
    for cut in 1..<4 {
      let payload = Array("ab😀".utf8.prefix(2 + cut))
      #expect(receivedAnyhow(frame(1, payload)) == [.violation(1007)])
      #expect(receivedAnyhow(frame(1, payload, fin: false)) == [])
      #expect(receivedAnyhow(frame(1, payload, fin: false) + frame(0, [])) == [.violation(1007)])
    }
  }

  @Test func `a character cut by a control frame goes on behind it`() {
    let bytes = Array("😀".utf8)
    let frames = frame(1, bytes[..<2], fin: false) + frame(9, [0xFF]) + frame(0, bytes[2...])
    #expect(receivedAnyhow(frames) == [.ping([0xFF]), .text("😀")])
  }

  @Test func `binary messages may hold anything`() {
    #expect(receivedAnyhow(frame(2, [0xFF, 0xC0, 0x80])) == [.binary([0xFF, 0xC0, 0x80])])
  }

  @Test func `random bytes are judged as the standard library does`() {
    var random = Seeded(state: 0x7E)
    let pieces: [[UInt8]] =
      Self.valid.map { Array($0.utf8) } + Self.invalid.map(\.0) + [[0xE2, 0x82], [0xF0, 0x9F], [0xC3]]
    for _ in 0..<4000 {
      let payload = (0..<random.below(5)).flatMap { _ in pieces[random.below(pieces.count)] }
      let expected: [Seen] =
        String(validating: payload, as: UTF8.self).map { [.text($0)] } ?? [.violation(1007)]
      let wire = frame(1, payload)
      #expect(received(wire) == expected)
      let cuts = (0..<random.below(4)).map { _ in random.below(wire.count + 1) }.sorted()
      #expect(received(wire, cuts: cuts) == expected)
    }
  }
}
