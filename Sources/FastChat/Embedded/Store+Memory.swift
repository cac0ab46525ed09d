import CSQLite
import Chat
import Synchronization

/// What the writer keeps in memory is a copy of the file, and is read from it again whenever the two may
/// differ (DESIGN section 8: a failed commit is an indefinite outcome).
extension Store {
  /// The writer, over a file that is known to be on the disk and a memory that is the file's.
  func recovered() throws(SQLiteFailure) -> Writer {
    if let writer, !isStale { return writer }
    let writer: Writer
    if let open = self.writer { writer = open } else { writer = try reopened() }
    self.writer = writer
    (applied, appended) = try writer.progress()
    try readMemory()
    return writer
  }

  /// After a failed fsync the page cache is not the disk: nothing is believed before a checkpoint has
  /// written everything again.
  private func reopened() throws(SQLiteFailure) -> Writer {
    let writer = try Writer(path: file.path)
    try writer.checkpointCompletely()
    return writer
  }

  /// Takes back what a transaction that failed did to memory. `mark` and `known` are the end of the dedupe
  /// table and the number of chats from before it.
  func abandon(_ failure: SQLiteFailure, mark: UInt64, known: Int) {
    self.failure = failure
    guard let writer, !isStale else { return }
    do throws(SQLiteFailure) {
      try writer.rollBack()
      if failure.isInputOutput || failure.isDamage { throw failure }
      guard try writer.progress().applied == applied else {
        isStale = true
        return
      }
      chats.truncate(to: known)
      dedupe.truncate(to: mark)
      for chat in touched where chat <= known {
        guard let row = try writer.head(chat: chat) else { throw SQLiteFailure(code: SQLITE_CORRUPT) }
        chats[chat].pointee.head = row.head
        chats[chat].pointee.events = row.events
        chats[chat].pointee.isTouched = false
      }
    } catch {
      giveUpConnection()
    }
  }

  private func giveUpConnection() {
    writer = nil
    isStale = true
    file.reopenings.add(1, ordering: .releasing)
  }

  /// Fills the chats' heads and the dedupe table from the file.
  func readMemory() throws(SQLiteFailure) {
    guard let writer else { preconditionFailure("memory is read through a connection") }
    chats = ChatTable()
    let heads = try writer.prepare(
      "SELECT c.id, c.name, h.head, h.events FROM chats c CROSS JOIN heads h ON h.chat = c.id ORDER BY c.id")
    defer { heads.finalize() }
    while try heads.step() {
      guard heads.integer(0) == chats.count + 1, let events = UInt32(exactly: heads.integer(3)) else {
        throw SQLiteFailure(code: SQLITE_CORRUPT)
      }
      _ = chats.append(hash(heads.bytes(1)), head: heads.integer(2), events: events)
    }
    try readDedupeSpan(writer)
    overlong.removeAll()
    isStale = false
  }

  /// Reads events and outcomes of the last 8 minutes of the log, in its order.
  private func readDedupeSpan(_ writer: Writer) throws(SQLiteFailure) {
    dedupe.removeAll()
    let start = appended - Limits.dedupeSpanMilliseconds
    let events = try writer.prepare("SELECT seq, value FROM log WHERE seq >= ?1 ORDER BY seq")
    defer { events.finalize() }
    let outcomes = try writer.prepare(
      """
      SELECT seq, outcome, time, appended, hash_low, hash_high FROM outcomes
      WHERE appended >= ?1 ORDER BY seq
      """)
    defer { outcomes.finalize() }
    outcomes.bind(1, start)
    events.bind(1, try firstEvent(appendedAt: start, events))
    var event = try nextEvent(events)
    var outcome = try nextOutcome(outcomes)
    while !dedupe.isFull {
      switch (event, outcome) {
      case (nil, nil): return
      case (let next?, let other) where other == nil || next.seq < other!.seq:
        dedupe.append(next)
        event = try nextEvent(events)
      default:
        dedupe.append(outcome!)
        outcome = try nextOutcome(outcomes)
      }
    }
  }

  private func nextEvent(_ events: Statement) throws(SQLiteFailure) -> DedupeTable.Entry? {
    guard try events.step() else { return nil }
    let record = try EventRecord(checking: events.bytes(1))
    return DedupeTable.Entry(
      key: record.hash, seq: events.integer(0), outcome: .event, time: record.time, appended: record.appended)
  }

  private func nextOutcome(_ outcomes: Statement) throws(SQLiteFailure) -> DedupeTable.Entry? {
    guard try outcomes.step() else { return nil }
    guard let outcome = UInt8(exactly: outcomes.integer(1)).flatMap(Outcome.init(rawValue:)) else {
      throw SQLiteFailure(code: SQLITE_CORRUPT)
    }
    return DedupeTable.Entry(
      key: KeyedHash.Value(
        low: UInt64(bitPattern: outcomes.integer(4)), high: UInt64(bitPattern: outcomes.integer(5))),
      seq: outcomes.integer(0), outcome: outcome, time: outcomes.integer(2), appended: outcomes.integer(3))
  }

  /// Bisects the log, whose append times never fall, for the first seq from which on all were appended
  /// at `time` or later.
  private func firstEvent(appendedAt time: WallTime, _ events: Statement) throws(SQLiteFailure) -> Seq {
    defer { events.reset() }
    var low = SeqSpace.base(generation: Self.generation)
    var high = applied + 1
    while low < high {
      let middle = low + (high - low) / 2
      events.reset()
      events.bind(1, middle)
      if let entry = try nextEvent(events), entry.appended < time {
        low = entry.seq + 1
      } else {
        high = middle
      }
    }
    return low
  }
}
