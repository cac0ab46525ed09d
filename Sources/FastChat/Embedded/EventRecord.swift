import CSQLite
import Chat
import JSON

/// A row's value in the log, as bytes, in little-endian order whatever the machine:
///
/// ```
/// 0       1      2      3       4         8      16         24      32        40         48          56
/// +-------+------+------+-------+---------+------+----------+-------+---------+----------+-----------+----------
/// |version| kind | role | user# | request | time | appended | epoch | session | hash low | hash high | user json
/// +-------+------+------+-------+---------+------+----------+-------+---------+----------+-----------+----------
/// ```
/// `user` is whom a membership event concerns, of a message its author; `json` is the event as clients get
/// it; the hash is that of the record's name, for the dedupe table.
struct EventRecord {
  static let version: UInt8 = 1
  static let header = 56

  var kind: RecordKind
  var role: Role
  var time: WallTime
  var appended: WallTime
  var origin: Origin
  var hash: KeyedHash.Value
  var user: UnsafeRawBufferPointer
  var json: UnsafeRawBufferPointer

  /// Writes all but the JSON, which the caller appends.
  @inline(__always)
  static func encodeHeader(
    kind: RecordKind, role: Role, time: WallTime, appended: WallTime, origin: Origin, hash: KeyedHash.Value,
    user: UnsafeRawBufferPointer, into buffer: inout ByteBuffer
  ) {
    let room = buffer.appendUninitialized(header)
    room.storeBytes(of: version, as: UInt8.self)
    room.storeBytes(of: kind.rawValue, toByteOffset: 1, as: UInt8.self)
    room.storeBytes(of: role.rawValue, toByteOffset: 2, as: UInt8.self)
    room.storeBytes(of: UInt8(user.count), toByteOffset: 3, as: UInt8.self)
    room.storeBytes(of: origin.request.littleEndian, toByteOffset: 4, as: UInt32.self)
    room.storeBytes(of: time.littleEndian, toByteOffset: 8, as: Int64.self)
    room.storeBytes(of: appended.littleEndian, toByteOffset: 16, as: Int64.self)
    room.storeBytes(of: origin.epoch.littleEndian, toByteOffset: 24, as: UInt64.self)
    room.storeBytes(of: origin.session.raw.littleEndian, toByteOffset: 32, as: UInt64.self)
    room.storeBytes(of: hash.low.littleEndian, toByteOffset: 40, as: UInt64.self)
    room.storeBytes(of: hash.high.littleEndian, toByteOffset: 48, as: UInt64.self)
    buffer.append(user)
  }

  /// Reads a value of the log's; what cannot be one is damage.
  init(checking bytes: UnsafeRawBufferPointer) throws(SQLiteFailure) {
    guard let record = EventRecord(bytes) else { throw SQLiteFailure(code: SQLITE_CORRUPT) }
    self = record
  }

  /// Reads a value; it points into `bytes`. Nil for what this version does not write.
  init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= Self.header, bytes[0] == Self.version, let kind = RecordKind(rawValue: bytes[1]),
      let role = Role(rawValue: bytes[2])
    else { return nil }
    let text = Self.header + Int(bytes[3])
    guard text <= bytes.count else { return nil }
    func word(_ offset: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    self.kind = kind
    self.role = role
    time = WallTime(bitPattern: word(8))
    appended = WallTime(bitPattern: word(16))
    origin = Origin(
      epoch: word(24), session: SessionID(raw: word(32)),
      request: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
    hash = KeyedHash.Value(low: word(40), high: word(48))
    user = UnsafeRawBufferPointer(rebasing: bytes[Self.header..<text])
    json = UnsafeRawBufferPointer(rebasing: bytes[text...])
  }
}
