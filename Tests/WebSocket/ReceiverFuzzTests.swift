import Testing
import WebSocket

/// What comes out must not depend on how the bytes were cut, whatever they are.
@Suite struct ReceiverFuzzTests {
  @Test func `random streams give the same events in one chunk and in many`() {
    var random = Seeded(state: 0xF0_2269)
    var events = 0
    var violations = 0
    for round in 0..<3_000 {
      var bytes: [UInt8] = []
      for _ in 0...random.below(6) { bytes += randomFrame(&random) }
      if random.below(3) == 0 { bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8)) }
      let deflate = random.below(2) == 0
      let whole = received(bytes, most: 3000, deflate: deflate)
      for _ in 0..<3 {
        let cuts = (0..<random.below(12)).map { _ in random.below(bytes.count + 1) }.sorted()
        let cut = received(bytes, cuts: cuts, most: 3000, deflate: deflate)
        if cut != whole { Issue.record("round \(round), cuts \(cuts): \(cut), whole: \(whole)") }
      }
      events += whole.count
      if case .violation = whole.last { violations += 1 }
    }
    #expect(events > 1000 && violations > 100)
  }

  private func randomFrame(_ random: inout Seeded) -> [UInt8] {
    let opcode: UInt8 = [0, 0, 1, 1, 1, 2, 2, 8, 9, 10, 3][random.below(11)]
    let lengths = [0, 1, 2, 5, 60, 125, 126, 200, 1500, 3001]
    let length = opcode >= 8 ? random.below(126) : lengths[random.below(lengths.count)]
    var payload = random.bytes(length)
    if random.below(4) > 0 {
      // Mostly text, now and then a code in front that a close frame can carry.
      payload = payload.map { $0 & 0x7F }
      if length >= 2, opcode == 8 { payload.replaceSubrange(0..<2, with: [0x03, 0xE8]) }
      if length >= 3, random.below(3) == 0 {
        payload.replaceSubrange((length - 3)..., with: [0xE2, 0x82, 0xAC])
      }
    }
    let rsv: UInt8 = [0, 0, 0, 4, 1][random.below(5)]
    return frame(
      opcode, payload, fin: random.below(3) > 0, rsv: rsv, key: random.below(20) == 0 ? nil : random.bytes(4))
  }
}
