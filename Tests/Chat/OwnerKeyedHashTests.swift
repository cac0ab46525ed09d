import Chat
import Testing

@Suite struct OwnerKeyedHashTests {
  private let hash = KeyedHash(seedLow: 0x0706_0504_0302_0100, seedHigh: 0x0F0E_0D0C_0B0A_0908)

  private func named(_ texts: [String]) -> KeyedHash.Value {
    let bytes = texts.map { Array($0.utf8) }
    return bytes[0].withUnsafeBytes { chat in
      bytes[1].withUnsafeBytes { from in
        bytes[2].withUnsafeBytes { device in
          bytes[3].withUnsafeBytes { id in hash(chat: chat, from: from, device: device, id: id) }
        }
      }
    }
  }

  private func one(_ text: String, _ hash: KeyedHash) -> KeyedHash.Value {
    Array(text.utf8).withUnsafeBytes { hash($0) }
  }

  @Test func namesThatRunIntoTheSameBytesDiffer() {
    let all = [
      ["ab", "c", "d", "e"], ["a", "bc", "d", "e"], ["a", "b", "cd", "e"], ["abc", "d", "", "e"],
    ].map(named)
    for (index, value) in all.enumerated() { #expect(!all[(index + 1)...].contains(value)) }
    #expect(named(["ab", "c", "d", "e"]) == all[0])
  }

  @Test func zerosAtTheEndOfATextCount() {
    #expect(one("a", hash) != one("a\0", hash))
    #expect(one("", hash) != one("\0", hash))
  }

  @Test func theSeedChangesEverything() {
    let other = KeyedHash(seedLow: 0x0706_0504_0302_0100, seedHigh: 0x0F0E_0D0C_0B0A_0909)
    #expect(one("room:lobby", hash) != one("room:lobby", other))
  }

  @Test func everyBitOfATextReachesHalfOfTheHash() {
    let text = Array("dm:alice:bob-and-some-more".utf8)
    let whole = text.withUnsafeBytes { hash($0) }
    for bit in 0..<(text.count * 8) {
      var changed = text
      changed[bit / 8] ^= 1 << UInt8(bit % 8)
      let value = changed.withUnsafeBytes { hash($0) }
      let distance = (value.low ^ whole.low).nonzeroBitCount + (value.high ^ whole.high).nonzeroBitCount
      #expect((32...96).contains(distance))
    }
  }

  @Test func theHashStaysWhatStoresHold() {
    // Rows of a store carry the hash: another one would forget what they remember. The value is that of
    // a second implementation, written from the paper.
    #expect(
      one("room:lobby", hash)
        == KeyedHash.Value(low: 0x7220_e885_76ee_b1d0, high: 0x6184_ae54_021a_6a71))
  }
}
