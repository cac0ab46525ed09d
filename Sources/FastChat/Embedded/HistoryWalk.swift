import CSQLite
import Chat

/// Reads a chat's history, a linked list through `prev`, in either direction (DESIGN section 8).
///
/// ```
///   marks:      m64                      m128                head
///   events:  .. 63 <- 64 <- 65 <- .. <- 128 <- 129 <- .. <- 150
///                           ^ forward from 64: the first mark above it, and back to here
/// ```
/// A stretch between marks has 64 events at most, so a page costs its own rows and one stretch.
struct HistoryWalk {
  /// Seqs of the stretch under way, youngest first; kept for its memory.
  private var stretch: [Seq] = []

  /// Fills in events of the chat above `after`, oldest first.
  mutating func forward(
    _ answer: inout ViewAnswer, _ query: borrowing ViewQuery, chat: Int64, head: Seq, after: Seq,
    _ connection: ReaderConnection
  ) throws(SQLiteFailure) {
    var position = after
    while position < head {
      try collect(
        chat: chat, from: try connection.mark(chat: chat, above: position) ?? head, above: position,
        connection)
      // Nothing of what is above is stored any more.
      guard !stretch.isEmpty else { return }
      for seq in stretch.reversed() {
        guard try append(seq, &answer, query, connection) != nil else { return }
        position = seq
      }
    }
  }

  /// Fills in events of the chat below `before`, youngest first; 0 stands for the head and all below.
  mutating func backward(
    _ answer: inout ViewAnswer, _ query: borrowing ViewQuery, chat: Int64, head: Seq, before: Seq,
    _ connection: ReaderConnection
  ) throws(SQLiteFailure) {
    var seq = try start(chat: chat, head: head, before: before, connection)
    while try connection.prev(of: seq, chat: chat) != nil {
      guard let prev = try append(seq, &answer, query, connection) else { return }
      seq = prev
    }
  }

  /// The chat's youngest event below `before`, stored or not.
  private mutating func start(
    chat: Int64, head: Seq, before: Seq, _ connection: ReaderConnection
  ) throws(SQLiteFailure) -> Seq {
    guard before > 0, before <= head else { return head }
    // Whoever pages back names an event that he has.
    if let prev = try connection.prev(of: before, chat: chat) { return prev }
    let mark = try connection.mark(chat: chat, above: before) ?? head
    try collect(chat: chat, from: mark, above: before, connection)
    guard let oldest = stretch.last else { return 0 }
    return try connection.prev(of: oldest, chat: chat) ?? 0
  }

  /// Goes back from `seq` to the first event at or below `above`, or that is not stored.
  private mutating func collect(
    chat: Int64, from: Seq, above: Seq, _ connection: ReaderConnection
  ) throws(SQLiteFailure) {
    stretch.removeAll(keepingCapacity: true)
    var seq = from
    while seq > above, let prev = try connection.prev(of: seq, chat: chat) {
      stretch.append(seq)
      seq = prev
    }
  }

  /// Adds an event that is stored and gives its `prev`; nil where it does not fit any more.
  private func append(
    _ seq: Seq, _ answer: inout ViewAnswer, _ query: borrowing ViewQuery, _ connection: ReaderConnection
  ) throws(SQLiteFailure) -> Seq? {
    defer { connection.event.reset() }
    connection.event.bind(1, seq)
    guard try connection.event.step() else { throw SQLiteFailure(code: SQLITE_CORRUPT) }
    let record = try EventRecord(checking: connection.event.bytes(1))
    guard answer.hasRoom(for: record.user.count + record.json.count, query) else { return nil }
    let prev = connection.event.integer(0)
    var row = ViewAnswer.Row(record, seq: seq, prev: prev)
    row.user = answer.take(record.user)
    row.json = answer.take(record.json)
    answer.rows.append(row)
    return prev
  }
}
