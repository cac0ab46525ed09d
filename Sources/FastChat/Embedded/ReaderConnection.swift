import CSQLite
import Chat

/// A reading connection and its statements.
final class ReaderConnection {
  private let database: Database
  private let begin, end: Statement
  private let progress, head, room, membership: Statement
  private let markAbove, prev: Statement
  /// Their columns stand where they are read.
  let event, chats, members, recent: Statement

  init(path: String) throws(SQLiteFailure) {
    let database = try Database(path: path, access: .readWrite)
    try database.execute("PRAGMA query_only = ON; PRAGMA cache_size = -32768; PRAGMA busy_timeout = 2000")
    self.database = database
    begin = try database.prepare("BEGIN")
    end = try database.prepare("COMMIT")
    progress = try database.prepare("SELECT view, applied FROM store WHERE id = 1")
    head = try database.prepare(
      "SELECT h.chat, h.head FROM chats c CROSS JOIN heads h ON h.chat = c.id WHERE c.name = ?1")
    room = try database.prepare("SELECT public FROM rooms WHERE chat = ?1")
    membership = try database.prepare("SELECT role, joined FROM memberships WHERE user = ?1 AND chat = ?2")
    markAbove = try database.prepare(
      "SELECT seq FROM marks WHERE chat = ?1 AND seq > ?2 ORDER BY seq LIMIT 1")
    prev = try database.prepare("SELECT prev, chat FROM log WHERE seq = ?1")
    event = try database.prepare("SELECT prev, value FROM log WHERE seq = ?1")
    chats = try database.prepare(
      """
      SELECT m.chat, m.role, m.joined, m.read, h.head FROM memberships m CROSS JOIN heads h ON h.chat = m.id
      WHERE m.user = ?1 AND m.chat > ?2 ORDER BY m.chat LIMIT ?3
      """)
    members = try database.prepare(
      "SELECT user, role FROM members WHERE chat = ?1 AND user > ?2 ORDER BY user LIMIT ?3")
    recent = try database.prepare(
      """
      SELECT l.seq, l.prev, l.value, c.name FROM log l CROSS JOIN chats c ON c.id = l.chat
      WHERE l.seq > ?1 ORDER BY l.seq LIMIT ?2
      """)
  }

  /// One moment of the file, until `endRead`. The snapshot is taken by the first read.
  func beginRead() throws(SQLiteFailure) { try begin.run() }
  func endRead() throws(SQLiteFailure) { try end.run() }

  func readProgress() throws(SQLiteFailure) -> (view: UInt64, applied: Seq) {
    defer { progress.reset() }
    guard try progress.step() else { throw SQLiteFailure(code: SQLITE_CORRUPT) }
    return (UInt64(bitPattern: progress.integer(0)), progress.integer(1))
  }

  /// A chat's id and the seq of its last event; nil for one that never had an event.
  func readHead(_ name: UnsafeRawBufferPointer) throws(SQLiteFailure) -> (id: Int64, head: Seq)? {
    defer { head.reset() }
    head.bind(1, text: name)
    return try head.step() ? (head.integer(0), head.integer(1)) : nil
  }

  func readRoom(_ chat: Int64) throws(SQLiteFailure) -> RoomRow? {
    defer { room.reset() }
    room.bind(1, chat)
    return try room.step() ? RoomRow(isPublic: room.integer(0) != 0) : nil
  }

  func readMembership(
    user: UnsafeRawBufferPointer, chat: UnsafeRawBufferPointer
  ) throws(SQLiteFailure) -> MemberRow? {
    defer { membership.reset() }
    membership.bind(1, text: user)
    membership.bind(2, text: chat)
    guard try membership.step() else { return nil }
    return MemberRow(role: Role(stored: membership.integer(0)), joined: membership.integer(1))
  }

  /// The first of the chat's marks above `seq` that is stored.
  func mark(chat: Int64, above seq: Seq) throws(SQLiteFailure) -> Seq? {
    defer { markAbove.reset() }
    markAbove.bind(1, chat)
    markAbove.bind(2, seq)
    return try markAbove.step() ? markAbove.integer(0) : nil
  }

  /// The seq before the chat's event `seq`; nil where no such event of that chat is stored.
  func prev(of seq: Seq, chat: Int64) throws(SQLiteFailure) -> Seq? {
    defer { prev.reset() }
    prev.bind(1, seq)
    guard try prev.step(), prev.integer(1) == chat else { return nil }
    guard prev.integer(0) < seq else { throw SQLiteFailure(code: SQLITE_CORRUPT) }
    return prev.integer(0)
  }
}
