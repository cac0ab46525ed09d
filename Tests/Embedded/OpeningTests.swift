import CSQLite
import Chat
import Embedded
import Foundation
import Support
import Testing

@Suite struct OpeningTests {
  private func error(_ directory: String) -> StoreError? {
    do throws(StoreError) {
      _ = try Store(directory: directory, limits: Limits())
      return nil
    } catch {
      return error
    }
  }

  private func execute(_ path: String, _ sql: String) {
    var database: OpaquePointer?
    #expect(sqlite3_open(path, &database) == SQLITE_OK)
    #expect(sqlite3_exec(database, sql, nil, nil, nil) == SQLITE_OK)
    #expect(sqlite3_close(database) == SQLITE_OK)
  }

  /// Names and bytes of all files but the lock and SQLite's index of its log, which is made anew by whoever
  /// opens the file.
  private func content(_ directory: String) throws -> [String: Data] {
    var all: [String: Data] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: directory)
    where name != "lock" && !name.hasSuffix("-shm") {
      all[name] = try Data(contentsOf: URL(filePath: directory + "/" + name))
    }
    return all.filter { !($0.key.hasSuffix("-wal") && $0.value.isEmpty) }
  }

  @Test func aStoreKeepsItsIdentity() throws {
    let bench = try StoreBench()
    let (log, view) = (bench.store.logID, bench.store.viewID)
    #expect(log.utf8.count == 32)
    #expect(bench.store.applied == SeqSpace.nothingYet(generation: 1))
    try bench.restart()
    #expect(bench.store.logID == log)
    #expect(bench.store.viewID == view && view != 0)
    let other = try StoreBench()
    #expect(other.store.logID != log)
    #expect(other.store.viewID != view)
  }

  @Test func aRestartRemembersHeadsAndRepeats() throws {
    let bench = try StoreBench()
    let sent = (0..<200).map { bench.record("dm:a:b\($0 % 7)", "a", "c\($0)") }
    let seqs = bench.commit(sent).appended.map(\.seq)
    try bench.restart()
    #expect(bench.store.remembered == 200 && bench.store.chatCount == 7)
    #expect(bench.commit(sent.map { $0.again() }).verdicts.map(\.seq) == seqs)
    #expect(hints(bench.commit(bench.record("dm:a:b0", "a", "new")).batch).map(\.prev) == [seqs[196]])
  }

  @Test func aRestartRemembersOnlyTheLastEightMinutes() throws {
    let bench = try StoreBench()
    let old = bench.record("dm:a:b", "a", "1")
    bench.commit([old] + (0..<100).map { bench.record("dm:a:b", "a", "old\($0)") })
    bench.now += Limits.dedupeSpanMilliseconds + 1
    bench.commit((0..<30).map { bench.record("dm:a:b", "a", "c\($0)") })
    try bench.restart()
    #expect(bench.store.remembered == 30)
    #expect(hints(bench.commit(old.again()).batch).count == 1)
  }

  @Test func aSecondServerIsRefusedAndToldWhoHoldsIt() throws {
    let bench = try StoreBench()
    let refused = try #require(error(bench.path))
    #expect(refused.code == .inUse(pid: getpid()))
    #expect(refused.description.contains("process \(getpid())"))
    #expect(bench.commit(bench.record("dm:a:b", "a", "1")).appended.count == 1)
    bench.close()
    #expect(error(bench.path) == nil)
  }

  @Test func aNewerVersionIsRefusedUnharmed() throws {
    let bench = try StoreBench()
    bench.commit(bench.record("dm:a:b", "a", "1"))
    bench.close()
    execute(bench.path + "/fastchat.db", "PRAGMA user_version = 2")
    let before = try content(bench.path)
    #expect(error(bench.path)?.code == .newer)
    #expect(try content(bench.path) == before)
  }

  /// What a newer version was about to write when it was killed is not written by us either.
  @Test func aNewerVersionsUnfinishedLogIsNotTouched() throws {
    let bench = try StoreBench()
    bench.close()
    var database: OpaquePointer?
    #expect(sqlite3_open(bench.path + "/fastchat.db", &database) == SQLITE_OK)
    #expect(
      sqlite3_exec(database, "PRAGMA user_version = 2; CREATE TABLE later(x)", nil, nil, nil) == SQLITE_OK)
    let copy = try TemporaryDirectory()
    for (name, bytes) in try content(bench.path) {
      try bytes.write(to: URL(filePath: copy.path + "/" + name))
    }
    sqlite3_close(database)
    let before = try content(copy.path)
    #expect(before["fastchat.db-wal"] != nil)
    #expect(error(copy.path)?.code == .newer)
    #expect(try content(copy.path) == before)
  }

  @Test func anotherProgramsDatabaseIsRefusedUnharmed() throws {
    let directory = try TemporaryDirectory()
    execute(directory.path + "/fastchat.db", "CREATE TABLE notes(x); INSERT INTO notes VALUES(1)")
    let before = try content(directory.path)
    #expect(error(directory.path)?.code == .foreign)
    #expect(try content(directory.path) == before)
  }

  @Test func aDamagedFileIsRefusedUnharmed() throws {
    for damage in 0..<4 {
      let bench = try StoreBench()
      for batch in 0..<20 { bench.commit((0..<50).map { bench.record("dm:a:b\($0)", "a", "c\(batch)") }) }
      bench.close()
      let path = bench.path + "/fastchat.db"
      var bytes = try Data(contentsOf: URL(filePath: path))
      switch damage {
      case 0: bytes = Data("this is no database, and was never one, whatever its name says".utf8)
      case 1: bytes.replaceSubrange(0..<16, with: [UInt8](repeating: 0, count: 16))
      case 2: bytes = bytes.prefix(bytes.count / 2)
      default:
        for page in 2..<bytes.count / 4096 {
          bytes.replaceSubrange(page * 4096..<page * 4096 + 12, with: [UInt8](repeating: 0xA5, count: 12))
        }
      }
      try bytes.write(to: URL(filePath: path))
      let before = try content(bench.path)
      let refused = try #require(error(bench.path))
      #expect(refused.code == .damaged)
      #expect(!refused.description.contains("\n"))
      #expect(try content(bench.path) == before)
    }
  }

  @Test func aDirectoryThatCannotBeWrittenIsAnError() throws {
    // /proc takes no new files, whoever asks.
    let refused = try #require(error("/proc/self/fdinfo"))
    #expect(refused.code == .unwritable)
    #expect(refused.description.contains("/proc/self/fdinfo"))
    #expect(error("/proc/self/fdinfo/data")?.code == .unwritable)
    let directory = try TemporaryDirectory()
    try Data("x".utf8).write(to: URL(filePath: directory.path + "/file"))
    #expect(error(directory.path + "/file")?.code == .unwritable)
    #expect(error(directory.path + "/absent/data")?.code == .unwritable)
  }

  @Test func theDirectoryIsItsOwnersAlone() throws {
    let directory = try TemporaryDirectory()
    _ = try Store(directory: directory.path + "/data", limits: Limits())
    let attributes = try FileManager.default.attributesOfItem(atPath: directory.path + "/data")
    #expect(attributes[.posixPermissions] as? Int == 0o700)
  }

  @Test func aBackupTakenWhileItWritesIsAWholeStore() throws {
    let bench = try StoreBench()
    let copy = try TemporaryDirectory()
    var sent: [Seq] = []
    func write(_ batch: Int) {
      sent += bench.commit((0..<100).map { bench.record("dm:a:b", "a", "c\(batch).\($0)") }).appended.map(
        \.seq)
    }
    for batch in 0..<20 { write(batch) }
    var from: OpaquePointer?
    var to: OpaquePointer?
    #expect(sqlite3_open(bench.path + "/fastchat.db", &from) == SQLITE_OK)
    #expect(sqlite3_open(copy.path + "/fastchat.db", &to) == SQLITE_OK)
    let backup = sqlite3_backup_init(to, "main", from, "main")
    var steps = 0
    // A backup begins again when the file changed: a few writes between its steps, then to the end.
    while sqlite3_backup_step(backup, steps < 20 ? 10 : -1) == SQLITE_OK {
      steps += 1
      write(100 + steps)
    }
    #expect(sqlite3_backup_finish(backup) == SQLITE_OK)
    sqlite3_close(to)
    sqlite3_close(from)
    #expect(steps > 5)
    let copied = try Store(directory: copy.path, limits: Limits())
    #expect(copied.logID == bench.store.logID)
    let rows = StoreReader(copied.file).answer(
      ViewQuery(
        tag: 1, partition: 0, what: .eventsAfter(0), chat: Array("dm:a:b".utf8), limit: 100_000,
        bytes: 1 << 30))
    #expect(rows.rows.map(\.seq) == Array(sent.prefix(rows.rows.count)))
    #expect(rows.rows.count >= 2000 && copied.applied == rows.rows.last?.seq)
    #expect(copied.applied <= bench.store.applied)
  }

  @Test func aReaderSeesOnlyWhatIsCommittedAndAllOfIt() throws {
    let bench = try StoreBench()
    for n in 0..<20 {
      let seq = bench.commit(bench.record("dm:a:b", "a", "c\(n)")).appended[0].seq
      let answer = bench.ask(.eventsBefore(0), chat: "dm:a:b", limit: 1)
      #expect(answer.rows.map(\.seq) == [seq] && answer.applied == seq && answer.head == seq)
    }
  }
}
