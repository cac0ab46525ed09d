import Chat
import Support

/// Requests as an owner makes them, from plain texts.
struct TestRecord {
  var seq: Seq
  var kind: RecordKind = .message
  var chat: String
  var from: String
  var isRepeat = false
  var forced: OutcomeRow?
  /// Of `create`.
  var isPublic = true
}

extension ApplyRequest {
  /// - Parameter upto: the last record's seq if nil.
  init(
    view: ViewID, from: Seq, upto: Seq? = nil, partition: Int32 = 0, _ records: [TestRecord],
    isReplay: Bool = false, endsRebuild: Bool = false
  ) {
    self.init(tag: 1, partition: partition, view: view, from: from, upto: upto ?? records.last?.seq ?? from)
    hash = UInt64(truncatingIfNeeded: self.upto &* 0x9E37_79B9)
    appended = 1_760_000_000_000 + self.upto % 1_000_000
    self.isReplay = isReplay
    self.endsRebuild = endsRebuild
    for record in records { add(record) }
  }

  private mutating func add(_ record: TestRecord) {
    func take(_ text: String) -> Range<Int> {
      let start = bytes.count
      bytes += Array(text.utf8)
      return start..<bytes.count
    }
    let room = record.kind == .create ? "{\"name\":\"\(record.chat)\",\"public\":\(record.isPublic)}" : ""
    records.append(
      Record(
        seq: record.seq, kind: record.kind, isRepeat: record.isRepeat, forced: record.forced,
        origin: Origin(
          epoch: .max - UInt64(record.seq % 7), session: SessionID(raw: 1 << 56 | 3), request: 9),
        time: 1_760_000_000_000 + record.seq % 1000, chat: take(record.chat), from: take(record.from),
        head: take("{\"seq\":\(record.seq),\"prev\":"), tail: take(",\"from\":\"\(record.from)\"}"),
        room: take(room)))
  }
}

extension ViewQuery {
  init(
    _ what: What, chat: String = "", user: String = "", partition: Int32 = 0, limit: Int = 100,
    bytes: Int = 65_536
  ) {
    self.init(
      tag: 1, partition: partition, what: what, chat: Array(chat.utf8), user: Array(user.utf8), limit: limit,
      bytes: bytes)
  }
}

extension ViewAnswer {
  func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
  var seqs: [Seq] { rows.map(\.seq) }
}

extension SeededGenerator {
  mutating func upTo(_ limit: Int) -> Int { Int.random(in: 0...limit, using: &self) }
}
