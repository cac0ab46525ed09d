public import Chat
import JSON
import Synchronization

/// The embedded backbone's view for reading: a second connection, used by one thread that need not be the
/// writer's. Each answer is of one moment, and holds nothing that is not on the disk.
public final class StoreReader {
  private let file: StoreFile
  private var connection: ReaderConnection?
  /// The writer's reopenings when `connection` was opened.
  private var reopenings = 0
  private var history = HistoryWalk()

  public init(_ file: StoreFile) { self.file = file }

  /// Answers a query in one read transaction. A failure is an answer too (`hasFailed`), and the next query
  /// opens the file again.
  public func answer(_ query: borrowing ViewQuery) -> ViewAnswer {
    do throws(SQLiteFailure) {
      let connection = try opened()
      try connection.beginRead()
      let (view, applied) = try connection.readProgress()
      var answer = ViewAnswer(
        tag: query.tag, partition: query.partition, view: view, directory: Store.directoryID, applied: applied
      )
      answer.logEnd = applied
      try fill(&answer, query, connection)
      try connection.endRead()
      return answer
    } catch {
      connection = nil
      var answer = ViewAnswer(
        tag: query.tag, partition: query.partition, view: 0, directory: Store.directoryID, applied: 0)
      answer.hasFailed = true
      return answer
    }
  }

  private func opened() throws(SQLiteFailure) -> ReaderConnection {
    let current = file.reopenings.load(ordering: .acquiring)
    if let connection, reopenings == current { return connection }
    connection = nil
    let opened = try ReaderConnection(path: file.path)
    reopenings = current
    connection = opened
    return opened
  }

  private func fill(
    _ answer: inout ViewAnswer, _ query: borrowing ViewQuery, _ connection: ReaderConnection
  ) throws(SQLiteFailure) {
    var chat: (id: Int64, head: Seq)?
    if !query.chat.isEmpty {
      chat = try query.chat.withBytes { (name) throws(SQLiteFailure) in try connection.readHead(name) }
      answer.head = chat?.head ?? 0
      try fillStanding(&answer, query, chat?.id, connection)
    }
    switch query.what {
    case .member: return
    case .chats(let after): try fillChats(&answer, query, after: after, connection)
    case .members(let after): try fillMembers(&answer, query, chat?.id, after: after, connection)
    case .recent(let after): try fillRecent(&answer, query, after: after, connection)
    case .eventsAfter(let seq):
      guard let chat else { return }
      try history.forward(&answer, query, chat: chat.id, head: chat.head, after: seq, connection)
    case .eventsBefore(let seq):
      guard let chat else { return }
      try history.backward(&answer, query, chat: chat.id, head: chat.head, before: seq, connection)
    }
  }

  /// The room and the asking user's row in the chat. A direct chat has its two users by its name, whether
  /// or not it has begun.
  private func fillStanding(
    _ answer: inout ViewAnswer, _ query: borrowing ViewQuery, _ chat: Int64?, _ connection: ReaderConnection
  ) throws(SQLiteFailure) {
    let isDirect = query.chat.starts(with: "dm:".utf8)
    if isDirect {
      let isMember = query.chat.withUnsafeBytes { name in
        query.user.withUnsafeBytes { user in ChatName(name)?.isDirect(of: user) ?? false }
      }
      answer.member = isMember ? MemberRow(role: .member, joined: 0) : nil
      return
    }
    guard let chat else { return }
    answer.room = try connection.readRoom(chat)
    guard !query.user.isEmpty else { return }
    answer.member = try query.chat.withBytes { (name) throws(SQLiteFailure) in
      try query.user.withBytes { (user) throws(SQLiteFailure) in
        try connection.readMembership(user: user, chat: name)
      }
    }
  }

  private func fillChats(
    _ answer: inout ViewAnswer, _ query: borrowing ViewQuery, after: [UInt8], _ connection: ReaderConnection
  ) throws(SQLiteFailure) {
    let rows = connection.chats
    defer { rows.reset() }
    try query.user.withBytes { (user) throws(SQLiteFailure) in
      try after.withBytes { (after) throws(SQLiteFailure) in
        rows.bind(1, text: user)
        rows.bind(2, text: after)
        rows.bind(3, Int64(query.limit) + 1)
        while try rows.step() {
          guard answer.hasRoom(for: rows.bytes(0).count, query) else { return }
          var row = ViewAnswer.Row()
          row.chat = answer.take(rows.bytes(0))
          row.role = Role(stored: rows.integer(1))
          row.joined = rows.integer(2)
          row.read = rows.integer(3)
          row.seq = rows.integer(4)
          answer.rows.append(row)
        }
      }
    }
  }

  private func fillMembers(
    _ answer: inout ViewAnswer, _ query: borrowing ViewQuery, _ chat: Int64?, after: [UInt8],
    _ connection: ReaderConnection
  ) throws(SQLiteFailure) {
    if query.chat.starts(with: "dm:".utf8) {
      fillUsers(&answer, query, after: after)
      return
    }
    guard let chat else { return }
    let rows = connection.members
    defer { rows.reset() }
    try after.withBytes { (after) throws(SQLiteFailure) in
      rows.bind(1, chat)
      rows.bind(2, text: after)
      rows.bind(3, Int64(query.limit) + 1)
      while try rows.step() {
        guard answer.hasRoom(for: rows.bytes(0).count, query) else { return }
        var row = ViewAnswer.Row()
        row.user = answer.take(rows.bytes(0))
        row.role = Role(stored: rows.integer(1))
        answer.rows.append(row)
      }
    }
  }

  /// The users of a direct chat, as its name says.
  private func fillUsers(_ answer: inout ViewAnswer, _ query: borrowing ViewQuery, after: [UInt8]) {
    query.chat.withUnsafeBytes { name in
      guard case .direct(let first, let second) = ChatName(name) else { return }
      after.withUnsafeBytes { after in
        for user in sameBytes(first, second) ? [first] : [first, second] where comesBefore(after, user) {
          guard answer.hasRoom(for: user.count, query) else { return }
          var row = ViewAnswer.Row()
          row.user = answer.take(user)
          row.role = .member
          answer.rows.append(row)
        }
      }
    }
  }

  private func fillRecent(
    _ answer: inout ViewAnswer, _ query: borrowing ViewQuery, after: Seq, _ connection: ReaderConnection
  ) throws(SQLiteFailure) {
    let rows = connection.recent
    defer { rows.reset() }
    rows.bind(1, after)
    rows.bind(2, Int64(query.limit) + 1)
    while try rows.step() {
      let record = try EventRecord(checking: rows.bytes(2))
      let name = rows.bytes(3)
      guard answer.hasRoom(for: name.count + record.user.count, query) else { return }
      var row = ViewAnswer.Row(record, seq: rows.integer(0), prev: rows.integer(1))
      row.chat = answer.take(name)
      row.user = answer.take(record.user)
      answer.rows.append(row)
    }
  }
}

extension ViewAnswer {
  /// Whether the query's bounds let another row with `size` bytes of texts in; where not, there are more.
  mutating func hasRoom(for size: Int, _ query: borrowing ViewQuery) -> Bool {
    if rows.count < query.limit, rows.isEmpty || bytes.count + size <= query.bytes { return true }
    hasMore = true
    return false
  }

  mutating func take(_ text: UnsafeRawBufferPointer) -> Range<Int> {
    let start = bytes.count
    bytes.append(contentsOf: text)
    return start..<bytes.count
  }
}

extension ViewAnswer.Row {
  /// An event's row, without its texts.
  init(_ record: EventRecord, seq: Seq, prev: Seq) {
    self.init()
    self.seq = seq
    self.prev = prev
    kind = record.kind
    role = record.role
    time = record.time
    origin = record.origin
  }
}
