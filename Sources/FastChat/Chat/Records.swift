public import JSON

/// What a record of the log asks for. Raw values are stored: never renumber one.
public enum RecordKind: UInt8, Sendable {
  case message = 1
  case create = 2
  case join = 3
  case leave = 4

  /// Whether the record's outcome depends on the chat's state, so that the owner alone can judge it.
  public var dependsOnState: Bool { self != .message }
}

public enum Role: UInt8, Sendable {
  case none = 0
  case member = 1
  case admin = 2
  case owner = 3

  /// The role's name in the protocol; nil for somebody who is not a member.
  public var name: StaticString? {
    switch self {
    case .none: nil
    case .member: "member"
    case .admin: "admin"
    case .owner: "owner"
    }
  }
}

/// Which request of which session a record came from. `epoch` is a server's start, `session` is unique
/// within it, `request` counts within the session from 1.
public struct Origin: Equatable, Sendable, BitwiseCopyable {
  public var epoch: UInt64
  public var session: SessionID
  public var request: UInt32

  public init(epoch: UInt64, session: SessionID, request: UInt32) {
    self.epoch = epoch
    self.session = session
    self.request = request
  }

  public static let none = Origin(epoch: 0, session: SessionID(raw: 0), request: 0)
}

/// One live WebSocket connection within a server's epoch: shard, generation and slot of its connection.
///
/// ```
///  63     56 55                    24 23              0
/// +---------+------------------------+-----------------+
/// |  shard  |       generation       |      slot       |
/// +---------+------------------------+-----------------+
/// ```
/// A generation is never 0, so neither is the whole.
public struct SessionID: Hashable, Sendable, BitwiseCopyable {
  public let raw: UInt64

  public init(raw: UInt64) { self.raw = raw }

  public init(shard: Int, generation: UInt32, slot: Int) {
    raw = UInt64(shard) << 56 | UInt64(generation) << 24 | UInt64(slot)
  }

  public var shard: Int { Int(raw >> 56) }
  public var generation: UInt32 { UInt32(truncatingIfNeeded: raw >> 24) }
  public var slot: Int { Int(raw & 0xFF_FFFF) }
}

/// What an edge hands to the log: one record, as a view into the buffer it was read from.
public struct Append {
  public var partition: Int32
  public var kind: RecordKind
  /// The client said that this repeats a request (`"retry":true`): the owner answers it, not the report.
  public var isRepeat: Bool
  public var origin: Origin
  /// When the server accepted it.
  public var time: WallTime
  public var chat: UnsafeRawBufferPointer
  public var from: UnsafeRawBufferPointer
  public var device: UnsafeRawBufferPointer
  /// The client's request id, decoded (no JSON escapes).
  public var id: UnsafeRawBufferPointer
  /// A message's body as the client wrote it; of `create` `{"name":..,"public":..}`; else empty.
  public var body: UnsafeRawBufferPointer

  public init(
    partition: Int32, kind: RecordKind, isRepeat: Bool, origin: Origin, time: WallTime,
    chat: UnsafeRawBufferPointer, from: UnsafeRawBufferPointer, device: UnsafeRawBufferPointer,
    id: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer
  ) {
    self.partition = partition
    self.kind = kind
    self.isRepeat = isRepeat
    self.origin = origin
    self.time = time
    self.chat = chat
    self.from = from
    self.device = device
    self.id = id
    self.body = body
  }
}

/// A run of encoded appends: what a shard hands over in one turn.
///
/// ```
/// 0        4          8     9      10    11  12      20       28        32     40      48
/// +--------+----------+-----+------+-----+---+-------+--------+---------+------+-------+----------
/// | length | partition| kind|repeat|from#|dev#| epoch |session | request | time |chat#,id#,body#| bytes
/// +--------+----------+-----+------+-----+---+-------+--------+---------+------+-------+----------
/// ```
/// `length` counts the whole record; fields are in the machine's order, since this never leaves it.
public enum AppendCodec {
  static let header = 48
  /// Bytes that a record takes beside its texts, for bounds on what waits.
  public static let overhead = header

  public static func encode(_ append: borrowing Append, into buffer: inout ByteBuffer) {
    let length =
      header + append.chat.count + append.from.count + append.device.count + append.id.count
      + append.body.count
    buffer.reserve(length)
    buffer.append(raw: UInt32(length))
    buffer.append(raw: append.partition)
    buffer.append(append.kind.rawValue)
    buffer.append(append.isRepeat ? 1 : 0)
    buffer.append(UInt8(append.from.count))
    buffer.append(UInt8(append.device.count))
    buffer.append(raw: append.origin.epoch)
    buffer.append(raw: append.origin.session.raw)
    buffer.append(raw: append.origin.request)
    buffer.append(raw: append.time)
    buffer.append(raw: UInt16(append.chat.count))
    buffer.append(raw: UInt16(append.id.count))
    buffer.append(raw: UInt32(append.body.count))
    buffer.append(append.chat)
    buffer.append(append.from)
    buffer.append(append.device)
    buffer.append(append.id)
    buffer.append(append.body)
  }

  /// Reads the record that begins at `offset` and moves `offset` behind it; nil at the end.
  public static func decode(_ bytes: UnsafeRawBufferPointer, at offset: inout Int) -> Append? {
    guard offset + header <= bytes.count else { return nil }
    let base = bytes.baseAddress! + offset
    let length = Int(base.loadUnaligned(as: UInt32.self))
    var text = base + header
    func take(_ count: Int) -> UnsafeRawBufferPointer {
      defer { text += count }
      return UnsafeRawBufferPointer(start: text, count: count)
    }
    guard let kind = RecordKind(rawValue: base.load(fromByteOffset: 8, as: UInt8.self)) else {
      preconditionFailure("an append of a kind that no edge writes")
    }
    offset += length
    return Append(
      partition: base.loadUnaligned(fromByteOffset: 4, as: Int32.self),
      kind: kind,
      isRepeat: base.load(fromByteOffset: 9, as: UInt8.self) != 0,
      origin: Origin(
        epoch: base.loadUnaligned(fromByteOffset: 12, as: UInt64.self),
        session: SessionID(raw: base.loadUnaligned(fromByteOffset: 20, as: UInt64.self)),
        request: base.loadUnaligned(fromByteOffset: 28, as: UInt32.self)),
      time: base.loadUnaligned(fromByteOffset: 32, as: WallTime.self),
      chat: take(Int(base.loadUnaligned(fromByteOffset: 40, as: UInt16.self))),
      from: take(Int(base.load(fromByteOffset: 10, as: UInt8.self))),
      device: take(Int(base.load(fromByteOffset: 11, as: UInt8.self))),
      id: take(Int(base.loadUnaligned(fromByteOffset: 42, as: UInt16.self))),
      body: take(Int(base.loadUnaligned(fromByteOffset: 44, as: UInt32.self))))
  }
}

/// The log took a record: it is durable. Only first sends (`message`, not a repeat) get one.
public struct Appended: Sendable {
  public var origin: Origin
  public var seq: Seq
  public var time: WallTime

  public init(origin: Origin, seq: Seq, time: WallTime) {
    self.origin = origin
    self.seq = seq
    self.time = time
  }
}

/// The log did not report a record as taken.
public struct Failed: Sendable {
  public var origin: Origin
  /// False only where it is certain that nothing was written.
  public var mayHavePersisted: Bool

  public init(origin: Origin, mayHavePersisted: Bool) {
    self.origin = origin
    self.mayHavePersisted = mayHavePersisted
  }
}

/// What a record came to. Raw values are stored: never renumber one.
public enum Outcome: UInt8, Sendable {
  /// It became an event.
  case event = 0
  /// Nothing to change: answered `ok`, without an event.
  case unchanged = 1
  /// A record with the same (chat, from, device, id) came before it: the first one's seq and time.
  case duplicate = 2
  case forbidden = 3
  case notFound = 4
  case exists = 5
}

/// The owner's word to the edge that a record came from, where it came to no event.
public struct Verdict: Sendable {
  public var origin: Origin
  public var outcome: Outcome
  /// Of a duplicate: what the first one came to. An event and `unchanged` are answered alike.
  public var first: Outcome
  /// Of a duplicate: the first one's.
  public var seq: Seq
  public var time: WallTime

  public init(origin: Origin, outcome: Outcome, first: Outcome = .event, seq: Seq, time: WallTime) {
    self.origin = origin
    self.outcome = outcome
    self.first = first
    self.seq = seq
    self.time = time
  }
}
