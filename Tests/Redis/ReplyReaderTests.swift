import Testing

@testable import Redis

@Suite struct ReplyReaderTests {
  private static let text =
    "+OK\r\n-ERR no\r\n:-42\r\n$3\r\na\r\n\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n"
    + "*3\r\n:1\r\n*2\r\n$1\r\nx\r\n*0\r\n+s\r\n:7\r\n"
  private static let replies: [RedisReply] = [
    .status("OK"), .error("ERR no"), .integer(-42), .bytes(Array("a\r\n".utf8)), .bytes([]), .null, .null,
    .array([]), .array([.integer(1), .array([.bytes(Array("x".utf8)), .array([])]), .status("s")]),
    .integer(7),
  ]

  private func read(_ reader: ReplyReader, _ bytes: ArraySlice<UInt8>) throws -> [RedisReply] {
    bytes.withUnsafeBytes { reader.feed($0) }
    var replies: [RedisReply] = []
    while let reply = try reader.next() { replies.append(reply) }
    return replies
  }

  @Test func repliesAreTheSameWhereverTheyAreCut() throws {
    let bytes = Array(Self.text.utf8)
    for place in 0...bytes.count {
      let reader = ReplyReader()
      #expect(try read(reader, bytes[..<place]) + read(reader, bytes[place...]) == Self.replies)
    }
    let reader = ReplyReader()
    var replies: [RedisReply] = []
    for byte in bytes { replies += try read(reader, [byte]) }
    #expect(replies == Self.replies)
  }

  @Test(arguments: ["HTTP/1.1 400 Bad Request\r\n", "*99999999999\r\n", ":x\r\n", "$-2\r\n", "%1\r\n"])
  func whatIsNoReplyEndsTheConnection(_ text: String) {
    let reader = ReplyReader()
    #expect(throws: RedisFailure.self) { try read(reader, Array(text.utf8)[...]) }
  }

  /// The sender's word for how many there are makes no room for them.
  @Test func anArrayThatIsNeverFilledIsNotMadeRoomFor() throws {
    let reader = ReplyReader()
    #expect(try read(reader, Array("*2147483647\r\n:1\r\n".utf8)[...]) == [])
  }
}
