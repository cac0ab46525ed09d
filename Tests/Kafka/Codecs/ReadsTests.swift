import Chat
import JSON
import Kafka
import Testing

/// Read positions as they are written, and those that wait for it.
@Suite struct ReadsTests {
  static func mark(_ user: String, _ chat: String, _ seq: Seq) -> ReadMark {
    ReadMark(chat: Array(chat.utf8), user: Array(user.utf8), seq: seq, origin: SessionID(raw: 9))
  }

  private func decoded(_ key: String, _ value: String?) -> ReadMark? {
    Array(key.utf8).withUnsafeBytes { key in
      guard let value else { return ReadsCodec.decode(key: key, value: nil) }
      return Array(value.utf8).withUnsafeBytes { ReadsCodec.decode(key: key, value: $0) }
    }
  }

  @Test func aPositionComesOutAsItWentIn() {
    for (user, chat) in [("bob", "dm:alice:bob"), ("b", "room:r")] {
      let mark = Self.mark(user, chat, SeqSpace.base(generation: 3) + 7)
      var key = ByteBuffer()
      var value = ByteBuffer()
      ReadsCodec.encodeKey(mark, into: &key)
      ReadsCodec.encodeValue(mark, into: &value)
      #expect(Array(key.bytes) == Array("\(user)\n\(chat)".utf8))
      #expect(Array(value.bytes) == Array("{\"seq\":\(mark.seq)}".utf8))
      let read = ReadsCodec.decode(key: key.bytes, value: value.bytes)
      #expect(read?.user == mark.user && read?.chat == mark.chat && read?.seq == mark.seq)
      // It is of no session that is there now.
      #expect(read?.origin == SessionID(raw: 0))
    }
  }

  @Test func whatIsNoPositionIsPassedBy() {
    #expect(decoded("bob\nroom:r", "{\"later\":[1],\"seq\":5}")?.seq == 5)
    for (key, value) in [
      ("bob\nroom:r", nil), ("bob\nroom:r", ""), ("bob\nroom:r", "{}"), ("bob\nroom:r", "{\"seq\":-1}"),
      ("bob\nroom:r", "{\"seq\":\"5\"}"), ("bob\nroom:r", "{\"seq\":5"), ("bob\nroom:r", "\u{1}"),
      ("bob", "{\"seq\":5}"), ("room:r\nbob", "{\"seq\":5}"), ("\nroom:r", "{\"seq\":5}"),
      ("bob\n", "{\"seq\":5}"), ("bob\ndm:b:a", "{\"seq\":5}"), ("", "{\"seq\":5}"),
    ] as [(String, String?)] {
      #expect(decoded(key, value) == nil, "\(key) \(value ?? "none")")
    }
  }

  @Test func theHighestPositionOfAKeyIsWrittenOnceInTheOrderOfTheFirst() {
    var table = ReadsTable(partitions: 2)
    let marks: [(String, String, Seq, Int32)] = [
      ("b", "room:r", 5, 0), ("a", "room:r", 7, 0), ("b", "room:r", 9, 0), ("b", "room:r", 3, 0),
      ("b", "room:q", 4, 1),
    ]
    let taken = marks.map { table.put(Self.mark($0, $1, $2), partition: $3) }
    #expect(taken.allSatisfy { $0 } && table.count == 3)
    let first = table.take(partition: 0)
    #expect(first.map(\.user) == [Array("b".utf8), Array("a".utf8)] && first.map(\.seq) == [9, 7])
    let nothing = table.take(partition: 0)
    #expect(nothing.isEmpty && table.count == 1)
    let other = table.take(partition: 1)
    #expect(other.map(\.seq) == [4] && table.count == 0)
    // What was written is not remembered.
    let isTaken = table.put(Self.mark("b", "room:r", 2), partition: 0)
    let again = table.take(partition: 0)
    #expect(isTaken && again.map(\.seq) == [2])
  }

  @Test func aFullTableTakesOnlyWhatItHas() {
    var table = ReadsTable(partitions: 1)
    let filled = (0..<ReadsTable.positionsMax).map {
      table.put(Self.mark("u\($0)", "room:r", 5), partition: 0)
    }
    let other = table.put(Self.mark("other", "room:r", 6), partition: 0)
    let known = table.put(Self.mark("u7", "room:r", 6), partition: 0)
    #expect(filled.allSatisfy { $0 } && !other && known)
    let all = table.take(partition: 0)
    #expect(all.count == ReadsTable.positionsMax && all[7].seq == 6)
    let later = table.put(Self.mark("other", "room:r", 6), partition: 0)
    #expect(later)
  }
}
