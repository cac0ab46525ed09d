import CSQLite
import Chat

/// The writing connection and its statements: what can be said to the file, without a rule of the chat.
final class Writer {
  private let database: Database
  private let begin, commit, rollback: Statement
  private let insertEvent, insertMark, insertOutcome, insertChat, raiseHead, setProgress,
    countProbe: Statement
  private let readHead, readProgress: Statement
  private let room, insertRoom, changeMembers: Statement
  private let membership, roomsOfUser, insertMembership, insertMember, deleteMembership,
    deleteMember: Statement
  private let raiseRead: Statement
  private let oldestMark, farMark, event, deleteEvent, deleteMarks: Statement
  /// Of retention: `oldest` gives seq, chat and value, `oldestOutcomes` seq and append time.
  let oldest, deleteEvents, oldestOutcomes, deleteOutcomes: Statement
  /// Pages in the write-ahead log after the last commit.
  private let logPages: UnsafeMutablePointer<Int32>
  private var checkpointAt = Writer.checkpointPages

  /// Pages in the write-ahead log at which it is copied into the database: 16 MiB. From 4 to 64 MiB a
  /// record costs the same; longer ones make readers search longer and a start after a kill slower.
  private static let checkpointPages: Int32 = 4096

  init(path: String) throws(SQLiteFailure) {
    let database = try Database(path: path, access: .readWrite)
    try database.execute(
      """
      PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
      PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864;
      PRAGMA busy_timeout = 2000
      """)
    self.database = database
    begin = try database.prepare("BEGIN IMMEDIATE")
    commit = try database.prepare("COMMIT")
    rollback = try database.prepare("ROLLBACK")
    insertEvent = try database.prepare("INSERT INTO log VALUES(?1, ?2, ?3, ?4)")
    insertMark = try database.prepare("INSERT INTO marks VALUES(?1, ?2)")
    insertOutcome = try database.prepare("INSERT INTO outcomes VALUES(?1, ?2, ?3, ?4, ?5, ?6)")
    insertChat = try database.prepare("INSERT INTO chats VALUES(?1, ?2)")
    raiseHead = try database.prepare("REPLACE INTO heads VALUES(?1, ?2, ?3)")
    setProgress = try database.prepare("UPDATE store SET applied = ?1, appended = ?2 WHERE id = 1")
    countProbe = try database.prepare("UPDATE store SET probes = probes + 1 WHERE id = 1")
    readHead = try database.prepare("SELECT head, events FROM heads WHERE chat = ?1")
    readProgress = try database.prepare("SELECT applied, appended FROM store WHERE id = 1")
    room = try database.prepare("SELECT public, members FROM rooms WHERE chat = ?1")
    insertRoom = try database.prepare("INSERT INTO rooms VALUES(?1, ?2, ?3, 0)")
    changeMembers = try database.prepare("UPDATE rooms SET members = members + ?2 WHERE chat = ?1")
    membership = try database.prepare("SELECT role FROM memberships WHERE user = ?1 AND chat = ?2")
    // 'dm:' comes before 'room:', and nothing comes after it.
    roomsOfUser = try database.prepare("SELECT count(*) FROM memberships WHERE user = ?1 AND chat >= 'room:'")
    insertMembership = try database.prepare("INSERT INTO memberships VALUES(?1, ?2, ?3, ?4, ?5, 0)")
    insertMember = try database.prepare("INSERT INTO members VALUES(?1, ?2, ?3)")
    deleteMembership = try database.prepare("DELETE FROM memberships WHERE user = ?1 AND chat = ?2")
    deleteMember = try database.prepare("DELETE FROM members WHERE chat = ?1 AND user = ?2")
    raiseRead = try database.prepare(
      "UPDATE memberships SET read = ?3 WHERE user = ?1 AND chat = ?2 AND read < ?3")
    oldest = try database.prepare("SELECT seq, chat, value FROM log ORDER BY seq LIMIT ?1")
    oldestMark = try database.prepare("SELECT seq FROM marks WHERE chat = ?1 ORDER BY seq LIMIT 1")
    farMark = try database.prepare(
      "SELECT seq FROM marks WHERE chat = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2")
    event = try database.prepare("SELECT prev, value FROM log WHERE seq = ?1")
    deleteEvents = try database.prepare("DELETE FROM log WHERE seq <= ?1")
    deleteEvent = try database.prepare("DELETE FROM log WHERE seq = ?1")
    deleteMarks = try database.prepare("DELETE FROM marks WHERE chat = ?1 AND seq <= ?2")
    oldestOutcomes = try database.prepare("SELECT seq, appended FROM outcomes ORDER BY seq LIMIT ?1")
    deleteOutcomes = try database.prepare("DELETE FROM outcomes WHERE seq <= ?1")
    logPages = .allocate(capacity: 1)
    logPages.initialize(to: 0)
    sqlite3_wal_hook(
      database.handle,
      { context, _, _, pages in
        context!.assumingMemoryBound(to: Int32.self).pointee = pages
        return SQLITE_OK
      }, logPages)
  }

  deinit { logPages.deallocate() }

  // MARK: Transactions

  func beginTransaction() throws(SQLiteFailure) { try begin.run() }
  func commitTransaction() throws(SQLiteFailure) { try commit.run() }

  /// Ends a transaction that failed, if SQLite has not done so itself.
  func rollBack() throws(SQLiteFailure) {
    if database.isInTransaction { try rollback.run() }
  }

  /// Copies the write-ahead log into the database where it has grown long. A reader in its way leaves the
  /// rest to a later time.
  func checkpointIfDue() throws(SQLiteFailure) {
    if logPages.pointee < Self.checkpointPages { checkpointAt = Self.checkpointPages }
    guard logPages.pointee >= checkpointAt else { return }
    checkpointAt = logPages.pointee + Self.checkpointPages / 4
    let result = sqlite3_wal_checkpoint_v2(database.handle, nil, SQLITE_CHECKPOINT_PASSIVE, nil, nil)
    if result != SQLITE_OK, result & 0xFF != SQLITE_BUSY { throw SQLiteFailure(code: result) }
  }

  /// Copies all of the write-ahead log into the database, writes that to the disk, and empties the log.
  func checkpointCompletely() throws(SQLiteFailure) {
    let result = sqlite3_wal_checkpoint_v2(database.handle, nil, SQLITE_CHECKPOINT_TRUNCATE, nil, nil)
    guard result == SQLITE_OK else { throw SQLiteFailure(code: result) }
  }

  // MARK: What a batch writes

  @inline(__always)
  func insert(seq: Seq, chat: Int, prev: Seq, value: UnsafeRawBufferPointer) throws(SQLiteFailure) {
    insertEvent.bind(1, seq)
    insertEvent.bind(2, Int64(chat))
    insertEvent.bind(3, prev)
    insertEvent.bind(4, blob: value)
    try insertEvent.run()
  }

  func mark(chat: Int, seq: Seq) throws(SQLiteFailure) {
    insertMark.bind(1, Int64(chat))
    insertMark.bind(2, seq)
    try insertMark.run()
  }

  func insert(outcome entry: DedupeTable.Entry) throws(SQLiteFailure) {
    insertOutcome.bind(1, entry.seq)
    insertOutcome.bind(2, Int64(entry.outcome.rawValue))
    insertOutcome.bind(3, entry.time)
    insertOutcome.bind(4, entry.appended)
    insertOutcome.bind(5, Int64(bitPattern: entry.key.low))
    insertOutcome.bind(6, Int64(bitPattern: entry.key.high))
    try insertOutcome.run()
  }

  func insert(chat: Int, name: UnsafeRawBufferPointer) throws(SQLiteFailure) {
    insertChat.bind(1, Int64(chat))
    insertChat.bind(2, text: name)
    try insertChat.run()
  }

  @inline(__always)
  func raiseHead(chat: Int, to head: Seq, events: UInt32) throws(SQLiteFailure) {
    raiseHead.bind(1, Int64(chat))
    raiseHead.bind(2, head)
    raiseHead.bind(3, Int64(events))
    try raiseHead.run()
  }

  func setProgress(applied: Seq, appended: WallTime) throws(SQLiteFailure) {
    setProgress.bind(1, applied)
    setProgress.bind(2, appended)
    try setProgress.run()
  }

  /// Changes something, so that there is something to write.
  func probe() throws(SQLiteFailure) { try countProbe.run() }

  // MARK: What it reads

  func head(chat: Int) throws(SQLiteFailure) -> (head: Seq, events: UInt32)? {
    defer { readHead.reset() }
    readHead.bind(1, Int64(chat))
    guard try readHead.step() else { return nil }
    guard let events = UInt32(exactly: readHead.integer(1)) else { throw SQLiteFailure(code: SQLITE_CORRUPT) }
    return (readHead.integer(0), events)
  }

  func progress() throws(SQLiteFailure) -> (applied: Seq, appended: WallTime) {
    defer { readProgress.reset() }
    guard try readProgress.step() else { throw SQLiteFailure(code: SQLITE_CORRUPT) }
    return (readProgress.integer(0), readProgress.integer(1))
  }

  /// What was made with the file and never changes.
  func identity() throws(SQLiteFailure) -> (log: String, view: UInt64, hash: KeyedHash) {
    let statement = try database.prepare("SELECT log, view, seed_low, seed_high FROM store WHERE id = 1")
    defer { statement.reset() }
    guard try statement.step() else { throw SQLiteFailure(code: SQLITE_CORRUPT) }
    return (
      String(decoding: statement.bytes(0), as: UTF8.self), UInt64(bitPattern: statement.integer(1)),
      KeyedHash(
        seedLow: UInt64(bitPattern: statement.integer(2)), seedHigh: UInt64(bitPattern: statement.integer(3)))
    )
  }

  /// A statement of one's own for the long reads of a start.
  func prepare(_ sql: StaticString) throws(SQLiteFailure) -> Statement { try database.prepare(sql) }

  // MARK: Retention

  /// The chat's oldest mark that is stored.
  func oldestMark(chat: Int) throws(SQLiteFailure) -> Seq? {
    defer { oldestMark.reset() }
    oldestMark.bind(1, Int64(chat))
    return try oldestMark.step() ? oldestMark.integer(0) : nil
  }

  /// The youngest of the chat's marks that has `newer` marks above it.
  func farMark(chat: Int, newer: Int) throws(SQLiteFailure) -> Seq? {
    defer { farMark.reset() }
    farMark.bind(1, Int64(chat))
    farMark.bind(2, Int64(newer))
    return try farMark.step() ? farMark.integer(0) : nil
  }

  /// An event's `prev` and append time, nil for one that is not stored.
  func event(_ seq: Seq) throws(SQLiteFailure) -> (prev: Seq, appended: WallTime)? {
    defer { event.reset() }
    event.bind(1, seq)
    guard try event.step() else { return nil }
    return (event.integer(0), try EventRecord(checking: event.bytes(1)).appended)
  }

  func deleteEvent(_ seq: Seq) throws(SQLiteFailure) {
    deleteEvent.bind(1, seq)
    try deleteEvent.run()
  }

  func deleteMarks(chat: Int64, upTo seq: Seq) throws(SQLiteFailure) {
    deleteMarks.bind(1, chat)
    deleteMarks.bind(2, seq)
    try deleteMarks.run()
  }

  // MARK: Rooms and their members

  func room(_ chat: Int) throws(SQLiteFailure) -> (room: RoomRow, members: Int)? {
    defer { room.reset() }
    room.bind(1, Int64(chat))
    return try room.step() ? (RoomRow(isPublic: room.integer(0) != 0), Int(room.integer(1))) : nil
  }

  func insertRoom(_ chat: Int, _ new: NewRoom) throws(SQLiteFailure) {
    insertRoom.bind(1, Int64(chat))
    insertRoom.bind(3, new.isPublic ? 1 : 0)
    try new.title.withBytes { (title) throws(SQLiteFailure) in
      insertRoom.bind(2, text: title)
      try insertRoom.run()
    }
  }

  func role(user: UnsafeRawBufferPointer, chat: UnsafeRawBufferPointer) throws(SQLiteFailure) -> Role {
    defer { membership.reset() }
    membership.bind(1, text: user)
    membership.bind(2, text: chat)
    return try membership.step() ? Role(stored: membership.integer(0)) : .none
  }

  func rooms(user: UnsafeRawBufferPointer) throws(SQLiteFailure) -> Int {
    defer { roomsOfUser.reset() }
    roomsOfUser.bind(1, text: user)
    return try roomsOfUser.step() ? Int(roomsOfUser.integer(0)) : 0
  }

  func insertMembership(
    user: UnsafeRawBufferPointer, chat: UnsafeRawBufferPointer, id: Int, role: Role, joined: Seq
  ) throws(SQLiteFailure) {
    insertMembership.bind(1, text: user)
    insertMembership.bind(2, text: chat)
    insertMembership.bind(3, Int64(id))
    insertMembership.bind(4, Int64(role.rawValue))
    insertMembership.bind(5, joined)
    try insertMembership.run()
  }

  func addMember(
    user: UnsafeRawBufferPointer, chat: UnsafeRawBufferPointer, id: Int, role: Role, joined: Seq
  ) throws(SQLiteFailure) {
    try insertMembership(user: user, chat: chat, id: id, role: role, joined: joined)
    insertMember.bind(1, Int64(id))
    insertMember.bind(2, text: user)
    insertMember.bind(3, Int64(role.rawValue))
    try insertMember.run()
    try changeMembers(id, by: 1)
  }

  func removeMember(
    user: UnsafeRawBufferPointer, chat: UnsafeRawBufferPointer, id: Int
  ) throws(SQLiteFailure) {
    deleteMembership.bind(1, text: user)
    deleteMembership.bind(2, text: chat)
    try deleteMembership.run()
    deleteMember.bind(1, Int64(id))
    deleteMember.bind(2, text: user)
    try deleteMember.run()
    try changeMembers(id, by: -1)
  }

  private func changeMembers(_ chat: Int, by change: Int64) throws(SQLiteFailure) {
    changeMembers.bind(1, Int64(chat))
    changeMembers.bind(2, change)
    try changeMembers.run()
  }

  /// Whether the user is in the chat and had not read that far.
  func raiseRead(
    user: UnsafeRawBufferPointer, chat: UnsafeRawBufferPointer, to seq: Seq
  ) throws(SQLiteFailure) -> Bool {
    raiseRead.bind(1, text: user)
    raiseRead.bind(2, text: chat)
    raiseRead.bind(3, seq)
    try raiseRead.run()
    return database.changes > 0
  }
}

extension Role {
  /// A role as the tables hold it. Only this program writes them, and damage reads as no role at all.
  init(stored: Int64) { self = UInt8(exactly: stored).flatMap(Role.init(rawValue:)) ?? .none }
}
