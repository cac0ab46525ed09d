import JSON

/// Records as they came from the log, waiting for their batch: copied, since their texts are valid only for
/// the call that brings them.
///
/// ```
/// 0     8          16     17
/// +-----+----------+------+----------------------
/// | seq | appended | ours | AppendCodec (ours only)
/// +-----+----------+------+----------------------
/// ```
struct RecordQueue: ~Copyable {
  /// One record; its texts point into the queue and are valid until it changes.
  struct Entry {
    var seq: Seq
    var appended: WallTime
    /// Nil for a record that is not ours.
    var append: Append?
  }

  private static let header = 17
  /// Bytes of memory that stay when the queue runs empty.
  private static let keptBytes = 1 << 20

  private var buffer = ByteBuffer(capacity: 4 << 10)
  private var head = 0
  /// The seq of the last record that came, 0 before the first.
  private(set) var last: Seq = 0

  /// Bytes that wait.
  var byteCount: Int { buffer.count - head }
  var isEmpty: Bool { byteCount == 0 }

  mutating func append(_ record: borrowing LogRecord) {
    appendHeader(record.seq, record.appended, isOurs: true)
    AppendCodec.encode(record.append, into: &buffer)
  }

  mutating func append(foreign seq: Seq, appended: WallTime) {
    appendHeader(seq, appended, isOurs: false)
  }

  private mutating func appendHeader(_ seq: Seq, _ appended: WallTime, isOurs: Bool) {
    buffer.append(raw: seq)
    buffer.append(raw: appended)
    buffer.append(isOurs ? 1 : 0)
    last = seq
  }

  /// The entry `offset` bytes behind the first one, and moves `offset` behind it; nil at the end.
  func next(at offset: inout Int) -> Entry? {
    guard offset < byteCount else { return nil }
    let base = buffer.bytes.baseAddress! + head + offset
    let seq = base.loadUnaligned(as: Seq.self)
    let appended = base.loadUnaligned(fromByteOffset: 8, as: WallTime.self)
    guard base.load(fromByteOffset: 16, as: UInt8.self) != 0 else {
      offset += Self.header
      return Entry(seq: seq, appended: appended, append: nil)
    }
    var place = head + offset + Self.header
    guard let append = AppendCodec.decode(buffer.bytes, at: &place) else {
      preconditionFailure("the queue holds whole records")
    }
    offset = place - head
    return Entry(seq: seq, appended: appended, append: append)
  }

  var first: Entry? {
    var offset = 0
    return next(at: &offset)
  }

  /// Drops the first `bytes` bytes, which end with an entry.
  mutating func removeFirst(_ bytes: Int) {
    head += bytes
    if head == buffer.count {
      buffer.removeAll(keepingAtMost: Self.keptBytes)
      head = 0
    } else if head > buffer.count / 2 {
      buffer.removeFirst(head)
      head = 0
    }
  }

  mutating func removeAll() {
    buffer.removeAll(keepingAtMost: Self.keptBytes)
    head = 0
    last = 0
  }
}
