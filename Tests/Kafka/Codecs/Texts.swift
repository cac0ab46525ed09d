import Chat
import JSON

/// A record of the log with texts of its own, to be compared.
struct OwnedAppend: Equatable {
  var partition: Int32 = 0
  var kind = RecordKind.message
  var isRepeat = false
  var origin = Origin(epoch: 0xABC, session: SessionID(raw: 0xDEF), request: 7)
  var time: WallTime = 1_700_000_000_000
  var chat = "dm:alice:bob"
  var from = "alice"
  var device = "phone"
  var id = "m1"
  var body = "\"hello\""

  init() {}

  init(_ append: borrowing Append) {
    partition = append.partition
    kind = append.kind
    isRepeat = append.isRepeat
    origin = append.origin
    time = append.time
    chat = String(decoding: append.chat, as: UTF8.self)
    from = String(decoding: append.from, as: UTF8.self)
    device = String(decoding: append.device, as: UTF8.self)
    id = String(decoding: append.id, as: UTF8.self)
    body = String(decoding: append.body, as: UTF8.self)
  }

  /// The record as views, for the call.
  func withAppend<T>(_ body: (borrowing Append) throws -> T) rethrows -> T {
    try withBytes([chat, from, device, id, self.body]) { texts in
      try body(
        Append(
          partition: partition, kind: kind, isRepeat: isRepeat, origin: origin, time: time, chat: texts[0],
          from: texts[1], device: texts[2], id: texts[3], body: texts[4]))
    }
  }
}

/// Texts as bytes, for the call.
func withBytes<T>(_ texts: [String], _ body: ([UnsafeRawBufferPointer]) throws -> T) rethrows -> T {
  var all = ByteBuffer()
  var ranges: [Range<Int>] = []
  for text in texts {
    let start = all.count
    all.append(text)
    ranges.append(start..<all.count)
  }
  return try body(ranges.map { all[$0] })
}
