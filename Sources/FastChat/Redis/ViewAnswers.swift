public import Chat

/// What the scripts of a partition's view answer, in the domain's words. An error (`-OOM`, `-READONLY`,
/// `-NOSCRIPT`, `-LOADING` ...) or a reply of another shape is no answer: unknown, or failed.

extension ApplyAnswer {
  public init(request: borrowing ApplyRequest, reply: RedisReply) {
    self.init(tag: request.tag, result: Self.result(reply, records: request.records.count))
  }

  private static func result(_ reply: RedisReply, records: Int) -> Result {
    guard let elements = reply.elements, let first = elements.first?.number else { return .unknown }
    guard first == 1 else { return ViewState(elements.dropFirst()).map { .refused($0) } ?? .unknown }
    guard elements.count == 1 + 3 * records else { return .unknown }
    var rows: [Row] = []
    rows.reserveCapacity(records)
    for i in stride(from: 1, to: elements.count, by: 3) {
      guard let outcome = Outcome(elements[i].number), let prev = elements[i + 1].number,
        let role = Role(elements[i + 2].number)
      else { return .unknown }
      rows.append(Row(outcome: outcome, prev: prev, role: role))
    }
    return .applied(rows)
  }
}

extension ViewState {
  /// Id, applied, hash, append time, until: five texts, of which any may be missing.
  init?(_ elements: ArraySlice<RedisReply>) {
    guard elements.count == 5 else { return nil }
    let fields = Array(elements)
    for field in fields where !field.isNull && field.bytes == nil { return nil }
    self.init(
      id: fields[0].id, applied: fields[1].number, hash: fields[2].id ?? 0, appended: fields[3].number ?? 0,
      rebuildingUntil: fields[4].number)
  }
}

extension ViewStateAnswer {
  public init(tag: UInt64, reply: RedisReply) {
    self.init(tag: tag)
    hasFailed = true
    guard let elements = reply.elements, elements.count >= 6, (elements.count - 6) % 3 == 0,
      let state = ViewState(elements[..<5]), let more = elements[5].number
    else { return }
    for i in stride(from: 6, to: elements.count, by: 3) {
      guard let seq = elements[i].number, let outcome = Outcome(elements[i + 1].number),
        let role = Role(elements[i + 2].number)
      else { return }
      outcomes.append(OutcomeRow(seq: seq, outcome: outcome, role: role))
    }
    self.state = state
    hasMore = more == 1
    hasFailed = false
  }
}

extension RebuildAnswer {
  public init(tag: UInt64, reply: RedisReply) {
    var result = Result.unknown
    if let elements = reply.elements, let first = elements.first?.number {
      if first == 1 {
        result = .done
      } else if let state = ViewState(elements.dropFirst()) {
        result = .refused(state)
      }
    }
    self.init(tag: tag, result: result)
  }
}

extension ViewAnswer {
  public init(query: borrowing ViewQuery, reply: RedisReply) {
    self.init(tag: query.tag, partition: query.partition, view: 0, directory: 0, applied: 0)
    hasFailed = !read(query, reply)
  }

  /// False where the reply is no answer.
  private mutating func read(_ query: borrowing ViewQuery, _ reply: RedisReply) -> Bool {
    guard let elements = reply.elements, elements.count >= 4,
      let directory = elements[3].bytes.flatMap({ DirectoryID(prefix: $0) })
    else { return false }
    self.directory = directory
    view = elements[0].id ?? 0
    applied = elements[1].number ?? 0
    isRebuilding = elements.count == 4
    if isRebuilding { return true }
    guard elements.count >= 9, (elements.count - 9) % 3 == 0, let head = elements[4].number else {
      return false
    }
    self.head = head
    hasMore = elements[7].number == 1
    reachesBack = elements[8].number == 1
    if query.chat.first == UInt8(ascii: "d") {
      readDirect(query)
    } else {
      guard readStanding(member: elements[5], room: elements[6]) else { return false }
    }
    rows.reserveCapacity((elements.count - 9) / 3)
    for i in stride(from: 9, to: elements.count, by: 3) {
      guard let figures = elements[i].bytes, let first = elements[i + 1].bytes,
        let second = elements[i + 2].bytes, let row = row(query, Figures(figures), first, second)
      else { return false }
      rows.append(row)
    }
    return true
  }

  private mutating func readStanding(member: RedisReply, room: RedisReply) -> Bool {
    if let text = member.bytes {
      var figures = Figures(text)
      guard let role = Role(figures.next()), let joined = figures.next() else { return false }
      self.member = MemberRow(role: role, joined: joined)
    }
    if let text = room.bytes { self.room = RoomRow(isPublic: text == [UInt8(ascii: "1")]) }
    return true
  }

  /// A direct chat has its two users by its name, whether or not it has begun.
  private mutating func readDirect(_ query: borrowing ViewQuery) {
    query.chat.withUnsafeBytes { name in
      query.user.withUnsafeBytes { user in
        if ChatName(name)?.isDirect(of: user) == true { member = MemberRow(role: .member, joined: 0) }
      }
      guard case .members(let after) = query.what, case .direct(let first, let second) = ChatName(name) else {
        return
      }
      after.withUnsafeBytes { after in
        for user in first.elementsEqual(second) ? [first] : [first, second]
        where after.lexicographicallyPrecedes(user) {
          guard rows.count < query.limit, rows.isEmpty || bytes.count + user.count <= query.bytes else {
            hasMore = true
            return
          }
          var row = Row()
          row.user = take(user)
          row.role = .member
          rows.append(row)
        }
      }
    }
  }

  private mutating func row(
    _ query: borrowing ViewQuery, _ figures: Figures, _ first: [UInt8], _ second: [UInt8]
  ) -> Row? {
    var figures = figures
    var row = Row()
    switch query.what {
    case .member: return nil
    case .chats:
      guard let role = Role(figures.next()), let joined = figures.next(), let head = figures.next(),
        let read = figures.next()
      else { return nil }
      (row.role, row.joined, row.seq, row.read) = (role, joined, head, read)
      row.chat = take(first)
    case .members:
      guard let role = Role(figures.next()) else { return nil }
      row.role = role
      row.user = take(first)
    case .recent:
      guard let seq = figures.next(), let kind = figures.nextKind(), let role = Role(figures.next()) else {
        return nil
      }
      (row.seq, row.kind, row.role) = (seq, kind, role)
      row.chat = take(first)
      row.user = take(second)
    case .eventsAfter, .eventsBefore:
      guard let seq = figures.next(), let prev = figures.next(), let kind = figures.nextKind(),
        let role = Role(figures.next()), let time = figures.next(), let epoch = figures.nextID(),
        let session = figures.nextID(), let request = figures.nextID().flatMap({ UInt32(exactly: $0) })
      else { return nil }
      (row.seq, row.prev, row.kind, row.role, row.time) = (seq, prev, kind, role, time)
      row.origin = Origin(epoch: epoch, session: SessionID(raw: session), request: request)
      row.user = take(first)
      row.json = take(second)
    }
    return row
  }

  private mutating func take(_ text: some Collection<UInt8>) -> Range<Int> {
    let start = bytes.count
    bytes.append(contentsOf: text)
    return start..<bytes.count
  }
}

extension Figures {
  fileprivate mutating func nextKind() -> RecordKind? {
    next().flatMap { UInt8(exactly: $0) }.flatMap { RecordKind(rawValue: $0) }
  }
}

extension ReadMark {
  /// What `raiseRead` came to: the seq that the position was raised to; nil where it was not.
  public static func raised(reply: RedisReply) -> Seq? {
    if case .integer(let seq) = reply { seq } else { nil }
  }
}

/// What `restoreReads` came to.
public enum RestoredReads: Sendable, Equatable {
  /// So many positions rose.
  case done(view: ViewID, raised: Int)
  /// The view lacks none, is being rebuilt, or is another one.
  case notWanted
  case unknown

  public init(reply: RedisReply) {
    if reply.isNull {
      self = .notWanted
    } else if let elements = reply.elements, elements.count == 2, let view = elements[0].id,
      let raised = elements[1].number
    {
      self = .done(view: view, raised: Int(raised))
    } else {
      self = .unknown
    }
  }
}
