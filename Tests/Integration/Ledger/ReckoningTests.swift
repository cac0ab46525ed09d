import Support
import Testing

/// The reckoning finds what it is there to find.
@Suite struct ReckoningTests {
  private static let chat = "dm:alice:bob"
  private static let sound = (1...3).map { message(seq: $0, prev: $0 - 1, id: "phone-\($0)") }

  private static func message(seq: Int, prev: Int, id: String, body: String = "1") -> String {
    #"{"type":"message","chat":"\#(chat)","seq":\#(seq),"prev":\#(prev),"from":"alice","#
      + #""id":"\#(id)","time":5,"body":\#(body)}"#
  }

  /// Alice's phone sent three and was acknowledged; bob's was handed them.
  private func differences(
    stored: [String] = sound, history: [String]? = nil, handed: [String] = sound,
    acks: [String: Set<Int>] = ["phone-1": [1], "phone-2": [2], "phone-3": [3]]
  ) throws -> [String] {
    var alice = LedgerAccount(user: "alice", device: "phone")
    alice.sent = (1...3).map { .init(id: "phone-\($0)", to: "user:bob", chat: Self.chat, body: "1") }
    alice.acknowledged = acks
    var bob = LedgerAccount(user: "bob", device: "phone")
    bob.handed = [Self.chat: try handed.map { try ChatFrame(text: $0) }]
    let rows = try (history ?? stored).map { try JSONValue(parsing: $0) }
    return Reckoning(
      accounts: [alice, bob], events: [Self.chat: try stored.map { try ChatFrame(text: $0) }],
      histories: [Self.chat: rows]
    ).differences
  }

  @Test func soundLedgerHasNoDifferences() throws { #expect(try differences() == []) }

  @Test func lostMessageIsFound() throws {
    let rest = [Self.sound[0], Self.message(seq: 3, prev: 1, id: "phone-3")]
    #expect(try differences(stored: rest, handed: rest).contains { $0.contains("stored 0 times") })
  }

  @Test func doubledMessageIsFound() throws {
    let doubled = Self.sound + [Self.message(seq: 4, prev: 3, id: "phone-3")]
    #expect(try differences(stored: doubled, handed: doubled).contains { $0.contains("stored 2 times") })
  }

  @Test func ackWithAnotherSeqIsFound() throws {
    let acks: [String: Set<Int>] = ["phone-1": [1], "phone-2": [2], "phone-3": [3, 4]]
    #expect(try differences(acks: acks).contains { $0.contains("phone-3 has seq 3") })
  }

  @Test func messageThatADeviceWasNeverHandedIsFound() throws {
    #expect(try differences(handed: [Self.sound[0], Self.sound[2]]).contains { $0.contains("never handed") })
  }

  @Test func messageThatADeviceWasHandedTwiceOrOtherwiseIsFound() throws {
    #expect(try differences(handed: Self.sound + [Self.sound[2]]).contains { $0.contains("twice") })
    let changed = Array(Self.sound[..<2]) + [Self.message(seq: 3, prev: 2, id: "phone-3", body: "2")]
    #expect(try differences(handed: changed).contains { $0.contains("stored is") })
  }

  @Test func messageThatHistoryLacksIsFound() throws {
    #expect(try differences(history: Array(Self.sound[1...])).contains { $0.contains("only in the replay") })
  }

  @Test func brokenChainAndOrderAreFound() throws {
    let broken = Array(Self.sound[..<2]) + [Self.message(seq: 3, prev: 1, id: "phone-3")]
    #expect(try differences(stored: broken, handed: broken).contains { $0.contains("the prev of 3 is 1") })
    #expect(try differences(stored: Self.sound.reversed()).contains { $0.contains("comes after") })
  }

  @Test func eventHandedToANonMemberIsFound() throws {
    func member(_ seq: Int, _ role: String) -> String {
      #"{"type":"member","chat":"room:r","seq":\#(seq),"prev":\#(seq - 1),"user":"eve","role":\#(role),"by":"eve"}"#
    }
    let said = #"{"type":"message","chat":"room:r","seq":3,"prev":2,"from":"bob","id":"x","time":5,"body":1}"#
    let stored = try [member(1, "\"member\""), member(2, "null"), said].map { try ChatFrame(text: $0) }
    var eve = LedgerAccount(user: "eve", device: "phone")
    for (handed, expected) in [(stored.prefix(2), 0), (stored.prefix(3), 1)] {
      eve.handed = ["room:r": Array(handed)]
      let rows = [try JSONValue(parsing: said)]
      let reckoning = Reckoning(accounts: [eve], events: ["room:r": stored], histories: ["room:r": rows])
      #expect(reckoning.differences.filter { $0.contains("non-member") }.count == expected)
    }
  }
}
