import CSQLite

/// What SQLite said no with: an extended result code.
struct SQLiteFailure: Error {
  let code: Int32

  var primary: Int32 { code & 0xFF }
  /// The file is not what SQLite wrote.
  var isDamage: Bool { primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB }
  /// The kernel failed an operation on the file: what the page cache shows may never reach the disk.
  var isInputOutput: Bool { primary == SQLITE_IOERR }
  /// No room is left on the disk.
  var isFull: Bool { primary == SQLITE_FULL }
  var message: String { String(cString: sqlite3_errstr(code)) }
}

/// One connection and the statements prepared on it, all used by one thread at a time.
final class Database {
  let handle: OpaquePointer

  enum Access { case readOnly, readWrite, create }

  /// Opens a file; only `.create` makes one that is absent.
  init(path: String, access: Access) throws(SQLiteFailure) {
    var opened: OpaquePointer?
    let how =
      switch access {
      case .readOnly: SQLITE_OPEN_READONLY
      case .readWrite: SQLITE_OPEN_READWRITE
      case .create: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
      }
    let result = sqlite3_open_v2(
      path, &opened, how | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_PRIVATECACHE, nil)
    guard result == SQLITE_OK, let opened else {
      sqlite3_close(opened)
      throw SQLiteFailure(code: result)
    }
    handle = opened
  }

  deinit {
    while let statement = sqlite3_next_stmt(handle, nil) { sqlite3_finalize(statement) }
    sqlite3_close(handle)
  }

  /// Prepares a statement that lives as long as the connection.
  func prepare(_ sql: StaticString) throws(SQLiteFailure) -> Statement {
    var raw: OpaquePointer?
    let text = UnsafeRawPointer(sql.utf8Start).assumingMemoryBound(to: CChar.self)
    let result = sqlite3_prepare_v3(
      handle, text, Int32(sql.utf8CodeUnitCount), UInt32(SQLITE_PREPARE_PERSISTENT), &raw, nil)
    guard result == SQLITE_OK, let raw else { throw SQLiteFailure(code: result) }
    return Statement(raw: raw)
  }

  /// Runs statements whose rows nobody wants. For cold paths.
  func execute(_ sql: String) throws(SQLiteFailure) {
    let result = sqlite3_exec(handle, sql, nil, nil, nil)
    guard result == SQLITE_OK else { throw SQLiteFailure(code: result) }
  }

  /// The first column of a statement's first row, 0 if there is none. For cold paths.
  func integer(_ sql: String) throws(SQLiteFailure) -> Int64 {
    var raw: OpaquePointer?
    let result = sqlite3_prepare_v2(handle, sql, -1, &raw, nil)
    guard result == SQLITE_OK, let raw else { throw SQLiteFailure(code: result) }
    defer { sqlite3_finalize(raw) }
    let statement = Statement(raw: raw)
    return try statement.step() ? statement.integer(0) : 0
  }

  var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }
  /// Rows that the last statement changed.
  var changes: Int { Int(sqlite3_changes(handle)) }
}

/// A prepared statement. Parameters count from 1, columns from 0, as in SQLite; bytes that are bound must
/// outlive the step, since they are not copied.
struct Statement {
  let raw: OpaquePointer

  @inline(__always)
  func bind(_ index: Int32, _ value: Int64) { sqlite3_bind_int64(raw, index, value) }

  @inline(__always)
  func bind(_ index: Int32, text: UnsafeRawBufferPointer) {
    let start = text.baseAddress ?? UnsafeRawPointer(Self.nothing.utf8Start)
    sqlite3_bind_text(raw, index, start.assumingMemoryBound(to: CChar.self), Int32(text.count), nil)
  }

  @inline(__always)
  func bind(_ index: Int32, blob: UnsafeRawBufferPointer) {
    sqlite3_bind_blob(
      raw, index, blob.baseAddress ?? UnsafeRawPointer(Self.nothing.utf8Start), Int32(blob.count), nil)
  }

  /// SQLite takes a null pointer for NULL, not for the empty text.
  private static let nothing: StaticString = ""

  /// Goes to the next row; false at the end.
  @inline(__always)
  func step() throws(SQLiteFailure) -> Bool {
    switch sqlite3_step(raw) {
    case SQLITE_ROW: return true
    case SQLITE_DONE: return false
    case let code: throw SQLiteFailure(code: code)
    }
  }

  /// Runs a statement that gives no rows, and makes it ready to run again.
  @inline(__always)
  func run() throws(SQLiteFailure) {
    defer { reset() }
    _ = try step()
  }

  /// Ends a read: until then its transaction stays open.
  @inline(__always)
  func reset() { sqlite3_reset(raw) }

  /// Gives the statement back before its connection ends.
  func finalize() { sqlite3_finalize(raw) }

  @inline(__always)
  func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(raw, column) }

  /// A text or a blob, valid until the next step or reset.
  @inline(__always)
  func bytes(_ column: Int32) -> UnsafeRawBufferPointer {
    let start = sqlite3_column_blob(raw, column)
    return UnsafeRawBufferPointer(
      start: start, count: start == nil ? 0 : Int(sqlite3_column_bytes(raw, column)))
  }
}

extension [UInt8] {
  /// The bytes, for a body that talks to SQLite.
  func withBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws(SQLiteFailure) -> Result
  ) throws(SQLiteFailure) -> Result {
    try withUnsafeBufferPointer { (elements) throws(SQLiteFailure) in
      try body(UnsafeRawBufferPointer(elements))
    }
  }
}
