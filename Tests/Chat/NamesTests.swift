import Chat
import Testing

@Suite struct NamesTests {
  private func kind(_ text: String) -> String {
    Array(text.utf8).withUnsafeBytes { bytes in
      switch ChatName(bytes) {
      case .direct(let first, let second)?:
        "dm \(String(decoding: first, as: UTF8.self)) \(String(decoding: second, as: UTF8.self))"
      case .room(let name)?: "room \(String(decoding: name, as: UTF8.self))"
      case nil: "none"
      }
    }
  }

  @Test func aDirectChatNamesItsUsersInByteOrder() {
    #expect(kind("dm:alice:bob") == "dm alice bob")
    #expect(kind("dm:alice:alice") == "dm alice alice")
    #expect(kind("dm:Bob:alice") == "dm Bob alice")
    #expect(kind("dm:bob:alice") == "none")
  }

  @Test func aRoomHasAName() {
    #expect(kind("room:lobby") == "room lobby")
    #expect(kind("room:") == "none")
    #expect(kind("room:a b") == "none")
    #expect(kind("room:" + String(repeating: "x", count: 64)) != "none")
    #expect(kind("room:" + String(repeating: "x", count: 65)) == "none")
  }

  @Test(arguments: [
    "", "dm", "dm:", "dm:a", "dm:a:", "dm::a", "dm:a:b:c", "Room:x", "lobby", "dm:a/:b", "dm:ä:b",
  ])
  func whatIsNoChatIsRefused(_ text: String) { #expect(kind(text) == "none") }

  @Test func theAlphabetIsTheProtocols() {
    for byte in UInt8.min...UInt8.max {
      let expected = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-@".utf8.contains(byte)
      #expect([byte].withUnsafeBytes { Name.isValid($0) } == expected, "byte \(byte)")
    }
  }
}
