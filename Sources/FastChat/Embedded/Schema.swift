import CSQLite
import Chat
import Glibc

/// The tables of a store, and how a file is told from one that is not ours (DESIGN section 8).
enum Schema {
  /// "FChS": written into the header of the file, where `file` and SQLite find it.
  static let applicationID: Int64 = 0x4643_6853
  static let version: Int64 = 1

  /// - `store`: one row; `applied` is the seq of the last record, and is never used again after retention;
  ///   `appended` its append time; the seeds belong to `KeyedHash`; `probes` is there to be changed.
  /// - `chats`: ids count from 1 without gaps, since the writer's table is an array.
  /// - `heads`: apart from the names, so that what each batch writes is dense; `events` counts all that
  ///   the chat ever had.
  /// - `log`: a chat's history is a linked list through `prev`; `value` is an `EventRecord`.
  /// - `marks`: every 64th event of a chat that is still stored, to start a walk from.
  /// - `outcomes`: what came to no event, for the dedupe table after a restart; the last 8 minutes.
  /// - `members` of rooms; `memberships` are the same by user, direct chats too.
  private static let tables = """
    CREATE TABLE store(id INTEGER PRIMARY KEY CHECK(id = 1), log TEXT NOT NULL, view INTEGER NOT NULL,
      seed_low INTEGER NOT NULL, seed_high INTEGER NOT NULL,
      applied INTEGER NOT NULL, appended INTEGER NOT NULL, probes INTEGER NOT NULL);
    CREATE TABLE chats(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE heads(chat INTEGER PRIMARY KEY, head INTEGER NOT NULL, events INTEGER NOT NULL);
    CREATE TABLE log(seq INTEGER PRIMARY KEY, chat INTEGER NOT NULL, prev INTEGER NOT NULL, value BLOB NOT NULL);
    CREATE TABLE marks(chat INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(chat, seq)) WITHOUT ROWID;
    CREATE TABLE outcomes(seq INTEGER PRIMARY KEY, outcome INTEGER NOT NULL, time INTEGER NOT NULL,
      appended INTEGER NOT NULL, hash_low INTEGER NOT NULL, hash_high INTEGER NOT NULL);
    CREATE TABLE rooms(chat INTEGER PRIMARY KEY, title TEXT NOT NULL, public INTEGER NOT NULL,
      members INTEGER NOT NULL);
    CREATE TABLE members(chat INTEGER NOT NULL, user TEXT NOT NULL, role INTEGER NOT NULL,
      PRIMARY KEY(chat, user)) WITHOUT ROWID;
    CREATE TABLE memberships(user TEXT NOT NULL, chat TEXT NOT NULL, id INTEGER NOT NULL,
      role INTEGER NOT NULL, joined INTEGER NOT NULL, read INTEGER NOT NULL,
      PRIMARY KEY(user, chat)) WITHOUT ROWID;
    """

  /// Bytes of a page: the last one of the log is written again by each batch, so a small one.
  private static let pageBytes = 4096
  /// A file up to this many bytes is looked through completely at each start, a larger one as it is read.
  private static let checkedBytes: Int64 = 64 << 20

  enum Content { case nothing, ours }

  /// Looks at a file without changing a byte of it.
  static func inspect(_ path: String) throws(StoreError) -> Content {
    do throws(SQLiteFailure) {
      guard access(path, F_OK) == 0 else { return .nothing }
      let database = try Database(path: path, access: .readOnly)
      fc_sqlite_no_checkpoint_on_close(database.handle)
      let application = try database.integer("PRAGMA application_id")
      if application == 0, try database.integer("SELECT count(*) FROM sqlite_schema") == 0 { return .nothing }
      guard application == applicationID else {
        throw SQLiteFailure(code: foreign)
      }
      guard try database.integer("PRAGMA user_version") <= version else { throw SQLiteFailure(code: newer) }
      let bytes = try database.integer("PRAGMA page_count") * database.integer("PRAGMA page_size")
      if bytes <= checkedBytes {
        guard try database.integer("SELECT quick_check = 'ok' FROM pragma_quick_check(1)") == 1 else {
          throw SQLiteFailure(code: SQLITE_CORRUPT)
        }
      }
      return .ours
    } catch {
      throw explained(error, path)
    }
  }

  /// Codes of our own, beyond SQLite's, for `explained`.
  private static let foreign: Int32 = 1 << 30
  private static let newer: Int32 = 1 << 30 + 1

  /// What a failure while opening means to people.
  static func explained(_ failure: SQLiteFailure, _ path: String) -> StoreError {
    if failure.code == foreign {
      return StoreError(.foreign, "\(path) is not a store of FastChat; name another data directory")
    }
    if failure.code == newer {
      return StoreError(.newer, "\(path) was written by a newer version of FastChat; run that version")
    }
    if failure.isDamage {
      return StoreError(
        .damaged,
        "\(path) is damaged (\(failure.message)) and was left as it is; keep it, and name an empty data directory "
          + "(OPERATIONS.md, Backup, says why no copy may take its place)"
      )
    }
    return StoreError(.unwritable, "cannot open \(path): \(failure.message)")
  }

  /// Makes the tables of a new store, with its identity, all in one transaction.
  static func create(_ path: String) throws(SQLiteFailure) {
    var random = SystemRandomNumberGenerator()
    let log = hex(random.next()) + hex(random.next())
    // Never 0: that is no view's id.
    let view = Int64(bitPattern: random.next() | 1)
    let seeds = (Int64(bitPattern: random.next()), Int64(bitPattern: random.next()))
    let database = try Database(path: path, access: .create)
    try database.execute(
      "PRAGMA page_size = \(pageBytes); PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
    try database.execute(
      """
      BEGIN IMMEDIATE;
      \(tables)
      INSERT INTO store VALUES(1, '\(log)', \(view), \(seeds.0), \(seeds.1),
        \(SeqSpace.nothingYet(generation: Store.generation)), 0, 0);
      PRAGMA application_id = \(applicationID);
      PRAGMA user_version = \(version);
      COMMIT
      """)
  }

  private static func hex(_ word: UInt64) -> String {
    let digits = String(word, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
  }
}
