public import JSON

/// "Chat c got seq n after prev": an event with the bytes to send, and the request it answers. A view
/// into the batch that carries it.
public struct Hint {
  public var kind: RecordKind
  public var seq: Seq
  public var prev: Seq
  public var time: WallTime
  public var origin: Origin
  /// Of a membership event: the role from now on; else `.none`.
  public var role: Role
  public var chat: UnsafeRawBufferPointer
  /// Whom a membership event concerns; of a message, who wrote it.
  public var user: UnsafeRawBufferPointer
  /// The event as clients get it, one JSON object.
  public var json: UnsafeRawBufferPointer
  /// The same as a frame of a WebSocket, whose end is `json`: there in a hint that was read, else empty.
  public var frame: UnsafeRawBufferPointer

  public init(
    kind: RecordKind, seq: Seq, prev: Seq, time: WallTime, origin: Origin, role: Role,
    chat: UnsafeRawBufferPointer, user: UnsafeRawBufferPointer, json: UnsafeRawBufferPointer,
    frame: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
  ) {
    self.kind = kind
    self.seq = seq
    self.prev = prev
    self.time = time
    self.origin = origin
    self.role = role
    self.chat = chat
    self.user = user
    self.json = json
    self.frame = frame
  }
}

/// What an owner sends a server at once: how far partition `p` has been applied, and what happened.
///
/// Immutable once made, and shared by all shards of a server.
public final class Batch: Sendable {
  public let partition: Int32
  /// The view's id that the batch was applied to.
  public let view: ViewID
  /// The primaries of the directory that answered the batch's look-ups; all of them in an empty batch, and
  /// in the first to an epoch.
  public let directories: [DirectoryID]
  /// The position before this batch, for a shard that has had all that came before it.
  public let since: Seq
  /// The position after it.
  public let upto: Seq
  /// Hints in the log's order, as `HintCodec` writes them.
  public let hints: Storage

  /// With a copy of the hints.
  public init(
    partition: Int32, view: ViewID, directories: [DirectoryID], since: Seq, upto: Seq,
    hints: UnsafeRawBufferPointer
  ) {
    self.partition = partition
    self.view = view
    self.directories = directories
    self.since = since
    self.upto = upto
    self.hints = Storage(copying: hints)
  }

  /// With hints that stay where they are, and as they are, as long as `keeper` lives. Its end, on whatever
  /// thread, is what gives their memory back.
  public init(
    partition: Int32, view: ViewID, directories: [DirectoryID], since: Seq, upto: Seq,
    hints: UnsafeRawBufferPointer, keptBy keeper: any AnyObject & Sendable
  ) {
    self.partition = partition
    self.view = view
    self.directories = directories
    self.since = since
    self.upto = upto
    self.hints = Storage(hints, keptBy: keeper)
  }

  /// Whether sockets may send right out of the hints: what holds them back is counted by their keeper.
  /// Otherwise a slow socket must not hold the batch back, and gets a copy.
  public var isLendable: Bool { hints.keeper != nil }

  /// Bytes that never change between their making and their end.
  public struct Storage: ~Copyable, @unchecked Sendable {
    public let bytes: UnsafeRawBufferPointer
    /// Nil: the bytes are this storage's own.
    fileprivate let keeper: (any AnyObject & Sendable)?

    fileprivate init(copying source: UnsafeRawBufferPointer) {
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: 8)
      copy.copyMemory(from: source)
      bytes = UnsafeRawBufferPointer(copy)
      keeper = nil
    }

    fileprivate init(_ bytes: UnsafeRawBufferPointer, keptBy keeper: any AnyObject & Sendable) {
      self.bytes = bytes
      self.keeper = keeper
    }

    /// Whether a piece lies in these bytes, and so as long as they.
    public func contains(_ piece: UnsafeRawBufferPointer) -> Bool {
      guard let start = bytes.baseAddress, let first = piece.baseAddress else { return false }
      return first >= start && first + piece.count <= start + bytes.count
    }

    deinit { if keeper == nil { bytes.deallocate() } }
  }
}

/// The bound on memory that slow sockets and waiting batches hold back.
public protocol Pinning: Sendable {
  /// Counts `bytes` as held back as long as the object lives that this gives; nil at the bound.
  /// - Parameter object: lives as long.
  func pin(bytes: Int, holding object: (any AnyObject & Sendable)?) -> (any AnyObject & Sendable)?
}

/// Hints as bytes:
///
/// ```
/// 0       4     5     6      7      8     16     24     32      40       48        52     54      56
/// +-------+-----+-----+------+------+-----+------+------+-------+--------+---------+------+-------+-------------------
/// | length| kind| role| user#| head#| seq | prev | time | epoch | session| request | chat#| zero  | chat user head json
/// +-------+-----+-----+------+------+-----+------+------+-------+--------+---------+------+-------+-------------------
/// ```
/// `head` is the event's frame's (`TextFrame`), of `head#` bytes.
public enum HintCodec {
  static let header = 56

  public static func encode(_ hint: borrowing Hint, into buffer: inout ByteBuffer) {
    let head = TextFrame.headBytes(hint.json.count)
    let length = header + hint.chat.count + hint.user.count + head + hint.json.count
    buffer.reserve(length)
    buffer.append(raw: UInt32(length))
    buffer.append(hint.kind.rawValue)
    buffer.append(hint.role.rawValue)
    buffer.append(UInt8(hint.user.count))
    buffer.append(UInt8(head))
    buffer.append(raw: hint.seq)
    buffer.append(raw: hint.prev)
    buffer.append(raw: hint.time)
    buffer.append(raw: hint.origin.epoch)
    buffer.append(raw: hint.origin.session.raw)
    buffer.append(raw: hint.origin.request)
    buffer.append(raw: UInt16(hint.chat.count))
    buffer.append(raw: UInt16(0))
    buffer.append(hint.chat)
    buffer.append(hint.user)
    TextFrame.appendHead(hint.json.count, to: &buffer)
    buffer.append(hint.json)
  }

  /// Whether the bytes are whole hints and nothing else, so that `decode` reads them to their end. For bytes
  /// that came from another machine.
  public static func isWhole(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var offset = 0
    while offset < bytes.count {
      guard bytes.count - offset >= header else { return false }
      let base = bytes.baseAddress! + offset
      let length = Int(base.loadUnaligned(as: UInt32.self))
      let chat = Int(base.loadUnaligned(fromByteOffset: 52, as: UInt16.self))
      let user = Int(base.load(fromByteOffset: 6, as: UInt8.self))
      let head = Int(base.load(fromByteOffset: 7, as: UInt8.self))
      let frame = header + chat + user
      guard length <= bytes.count - offset, length >= frame + head,
        RecordKind(rawValue: base.load(fromByteOffset: 4, as: UInt8.self)) != nil,
        Role(rawValue: base.load(fromByteOffset: 5, as: UInt8.self)) != nil,
        TextFrame.isHead(base + frame, bytes: head, before: length - frame - head)
      else { return false }
      offset += length
    }
    return true
  }

  /// Reads the hint that begins at `offset` and moves `offset` behind it; nil at the end.
  public static func decode(_ bytes: UnsafeRawBufferPointer, at offset: inout Int) -> Hint? {
    guard offset + header <= bytes.count else { return nil }
    let base = bytes.baseAddress! + offset
    let length = Int(base.loadUnaligned(as: UInt32.self))
    guard let kind = RecordKind(rawValue: base.load(fromByteOffset: 4, as: UInt8.self)),
      let role = Role(rawValue: base.load(fromByteOffset: 5, as: UInt8.self))
    else { preconditionFailure("a hint of a kind that no owner writes") }
    let chat = Int(base.loadUnaligned(fromByteOffset: 52, as: UInt16.self))
    let user = Int(base.load(fromByteOffset: 6, as: UInt8.self))
    let head = Int(base.load(fromByteOffset: 7, as: UInt8.self))
    let frame = UnsafeRawBufferPointer(
      start: base + header + chat + user, count: length - header - chat - user)
    offset += length
    return Hint(
      kind: kind,
      seq: base.loadUnaligned(fromByteOffset: 8, as: Seq.self),
      prev: base.loadUnaligned(fromByteOffset: 16, as: Seq.self),
      time: base.loadUnaligned(fromByteOffset: 24, as: WallTime.self),
      origin: Origin(
        epoch: base.loadUnaligned(fromByteOffset: 32, as: UInt64.self),
        session: SessionID(raw: base.loadUnaligned(fromByteOffset: 40, as: UInt64.self)),
        request: base.loadUnaligned(fromByteOffset: 48, as: UInt32.self)),
      role: role,
      chat: UnsafeRawBufferPointer(start: base + header, count: chat),
      user: UnsafeRawBufferPointer(start: base + header + chat, count: user),
      json: UnsafeRawBufferPointer(rebasing: frame[head...]), frame: frame)
  }
}

/// An event that is not stored (typing), or whose storage is best effort (a read position): told to
/// whoever listens now.
public struct Ephemeral: Sendable {
  /// The chat whose listeners are told.
  public var chat: [UInt8]
  /// The session it came from, which is not told.
  public var origin: SessionID
  /// The event as clients get it.
  public var json: [UInt8]

  public init(chat: [UInt8], origin: SessionID, json: [UInt8]) {
    self.chat = chat
    self.origin = origin
    self.json = json
  }
}

/// A user has read a chat up to `seq`: kept by the backbone, clamped to the chat's head, never going back.
public struct ReadMark: Sendable {
  public var chat: [UInt8]
  public var user: [UInt8]
  public var seq: Seq
  public var origin: SessionID

  public init(chat: [UInt8], user: [UInt8], seq: Seq, origin: SessionID) {
    self.chat = chat
    self.user = user
    self.seq = seq
    self.origin = origin
  }
}
