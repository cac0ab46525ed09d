public import Chat
import Glibc
import JSON
import Synchronization

/// A store's file, as its writer and its readers share it.
public final class StoreFile: Sendable {
  let path: String
  /// Counts how often the writer gave up its connection: what a reader has open is then of before.
  let reopenings = Atomic<Int>(0)

  init(path: String) { self.path = path }

  /// Whether so much may still be written beside it; true where that cannot be told.
  func hasRoom(bytes: Int) -> Bool {
    var facts = statvfs()
    guard statvfs(path, &facts) == 0 else { return true }
    return UInt64(facts.f_bavail) * UInt64(facts.f_frsize) >= UInt64(bytes)
  }
}

/// The embedded backbone's log, owner and view over one SQLite file (DESIGN section 8): judges, appends
/// and applies a batch in one transaction, and reports it after COMMIT returned.
///
/// It has no thread and no clock: calls wait for the disk, come from one thread, and say what time it is.
/// The file may be copied while it runs, by SQLite's backup (`sqlite3 fastchat.db '.backup copy.db'` or
/// `VACUUM INTO`), not by `cp`. A copy that replaces a store that went on would give seqs a second time:
/// restoring needs a new generation of the log (DESIGN section 5, "What stops a partition").
public final class Store {
  /// Records that one commit takes at most, and bytes of them; the caller cuts there.
  public static let batchRecords = 512
  public static let batchBytes = 1 << 20
  /// The directory of a single server is itself, and never another.
  public static let directoryID: UInt64 = 1
  static let partition: Int32 = 0
  static let generation: Int64 = 1

  /// For the readers, which live on other threads.
  public let file: StoreFile
  /// The log's id: random, made with the file.
  public let logID: String
  /// The view's id: random, made with the file.
  public let viewID: UInt64
  /// The seq of the last record: the log's end, and how far the view is.
  public internal(set) var applied: Seq
  /// Whether the last attempt to write came through.
  public var isHealthy: Bool { failure == nil }
  /// Why it did not, in words; empty where it did.
  public var complaint: String { failure?.message ?? "" }
  var failure: SQLiteFailure?
  /// Records whose repeats would be recognised now.
  public var remembered: Int { dedupe.count }
  /// Chats that ever had an event.
  public var chatCount: Int { chats.count }

  let limits: Limits
  let hash: KeyedHash
  let result = CommitResult()
  var chats = ChatTable()
  var dedupe: DedupeTable
  /// Append time of the last record.
  var appended: WallTime
  /// `upto` of the last batch given out.
  var announced: Seq
  /// Nil between a failure of the disk and the connection that is opened after it.
  var writer: Writer?
  /// Memory is not the file's any more: it is read again before anything else.
  var isStale = false
  /// Ids of the chats that the batch under way changed.
  var touched: [Int] = []
  /// Chats with more events than the window promises, to be cut by `retain`.
  var overlong: [Int] = []
  /// The value of the row being written, and the hints of the batch.
  var value = ByteBuffer(capacity: 64 << 10)
  var hints = ByteBuffer(capacity: 256 << 10)
  private let directory: DataDirectory

  /// Opens the store in `directory`, and makes both where they are absent.
  ///
  /// Refused without changing a byte: a file of a newer version, one that is damaged, one that is not
  /// ours, and a directory that another server holds. `rememberedRecords` bounds the dedupe table.
  public init(
    directory path: String, limits: Limits, rememberedRecords: Int = DedupeTable.maximumEntries
  ) throws(StoreError) {
    directory = try DataDirectory(path)
    self.limits = limits
    dedupe = DedupeTable(capacity: rememberedRecords)
    let file = StoreFile(path: DataDirectory.databasePath(path))
    self.file = file
    let content = try Schema.inspect(file.path)
    do throws(SQLiteFailure) {
      if content == .nothing {
        try Schema.create(file.path)
        DataDirectory.sync(path)
      }
      let writer = try Writer(path: file.path)
      try writer.checkpointCompletely()
      let identity = try writer.identity()
      logID = identity.log
      viewID = identity.view
      hash = identity.hash
      let progress = try writer.progress()
      applied = progress.applied
      appended = progress.appended
      announced = progress.applied
      self.writer = writer
    } catch {
      throw Schema.explained(error, file.path)
    }
    touched.reserveCapacity(Self.batchRecords)
    do throws(SQLiteFailure) {
      try readMemory()
    } catch {
      throw Schema.explained(error, file.path)
    }
  }
}
