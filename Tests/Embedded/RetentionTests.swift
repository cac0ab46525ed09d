import Chat
import Embedded
import Testing

@Suite struct RetentionTests {
  private let day: Int64 = 24 * 3_600_000

  @Test func whatIsOlderThanTheWindowGoesInPortions() throws {
    let bench = try StoreBench()
    for batch in 0..<3 { bench.commit((0..<400).map { bench.record("dm:a:b", "a", "c\(batch).\($0)") }) }
    let head = bench.store.applied
    bench.now += 8 * day
    let young = bench.commit(bench.record("dm:a:c", "a", "young")).appended[0].seq
    // Append times count, and the dedupe span hangs on the last record's.
    #expect(bench.store.retain(now: bench.now))
    #expect(bench.ask(.eventsAfter(0), chat: "dm:a:b", limit: 2000).rows.count == 1200 - Store.portionRows)
    #expect(bench.store.retain(now: bench.now))
    #expect(!bench.store.retain(now: bench.now))
    let answer = bench.ask(.eventsAfter(0), chat: "dm:a:b")
    #expect(answer.rows.isEmpty && !answer.hasMore)
    // None is stored and the head is above: a reset.
    #expect(answer.head == head)
    #expect(bench.ask(.eventsBefore(0), chat: "dm:a:b").rows.isEmpty)
    #expect(bench.ask(.eventsAfter(0), chat: "dm:a:c").rows.map(\.seq) == [young])
    #expect(bench.ask(.chats(after: []), user: "b").rows.map(\.seq) == [head])
    bench.commit(bench.record("dm:a:b", "b", "new"))
    let rows = bench.ask(.eventsAfter(head - 5), chat: "dm:a:b").rows
    #expect(rows.map(\.prev) == [head])
  }

  @Test func theOldestStoredEventShowsTheGap() throws {
    let bench = try StoreBench()
    var seqs: [Seq] = []
    for batch in 0..<4 {
      seqs += bench.commit((0..<100).map { bench.record("dm:a:b", "a", "c\(batch).\($0)") }).appended.map(
        \.seq)
      bench.now += 3 * day
    }
    while bench.store.retain(now: bench.now) {}
    let stored = Array(seqs[200...])
    for cursor in [0, seqs[3], seqs[150]] {
      let answer = bench.ask(.eventsAfter(cursor), chat: "dm:a:b", limit: 1000)
      #expect(answer.rows.map(\.seq) == stored)
      #expect(answer.rows[0].prev > cursor)
    }
    #expect(bench.ask(.eventsBefore(0), chat: "dm:a:b", limit: 1000).rows.map(\.seq) == stored.reversed())
    #expect(bench.ask(.eventsBefore(seqs[150]), chat: "dm:a:b", limit: 1000).rows.isEmpty)
    #expect(bench.ask(.eventsBefore(stored[0]), chat: "dm:a:b", limit: 1000).rows.isEmpty)
  }

  @Test func seqsAreNotUsedAgainAfterAllIsGone() throws {
    let bench = try StoreBench()
    let last = bench.commit(bench.record("dm:a:b", "a", "1")).appended[0].seq
    bench.now += 8 * day
    bench.commit(bench.record("room:none", "a", "2", body: "", kind: .join))
    while bench.store.retain(now: bench.now) {}
    try bench.restart()
    #expect(bench.commit(bench.record("dm:a:b", "a", "3")).appended.map(\.seq) == [last + 2])
  }

  @Test func aChatKeepsItsNewestEvents() throws {
    var limits = Limits()
    limits.windowEvents = 200
    let bench = try StoreBench(limits: limits)
    var seqs: [Seq] = []
    for batch in 0..<20 {
      seqs += bench.commit((0..<100).map { bench.record("dm:a:b", "a", "c\(batch).\($0)") }).appended.map(
        \.seq)
      bench.commit(bench.record("dm:a:c", "a", "c\(batch)"))
    }
    // Nothing that a restart must remember goes.
    while bench.store.retain(now: bench.now) {}
    #expect(bench.ask(.eventsAfter(0), chat: "dm:a:b", limit: 5000).rows.count == 2000)
    bench.now += Limits.dedupeSpanMilliseconds + 1
    seqs += bench.commit((0..<100).map { bench.record("dm:a:b", "a", "d\($0)") }).appended.map(\.seq)
    var calls = 0
    while bench.store.retain(now: bench.now) { calls += 1 }
    #expect(calls >= 3)
    let rows = bench.ask(.eventsAfter(0), chat: "dm:a:b", limit: 5000).rows.map(\.seq)
    #expect(rows.count >= 200 && rows.count < 328)
    #expect(rows == Array(seqs.suffix(rows.count)))
    #expect(bench.ask(.eventsBefore(0), chat: "dm:a:b", limit: 5000).rows.map(\.seq) == rows.reversed())
    #expect(bench.ask(.eventsAfter(0), chat: "dm:a:c", limit: 100).rows.count == 20)
  }

  @Test func aChatThatWasTooYoungToBeCutIsCutLater() throws {
    var limits = Limits()
    limits.windowEvents = 100
    let bench = try StoreBench(limits: limits)
    bench.commit((0..<300).map { bench.record("dm:a:b", "a", "c\($0)") })
    while bench.store.retain(now: bench.now) {}
    #expect(bench.ask(.eventsAfter(0), chat: "dm:a:b", limit: 500).rows.count == 300)
    bench.now += Limits.dedupeSpanMilliseconds + 1
    bench.commit(bench.record("dm:a:c", "a", "later"))
    while bench.store.retain(now: bench.now) {}
    let rows = bench.ask(.eventsAfter(0), chat: "dm:a:b", limit: 500).rows
    #expect(rows.count >= 100 && rows.count < 228)
  }

  @Test func outcomesGoWhenNoRepeatCanMeetThem() throws {
    let bench = try StoreBench()
    let join = bench.record("room:none", "a", "1", body: "", kind: .join)
    bench.commit(join)
    bench.now += Limits.dedupeSpanMilliseconds
    bench.commit(bench.record("dm:a:b", "a", "2"))
    #expect(!bench.store.retain(now: bench.now))
    try bench.restart()
    #expect(bench.commit(join.again()).verdicts.map(\.outcome) == [.duplicate])
    bench.now += 1
    bench.commit(bench.record("dm:a:b", "a", "3"))
    _ = bench.store.retain(now: bench.now)
    try bench.restart()
    #expect(bench.store.remembered == 2)
    #expect(bench.commit(join.again()).verdicts.map(\.outcome) == [.notFound])
  }
}
