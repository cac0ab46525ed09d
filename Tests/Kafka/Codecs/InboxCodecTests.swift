import Chat
import JSON
import Kafka
import Support
import Testing

/// What one server sends another comes out as it went in, and no bytes trap.
@Suite struct InboxCodecTests {
  static func batch(hints: Int, partition: Int32 = 15, directories: [DirectoryID] = [1, .max]) -> Batch {
    var run = ByteBuffer()
    for i in 0..<hints {
      withBytes(["room:a", "bob", "{\"type\":\"message\",\"n\":\(i)}"]) { texts in
        HintCodec.encode(
          Hint(
            kind: .message, seq: 100 + Int64(i), prev: Int64(i), time: 5,
            origin: Origin(epoch: 1, session: SessionID(raw: 2), request: 3), role: .none, chat: texts[0],
            user: texts[1], json: texts[2]), into: &run)
      }
    }
    return Batch(
      partition: partition, view: .max - 1, directories: directories, since: 99, upto: 99 + Int64(hints),
      hints: run.bytes)
  }

  private func items(_ bytes: UnsafeRawBufferPointer) -> (items: [InboxItem], isBroken: Bool) {
    var reader = InboxReader(bytes, partitions: 16)
    var items: [InboxItem] = []
    while let item = reader.next() { items.append(item) }
    return (items, reader.isBroken)
  }

  private func sampleRecord(into record: inout ByteBuffer) {
    InboxCodec.begin(into: &record)
    InboxCodec.append(Self.batch(hints: 3), to: &record)
    InboxCodec.append(
      Verdict(
        origin: Origin(epoch: 7, session: SessionID(raw: 8), request: 9), outcome: .duplicate, first: .exists,
        seq: 10,
        time: 11), to: &record)
    InboxCodec.append(Self.batch(hints: 0, directories: []), to: &record)
    InboxCodec.append(
      Ephemeral(chat: Array("room:a".utf8), origin: SessionID(raw: 12), json: Array("{}".utf8)), from: 13,
      to: &record)
    InboxCodec.append(replaced: SessionID(raw: 14), to: &record)
  }

  @Test func itemsComeOutInOrderAndWhole() throws {
    var record = ByteBuffer()
    sampleRecord(into: &record)
    let (items, isBroken) = items(record.bytes)
    #expect(!isBroken && items.count == 5)
    guard case .batch(let batch) = items[0], case .verdict(let verdict) = items[1],
      case .batch(let empty) = items[2],
      case .ephemeral(let event, let epoch) = items[3], case .replaced(let session) = items[4]
    else {
      Issue.record("other items: \(items)")
      return
    }
    let sent = Self.batch(hints: 3)
    #expect(batch.partition == 15 && batch.view == .max - 1 && batch.directories == [1, .max])
    #expect(batch.since == 99 && batch.upto == 102 && sameBytes(batch.hints.bytes, sent.hints.bytes))
    #expect(verdict.origin == Origin(epoch: 7, session: SessionID(raw: 8), request: 9))
    #expect(
      verdict.outcome == .duplicate && verdict.first == .exists && verdict.seq == 10 && verdict.time == 11)
    #expect(empty.directories.isEmpty && empty.hints.bytes.isEmpty)
    #expect(
      event.chat == Array("room:a".utf8) && event.json == Array("{}".utf8) && event.origin.raw == 12
        && epoch == 13)
    #expect(session.raw == 14)
  }

  @Test func theSizeOfABatchIsWhatItTakes() {
    for hints in [0, 1, 20] {
      var record = ByteBuffer()
      InboxCodec.begin(into: &record)
      let before = record.count
      let batch = Self.batch(hints: hints)
      InboxCodec.append(batch, to: &record)
      #expect(record.count - before == InboxCodec.size(batch))
    }
  }

  @Test func anotherVersionIsNotRead() {
    var record = ByteBuffer()
    sampleRecord(into: &record)
    var bytes = Array(record.bytes)
    bytes[0] = InboxCodec.version + 1
    bytes.withUnsafeBytes { #expect(items($0).isBroken && items($0).items.isEmpty) }
  }

  @Test func hintsThatDoNotFitTheirBatchAreNotRead() {
    var record = ByteBuffer()
    InboxCodec.begin(into: &record)
    InboxCodec.append(Self.batch(hints: 2, directories: []), to: &record)
    let whole = Array(record.bytes)
    let firstHint = whole.count - Self.batch(hints: 2, directories: []).hints.bytes.count
    // Length, kind, role and the chat's length of the first hint.
    for (offset, value) in [(0, 1), (0, 255), (4, 99), (5, 99), (53, 255)] as [(Int, UInt8)] {
      var bytes = whole
      bytes[firstHint + offset] = value
      bytes.withUnsafeBytes { #expect(items($0).isBroken && items($0).items.isEmpty, "byte \(offset)") }
    }
  }

  @Test func aFrameThatDoesNotFitItsEventIsNotRead() {
    var record = ByteBuffer()
    InboxCodec.begin(into: &record)
    InboxCodec.append(Self.batch(hints: 1, directories: []), to: &record)
    let whole = Array(record.bytes)
    let hint = whole.count - Self.batch(hints: 1, directories: []).hints.bytes.count
    let head = hint + 56 + "room:a".utf8.count + "bob".utf8.count
    // The length of the head, its first byte, and the length that it tells.
    for (offset, value) in [(hint + 7, 0), (hint + 7, 4), (head, 0x01), (head + 1, 3)] as [(Int, UInt8)] {
      var bytes = whole
      bytes[offset] = value
      bytes.withUnsafeBytes { #expect(items($0).isBroken && items($0).items.isEmpty, "byte \(offset)") }
    }
  }

  private final class Keeper: Sendable {}

  @Test func largeBatchesStayInTheirRecordAndSmallOnesAreCopied() throws {
    var record = ByteBuffer()
    InboxCodec.begin(into: &record)
    for hints in [1, 100, 0, 200] { InboxCodec.append(Self.batch(hints: hints), to: &record) }
    var asked = 0
    weak var living: Keeper?
    var batches: [Batch] = []
    var reader = InboxReader(record.bytes, partitions: 16) {
      asked += 1
      let keeper = Keeper()
      living = keeper
      return keeper
    }
    while case .batch(let batch)? = reader.next() { batches.append(batch) }
    #expect(!reader.isBroken && asked == 1)
    try #require(batches.map(\.isLendable) == [false, true, false, true])
    let bytes = record.bytes
    for batch in batches where batch.isLendable {
      let start = try #require(batch.hints.bytes.baseAddress)
      #expect(start >= bytes.baseAddress! && start < bytes.baseAddress! + bytes.count)
    }
    // All batches of the record, and the reader, hold it together.
    reader = InboxReader(UnsafeRawBufferPointer(start: nil, count: 0), partitions: 16)
    batches.remove(at: 3)
    #expect(living != nil)
    batches.removeAll()
    #expect(living == nil)
  }

  @Test func whereTheRecordCannotStayItsBatchesAreCopied() {
    var record = ByteBuffer()
    InboxCodec.begin(into: &record)
    for _ in 0..<2 { InboxCodec.append(Self.batch(hints: 100), to: &record) }
    var asked = 0
    var reader = InboxReader(record.bytes, partitions: 16) {
      asked += 1
      return nil
    }
    var batches: [Batch] = []
    while case .batch(let batch)? = reader.next() { batches.append(batch) }
    #expect(asked == 1 && batches.map(\.isLendable) == [false, false])
    let sent = Self.batch(hints: 100)
    record.removeAll()
    for batch in batches { #expect(sameBytes(batch.hints.bytes, sent.hints.bytes)) }
  }

  @Test func aBatchOfAPartitionThatThereIsNotIsNotRead() {
    for partition in [16, -1, .min, .max] as [Int32] {
      var record = ByteBuffer()
      InboxCodec.begin(into: &record)
      InboxCodec.append(Self.batch(hints: 1, partition: partition), to: &record)
      let read = items(record.bytes)
      #expect(read.isBroken && read.items.isEmpty, "partition \(partition)")
    }
  }

  @Test func damagedRecordsNeverTrap() {
    var generator = SeededGenerator(seed: 4)
    var record = ByteBuffer()
    sampleRecord(into: &record)
    let whole = Array(record.bytes)
    var broken = 0
    for _ in 0..<20_000 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(
          in: 0...255, using: &generator)
      }
      if Bool.random(using: &generator) {
        bytes.removeLast(Int.random(in: 0...bytes.count, using: &generator))
      }
      bytes.withUnsafeBytes {
        let (items, isBroken) = items($0)
        if isBroken { broken += 1 }
        for case .batch(let batch) in items {
          var offset = 0
          while HintCodec.decode(batch.hints.bytes, at: &offset) != nil {}
          #expect(offset == batch.hints.bytes.count)
        }
      }
    }
    #expect(broken > 1_000)
  }
}
