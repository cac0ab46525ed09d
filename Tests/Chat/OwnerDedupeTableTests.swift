import Chat
import Testing

@Suite struct OwnerDedupeTableTests {
  private let span = Limits.dedupeSpanMilliseconds

  /// `#expect` copies what it looks into, which a table forbids.
  private func expect(_ holds: Bool, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(holds, sourceLocation: sourceLocation)
  }

  private func key(_ n: UInt64) -> KeyedHash.Value {
    // Every bit of both words depends on n, as with the real hash.
    KeyedHash.Value(low: n &* 0x9E37_79B9_7F4A_7C15, high: (n ^ 0xABCD) &* 0xD6E8_FEB8_6659_FD93)
  }

  private func entry(_ n: UInt64, seq: Seq, at time: WallTime, outcome: Outcome = .event) -> DedupeTable.Entry
  {
    DedupeTable.Entry(key: key(n), seq: seq, outcome: outcome, time: time - 3, appended: time)
  }

  @Test func anEntryTellsWhatTheFirstOneCameTo() {
    var table = DedupeTable()
    table.append(entry(1, seq: 1 << 40, at: 1000, outcome: .notFound))
    let first = table.first(key(1), before: (1 << 40) + 1, appended: 1000)
    #expect(first?.seq == 1 << 40)
    #expect(first?.outcome == .notFound)
    #expect(first?.time == 997)
    expect(table.first(key(2), before: .max, appended: 1000) == nil)
  }

  @Test func anEntryCountsForHigherSeqsAndForEightMinutes() {
    var table = DedupeTable()
    table.append(entry(1, seq: 10, at: 1000))
    expect(table.first(key(1), before: 10, appended: 1000) == nil)
    expect(table.first(key(1), before: 11, appended: 1000 + span) != nil)
    expect(table.first(key(1), before: 11, appended: 1001 + span) == nil)
  }

  @Test func expiryDropsOnlyWhatCountsForNothingAnyMore() {
    var table = DedupeTable()
    table.append(entry(1, seq: 10, at: 1000))
    table.append(entry(2, seq: 11, at: 1001))
    table.expire(at: 1000 + span)
    expect(table.count == 2)
    table.expire(at: 1001 + span)
    expect(table.count == 1)
    expect(table.first(key(2), before: 12, appended: 1001 + span)?.seq == 11)
  }

  @Test func aRollbackForgetsTheBatchAndKeepsTheRest() {
    var table = DedupeTable()
    table.append(entry(1, seq: 1, at: 1000))
    for round in 0..<1000 as Range<UInt64> {
      let mark = table.end
      for n in 0..<50 as Range<UInt64> { table.append(entry(2 + round * 50 + n, seq: 2 + Seq(n), at: 1000)) }
      table.truncate(to: mark)
    }
    expect(table.count == 1)
    expect(table.first(key(1), before: 2, appended: 1000)?.seq == 1)
    var found = 0
    for n in 2..<50_002 as Range<UInt64> where table.first(key(n), before: .max, appended: 1000) != nil {
      found += 1
    }
    #expect(found == 0)
  }

  @Test func aFullTableSaysSo() {
    var table = DedupeTable(capacity: 2)
    table.append(entry(1, seq: 1, at: 1000))
    expect(!table.isFull)
    table.append(entry(2, seq: 2, at: 1000))
    expect(table.isFull)
    table.expire(at: 1001 + span)
    expect(!table.isFull)
  }

  /// Against a dictionary, over growing, expiring and rolling back, and past the end of several chunks.
  @Test(arguments: [1, 2, 3] as [UInt64]) func itAgreesWithADictionary(seed: UInt64) {
    var random = SeededGenerator(seed)
    var table = DedupeTable()
    var model: [UInt64: (seq: Seq, time: WallTime)] = [:]
    var now: WallTime = 1_000_000
    var seq: Seq = 1
    var wrong = 0
    for _ in 0..<400 {
      now += Int64.random(in: 0...8000, using: &random)
      let mark = table.end
      var batch: [UInt64] = []
      for _ in 0..<Int.random(in: 0...400, using: &random) {
        let n = UInt64.random(in: 0..<100_000, using: &random)
        let wanted = model[n].flatMap { now - $0.time <= span ? $0.seq : nil }
        if table.first(key(n), before: seq, appended: now)?.seq != wanted { wrong += 1 }
        guard wanted == nil, !batch.contains(n) else { continue }
        guard model[n] == nil || now - model[n]!.time > span else { continue }
        table.append(entry(n, seq: seq, at: now))
        batch.append(n)
        model[n] = (seq, now)
        seq += 1
      }
      if Int.random(in: 0..<5, using: &random) == 0 {
        table.truncate(to: mark)
        for n in batch { model[n] = nil }
      } else {
        table.expire(at: now)
      }
      model = model.filter { now - $0.value.time <= span }
    }
    #expect(wrong == 0)
    table.expire(at: now)
    expect(table.count == model.count)
  }
}

/// SplitMix64: a sequence that a seed repeats.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
