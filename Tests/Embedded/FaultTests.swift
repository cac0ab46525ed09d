import CFaultyDisk
import Chat
import Embedded
import Glibc
import Support
import Testing

/// A disk that is full or fails, below SQLite. One at a time, since the layer is the process's.
@Suite(.serialized) struct FaultTests {
  init() { #expect(faultydisk_install() == 0) }

  private func arm(_ bench: StoreBench, _ faults: faultydisk_fault) {
    faultydisk_arm(bench.path, Int32(faults.rawValue))
  }

  @Test func aFullDiskFailsSendsReadsGoOnAndRoomMakesItWellAgain() throws {
    let bench = try StoreBench(diskFails: true)
    let kept = bench.commit(bench.record("dm:a:b", "a", "1")).appended[0].seq
    arm(bench, faultydisk_writes_find_no_room)
    let records = [bench.record("dm:a:b", "a", "2"), bench.record("dm:x:y", "x", "1")]
    for _ in 0..<3 {
      let result = bench.commit(records)
      #expect(result.failed.map(\.origin) == records.map(\.origin))
      #expect(result.failed.map(\.mayHavePersisted) == [true, true])
      #expect(result.appended.isEmpty && result.batch == nil)
      #expect(!bench.store.isHealthy)
      let answer = bench.ask(.eventsAfter(0), chat: "dm:a:b")
      #expect(answer.rows.map(\.seq) == [kept] && !answer.hasFailed)
    }
    #expect(faultydisk_strikes() > 0)
    #expect(bench.store.probe().batch == nil)
    #expect(!bench.store.isHealthy)
    arm(bench, faultydisk_none)
    _ = bench.store.probe()
    #expect(bench.store.isHealthy)
    let result = bench.commit(records.map { $0.again() })
    #expect(hints(result.batch).map(\.prev) == [kept, 0])
    #expect(hints(result.batch).map(\.seq) == [kept + 1, kept + 2])
    #expect(result.batch?.since == kept)
    #expect(bench.store.chatCount == 2 && bench.store.remembered == 3)
  }

  /// The frames of the failed commit are in the file, and only their fsync failed: whether they count is
  /// for the file to say, and memory follows it.
  @Test func anFsyncThatFailsIsIndefiniteAndARepeatSettlesIt() throws {
    let bench = try StoreBench(diskFails: true)
    let kept = bench.commit(bench.record("dm:a:b", "a", "1")).appended[0].seq
    arm(bench, faultydisk_syncs_fail)
    let records = [bench.record("dm:a:b", "a", "2"), bench.record("dm:x:y", "x", "1")]
    #expect(bench.commit(records).failed.count == 2)
    // No acks before a checkpoint has come through.
    #expect(bench.commit(records.map { $0.again() }).failed.count == 2)
    arm(bench, faultydisk_none)
    let result = bench.commit(records.map { $0.again() } + [bench.record("dm:a:b", "a", "3")])
    #expect(result.failed.isEmpty)
    #expect(result.batch?.upto == bench.store.applied)
    let answer = bench.ask(.eventsAfter(0), chat: "dm:a:b")
    #expect(answer.rows.count == 3)
    #expect(answer.rows.map(\.prev) == [0] + answer.rows.dropLast().map(\.seq))
    #expect(answer.rows[0].seq == kept)
    #expect(bench.ask(.eventsAfter(0), chat: "dm:x:y").rows.count == 1)
    try bench.restart()
    #expect(bench.ask(.eventsAfter(0), chat: "dm:a:b").rows.map(\.seq) == answer.rows.map(\.seq))
  }

  /// With nobody else holding the file, reopening it recovers the log, and the failed commit counts.
  @Test func whatPersistedAfterAllIsADuplicateAndTheShardsAreTold() throws {
    let bench = try StoreBench(diskFails: true)
    bench.commit(bench.record("dm:a:b", "a", "1"))
    let before = bench.store.applied
    arm(bench, faultydisk_syncs_fail)
    let lost = bench.record("dm:a:b", "a", "2")
    #expect(bench.commit(lost).failed.count == 1)
    arm(bench, faultydisk_none)
    let result = bench.store.probe()
    #expect(bench.store.isHealthy)
    let persisted = bench.store.applied > before
    // A batch that does not join on where the shards stand, so that they look for themselves.
    #expect((result.batch?.since == before + 1) == persisted)
    let again = bench.commit(lost.again())
    #expect(again.verdicts.map(\.seq) == (persisted ? [before + 1] : []))
    #expect(hints(again.batch).map(\.seq) == (persisted ? [] : [before + 1]))
    #expect(bench.ask(.eventsAfter(0), chat: "dm:a:b").rows.count == 2)
  }

  @Test func membersOfAFailedBatchAreNone() throws {
    let bench = try StoreBench(diskFails: true)
    bench.commit(bench.create("room:lobby", "alice", "1"))
    arm(bench, faultydisk_writes_find_no_room)
    bench.commit(
      bench.record("room:lobby", "bob", "j", body: "", kind: .join), bench.create("room:new", "bob", "c"))
    arm(bench, faultydisk_none)
    #expect(bench.ask(.member, chat: "room:lobby", user: "bob").member == nil)
    let result = bench.commit(
      bench.record("room:lobby", "bob", "2").again(), bench.create("room:new", "eve", "c"))
    #expect(result.verdicts.map(\.outcome) == [.forbidden])
    #expect(hints(result.batch).map(\.user) == ["eve"])
  }

  @Test func aReaderThatCannotOpenTheFileSaysSoAndComesBack() throws {
    let bench = try StoreBench(diskFails: true)
    bench.commit(bench.record("dm:a:b", "a", "1"))
    arm(bench, faultydisk_opens_fail)
    #expect(bench.ask(.eventsAfter(0), chat: "dm:a:b").hasFailed)
    arm(bench, faultydisk_none)
    #expect(bench.ask(.eventsAfter(0), chat: "dm:a:b").rows.count == 1)
  }

  @Test func retentionThatFailsComesAgain() throws {
    let bench = try StoreBench(diskFails: true)
    bench.commit(bench.record("dm:a:b", "a", "1"))
    bench.now += 8 * 24 * 3_600_000
    bench.commit(bench.record("dm:a:b", "a", "2"))
    arm(bench, faultydisk_writes_find_no_room)
    #expect(!bench.store.retain(now: bench.now))
    #expect(!bench.store.isHealthy)
    #expect(bench.ask(.eventsAfter(0), chat: "dm:a:b").rows.count == 2)
    arm(bench, faultydisk_none)
    _ = bench.store.retain(now: bench.now)
    #expect(bench.ask(.eventsAfter(0), chat: "dm:a:b").rows.count == 1)
  }

  /// The kernel's own word for it, where the test may mount a small disk.
  @Test(.enabled(if: smallDisksAreAllowed())) func aDiskThatIsReallyFullIsNoDifferent() throws {
    let directory = try TemporaryDirectory()
    try #require(mount("tmpfs", directory.path, "tmpfs", 0, "size=2m") == 0)
    defer { umount2(directory.path, Int32(MNT_DETACH)) }
    let store = try Store(directory: directory.path + "/data", limits: Limits())
    let reader = StoreReader(store.file)
    let maker = RecordMaker()
    let body = "\"" + String(repeating: "x", count: 10_000) + "\""
    var stored: [Seq] = []
    var failed: TestRecord?
    for n in 0..<1000 where failed == nil {
      let record = maker.record("dm:a:b", "a", "c\(n)", body: body)
      let result = maker.commit([record], to: store)
      stored += result.appended.map(\.seq)
      if !result.failed.isEmpty { failed = record }
    }
    let record = try #require(failed)
    #expect(!store.isHealthy && stored.count > 20)
    let query = ViewQuery(
      tag: 1, partition: 0, what: .eventsAfter(0), chat: Array("dm:a:b".utf8), limit: 1000, bytes: 1 << 30)
    #expect(reader.answer(query).rows.map(\.seq) == stored)
    #expect(mount("tmpfs", directory.path, "tmpfs", UInt(MS_REMOUNT), "size=8m") == 0)
    let result = maker.commit([record.again()], to: store)
    #expect(hints(result.batch).map(\.prev) == [stored.last])
    #expect(reader.answer(query).rows.map(\.seq) == stored + hints(result.batch).map(\.seq))
  }
}

/// Whether this process may mount one.
private func smallDisksAreAllowed() -> Bool {
  guard let directory = try? TemporaryDirectory(),
    mount("tmpfs", directory.path, "tmpfs", 0, "size=64k") == 0
  else { return false }
  return umount2(directory.path, 0) == 0
}
