public import Chat
public import JSON

/// Records of an inbox: what one server sends another at once, binary and internal.
///
/// ```
/// 0        1                8
/// +--------+----------------+------+------+---
/// | version| zeroes         | item | item | ...
/// +--------+----------------+------+------+---
///
/// item:       0       4     5     8
///             +-------+-----+-----+--------
///             | length| kind| zero| fields
///             +-------+-----+-----+--------
/// batch:      partition u32, directories u32, view, since, upto, directory ids, hints (HintCodec)
/// verdict:    epoch, session, request u32, outcome u8, first u8, zero u16, seq, time
/// ephemeral:  epoch, session, chat# u32, zero u32, chat, json
/// replaced:   session
/// ```
/// `length` counts the whole item. Numbers are little-endian, of eight bytes where nothing else is said.
public enum InboxCodec {
  /// Of the layout above: another one is not read.
  public static let version: UInt8 = 2
  /// Bytes of a record that a writer aims at (DESIGN section 5): brokers take 1 MiB at most unless told.
  public static let recordBytes = 900_000
  /// Hints of fewer bytes are copied out of the record: that costs no more than keeping it, and holds back
  /// nothing of what was fetched with it.
  static let keptBytesMin = 4_096

  static let head = 8
  static let itemHead = 8
  static let batchFields = 32
  static let verdictFields = 40
  static let ephemeralFields = 24
  static let replacedFields = 8
  /// Bytes that hold an item without its texts, of whatever kind but a batch.
  static let smallItem = itemHead + verdictFields

  enum Kind: UInt8 {
    case batch = 1
    case verdict = 2
    case ephemeral = 3
    case replaced = 4
  }

  /// Bytes that the batch takes in a record.
  public static func size(_ batch: Batch) -> Int {
    itemHead + batchFields + 8 * batch.directories.count + batch.hints.bytes.count
  }

  /// Begins a record; items follow.
  public static func begin(into buffer: inout ByteBuffer) {
    buffer.append(raw: UInt64(version).littleEndian)
  }

  public static func append(_ batch: Batch, to buffer: inout ByteBuffer) {
    begin(.batch, fields: size(batch) - itemHead, in: &buffer)
    buffer.append(raw: UInt32(bitPattern: batch.partition).littleEndian)
    buffer.append(raw: UInt32(batch.directories.count).littleEndian)
    buffer.append(raw: batch.view.littleEndian)
    buffer.append(raw: batch.since.littleEndian)
    buffer.append(raw: batch.upto.littleEndian)
    for directory in batch.directories { buffer.append(raw: directory.littleEndian) }
    buffer.append(batch.hints.bytes)
  }

  public static func append(_ verdict: Verdict, to buffer: inout ByteBuffer) {
    begin(.verdict, fields: verdictFields, in: &buffer)
    buffer.append(raw: verdict.origin.epoch.littleEndian)
    buffer.append(raw: verdict.origin.session.raw.littleEndian)
    buffer.append(raw: verdict.origin.request.littleEndian)
    buffer.append(verdict.outcome.rawValue)
    buffer.append(verdict.first.rawValue)
    buffer.append(raw: UInt16(0))
    buffer.append(raw: verdict.seq.littleEndian)
    buffer.append(raw: verdict.time.littleEndian)
  }

  /// - Parameter epoch: of the server that the event's session is connected to.
  public static func append(_ event: Ephemeral, from epoch: Epoch, to buffer: inout ByteBuffer) {
    begin(.ephemeral, fields: ephemeralFields + event.chat.count + event.json.count, in: &buffer)
    buffer.append(raw: epoch.littleEndian)
    buffer.append(raw: event.origin.raw.littleEndian)
    buffer.append(raw: UInt32(event.chat.count).littleEndian)
    buffer.append(raw: UInt32(0))
    event.chat.withUnsafeBytes { buffer.append($0) }
    event.json.withUnsafeBytes { buffer.append($0) }
  }

  /// A newer session of the device attached elsewhere: end this one.
  public static func append(replaced session: SessionID, to buffer: inout ByteBuffer) {
    begin(.replaced, fields: replacedFields, in: &buffer)
    buffer.append(raw: session.raw.littleEndian)
  }

  private static func begin(_ kind: Kind, fields: Int, in buffer: inout ByteBuffer) {
    buffer.append(raw: UInt32(itemHead + fields).littleEndian)
    buffer.append(raw: UInt32(kind.rawValue).littleEndian)
  }
}

/// What a server finds in its inbox.
public enum InboxItem: Sendable {
  case batch(Batch)
  case verdict(Verdict)
  /// With the epoch of the server that the session it came from is connected to: a session's id means
  /// something there only.
  case ephemeral(Ephemeral, from: Epoch)
  case replaced(SessionID)
}

/// Reads the items of one record, one after the other. No bytes make it trap.
public struct InboxReader {
  /// Has the record stay where it is as long as the object lives that it gives; nil where that cannot be.
  public typealias Keep = () -> (any AnyObject & Sendable)?

  private let record: UnsafeRawBufferPointer
  private let partitions: Int32
  private var keep: Keep?
  /// All batches of a record are kept by one.
  private var keeper: (any AnyObject & Sendable)?
  private var offset: Int
  /// The rest cannot be read: not a record of ours, of another version, or damaged. What was read stands.
  public private(set) var isBroken = false

  /// Reads `record`, which must stay valid as long as the reader.
  /// - Parameters:
  ///   - partitions: of the log; a batch of another one is not read.
  ///   - keep: asked at most once, where a batch has so many hints that it had better not copy them.
  public init(_ record: UnsafeRawBufferPointer, partitions: Int32, keep: Keep? = nil) {
    self.record = record
    self.partitions = partitions
    self.keep = keep
    offset = InboxCodec.head
    isBroken = record.count < InboxCodec.head || record[0] != InboxCodec.version
  }

  /// The next item, which may outlive the reader; nil at the end, and where the rest cannot be read.
  public mutating func next() -> InboxItem? {
    guard !isBroken, offset < record.count else { return nil }
    guard record.count - offset >= InboxCodec.itemHead else { return broken() }
    let length = Int(UInt32(littleEndian: record.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    guard length >= InboxCodec.itemHead, length <= record.count - offset,
      let kind = InboxCodec.Kind(rawValue: record[offset + 4])
    else { return broken() }
    let fields = Fields(
      UnsafeRawBufferPointer(rebasing: record[offset + InboxCodec.itemHead..<offset + length]))
    guard let item = item(kind, fields) else { return broken() }
    offset += length
    return item
  }

  private mutating func broken() -> InboxItem? {
    isBroken = true
    return nil
  }

  private mutating func item(_ kind: InboxCodec.Kind, _ fields: Fields) -> InboxItem? {
    switch kind {
    case .batch: batch(fields).map { .batch($0) }
    case .verdict: Self.verdict(fields).map { .verdict($0) }
    case .ephemeral: Self.ephemeral(fields)
    case .replaced:
      fields.bytes.count == InboxCodec.replacedFields ? .replaced(SessionID(raw: fields.word(0))) : nil
    }
  }

  private mutating func batch(_ fields: Fields) -> Batch? {
    guard fields.bytes.count >= InboxCodec.batchFields else { return nil }
    let partition = Int32(bitPattern: fields.half(0))
    guard partition >= 0, partition < partitions else { return nil }
    let directories = Int(fields.half(4))
    let hints = InboxCodec.batchFields + 8 * directories
    guard hints <= fields.bytes.count else { return nil }
    let hintBytes = UnsafeRawBufferPointer(rebasing: fields.bytes[hints...])
    guard HintCodec.isWhole(hintBytes) else { return nil }
    let directoryIDs = (0..<directories).map { fields.word(InboxCodec.batchFields + 8 * $0) }
    let (since, upto) = (Seq(bitPattern: fields.word(16)), Seq(bitPattern: fields.word(24)))
    if hintBytes.count >= InboxCodec.keptBytesMin, let keeper = kept() {
      return Batch(
        partition: partition, view: fields.word(8), directories: directoryIDs, since: since, upto: upto,
        hints: hintBytes, keptBy: keeper)
    }
    return Batch(
      partition: partition, view: fields.word(8), directories: directoryIDs, since: since, upto: upto,
      hints: hintBytes)
  }

  private mutating func kept() -> (any AnyObject & Sendable)? {
    if let keep {
      keeper = keep()
      self.keep = nil
    }
    return keeper
  }

  private static func verdict(_ fields: Fields) -> Verdict? {
    guard fields.bytes.count == InboxCodec.verdictFields, let outcome = Outcome(rawValue: fields.bytes[20]),
      let first = Outcome(rawValue: fields.bytes[21])
    else { return nil }
    return Verdict(
      origin: Origin(
        epoch: fields.word(0), session: SessionID(raw: fields.word(8)), request: fields.half(16)),
      outcome: outcome, first: first, seq: Seq(bitPattern: fields.word(24)),
      time: WallTime(bitPattern: fields.word(32)))
  }

  private static func ephemeral(_ fields: Fields) -> InboxItem? {
    guard fields.bytes.count >= InboxCodec.ephemeralFields else { return nil }
    let json = InboxCodec.ephemeralFields + Int(fields.half(16))
    guard json <= fields.bytes.count else { return nil }
    return .ephemeral(
      Ephemeral(
        chat: Array(fields.bytes[InboxCodec.ephemeralFields..<json]),
        origin: SessionID(raw: fields.word(8)), json: Array(fields.bytes[json...])),
      from: fields.word(0))
  }
}

/// Little-endian numbers in an item; the caller has looked that they are there.
private struct Fields {
  let bytes: UnsafeRawBufferPointer

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  func word(_ offset: Int) -> UInt64 {
    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  func half(_ offset: Int) -> UInt32 {
    UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }
}
