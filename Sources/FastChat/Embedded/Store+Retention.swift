public import Chat

/// Letting go of what is older than the window, a portion at a time.
///
/// A chat loses its oldest events first, so that what is stored is always the end of its linked list: a
/// reader that goes back along it ends where the first stored event has a `prev` that is not stored,
/// which is the shape of `reset` (DESIGN section 5). Seqs are never used again, since the counter stays.
extension Store {
  /// Rows that one call deletes at most of old events and of outcomes; of chats that are too long, up to a
  /// mark's distance more.
  public static let portionRows = 512
  /// Chats that may wait to be cut; one that finds no room comes again with its next mark.
  private static let waitingChats = 4096
  /// Chats that one call looks at, most of which may be too young to be cut.
  private static let chatsAtOnce = 64

  /// Deletes a portion of what the window does not promise: events older than `windowMilliseconds`, those
  /// of a chat beyond `windowEvents` (by marks, so up to 127 more stay), and outcomes that no
  /// repeat can meet. Nothing within the dedupe span goes, since a restart reads it.
  ///
  /// True where there is more to do: the caller then comes again after its next batch, else in a second.
  public func retain(now: WallTime) -> Bool {
    touched.removeAll(keepingCapacity: true)
    do throws(SQLiteFailure) {
      let writer = try recovered()
      try writer.beginTransaction()
      let remembered = appended - Limits.dedupeSpanMilliseconds
      let oldest = min(now - limits.windowMilliseconds, remembered)
      let moreEvents = try deleteEvents(before: oldest, writer)
      let moreOutcomes = try deleteOutcomes(before: remembered, writer)
      let moreChats = try cutOverlong(before: remembered, writer)
      try writer.commitTransaction()
      return moreEvents || moreOutcomes || moreChats
    } catch {
      abandon(error, mark: dedupe.end, known: chats.count)
      return false
    }
  }

  /// Notes a chat that has a mark's distance more than the window promises.
  func noteLength(_ chat: Int, events: Int) {
    guard events >= limits.windowEvents + Int(Self.markDistance), overlong.count < Self.waitingChats else {
      return
    }
    overlong.append(chat)
  }

  private func deleteEvents(before time: WallTime, _ writer: Writer) throws(SQLiteFailure) -> Bool {
    var last: Seq = 0
    var rows = 0
    var chats: Set<Int64> = []
    defer { writer.oldest.reset() }
    writer.oldest.bind(1, Int64(Self.portionRows))
    while try writer.oldest.step() {
      let record = try EventRecord(checking: writer.oldest.bytes(2))
      guard record.appended < time else { break }
      last = writer.oldest.integer(0)
      chats.insert(writer.oldest.integer(1))
      rows += 1
    }
    writer.oldest.reset()
    guard rows > 0 else { return false }
    writer.deleteEvents.bind(1, last)
    try writer.deleteEvents.run()
    for chat in chats { try writer.deleteMarks(chat: chat, upTo: last) }
    return rows == Self.portionRows
  }

  private func deleteOutcomes(before time: WallTime, _ writer: Writer) throws(SQLiteFailure) -> Bool {
    var last: Seq = 0
    var rows = 0
    defer { writer.oldestOutcomes.reset() }
    writer.oldestOutcomes.bind(1, Int64(Self.portionRows))
    while try writer.oldestOutcomes.step() {
      guard writer.oldestOutcomes.integer(1) < time else { break }
      last = writer.oldestOutcomes.integer(0)
      rows += 1
    }
    writer.oldestOutcomes.reset()
    guard rows > 0 else { return false }
    writer.deleteOutcomes.bind(1, last)
    try writer.deleteOutcomes.run()
    return rows == Self.portionRows
  }

  /// Cuts chats that are too long, a stretch up to their oldest mark at a time; true where there is more to cut at
  /// once. One whose oldest events are still in the dedupe span waits behind the others.
  private func cutOverlong(before time: WallTime, _ writer: Writer) throws(SQLiteFailure) -> Bool {
    let kept = (limits.windowEvents + Int(Self.markDistance) - 1) / Int(Self.markDistance)
    var rows = 0
    var looks = min(overlong.count, Self.chatsAtOnce)
    while rows < Self.portionRows, looks > 0, let chat = overlong.last {
      if let far = try writer.farMark(chat: chat, newer: kept),
        let mark = try writer.oldestMark(chat: chat), mark <= far
      {
        if let deleted = try deleteStretch(chat: chat, to: mark, before: time, writer) {
          rows += deleted
          continue
        }
        overlong.insert(chat, at: 0)
      }
      overlong.removeLast()
      looks -= 1
    }
    return rows >= Self.portionRows
  }

  /// Deletes a chat's events from the oldest stored one to `mark`: the events deleted, nil where the
  /// youngest of them is still in the dedupe span.
  private func deleteStretch(
    chat: Int, to mark: Seq, before time: WallTime, _ writer: Writer
  ) throws(SQLiteFailure) -> Int? {
    var seq = mark
    var rows = 0
    while let (prev, appended) = try writer.event(seq) {
      guard appended < time else { return nil }
      try writer.deleteEvent(seq)
      rows += 1
      seq = prev
    }
    try writer.deleteMarks(chat: Int64(chat), upTo: mark)
    return rows
  }
}
