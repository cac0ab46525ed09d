public import Chat
import JSON

/// Judging, appending and applying a batch.
extension Store {
  /// Events of a chat from one mark in the sparse index to the next.
  static let markDistance: UInt32 = 64
  /// Bytes of buffers that stay between batches.
  private static let keptBytes = 4 << 20

  /// Where the batch under way stands.
  private struct Place {
    var seq: Seq
    let appended: WallTime
  }

  /// Judges, appends and applies a run of `AppendCodec` records (at most `batchRecords` and `batchBytes`)
  /// and read positions in one transaction, and says what each came to once it is on the disk.
  ///
  /// Where that fails every record is reported as failed, memory is what the file says, and the next call
  /// tries again. The result is this store's own and is filled anew by the next call.
  public func commit(
    appends: UnsafeRawBufferPointer, reads: [ReadMark], now: WallTime
  ) -> CommitResult {
    run { (writer) throws(SQLiteFailure) in
      var place = Place(seq: applied, appended: max(appended, now))
      // A table that refuses records would wait in vain for one to move its time.
      if dedupe.isFull { dedupe.expire(at: place.appended) }
      var offset = 0
      while let record = AppendCodec.decode(appends, at: &offset) {
        try apply(record, &place, writer)
      }
      for mark in reads { try apply(mark, writer) }
      try writeHeads(writer)
      if place.seq != applied { try writer.setProgress(applied: place.seq, appended: place.appended) }
      return place
    }
    if !isHealthy { reportFailure(of: appends) }
    return result
  }

  /// Whether a batch could be stored now: writes and commits, and changes nothing that counts. For a server that
  /// is asked for its health or waits for a disk; `isHealthy` says how it went, and the result may hold a
  /// batch for the shards, where a commit that failed turns out to have persisted.
  public func probe() -> CommitResult {
    // A probe is small, and fits where no message does.
    if failure?.isFull == true, !file.hasRoom(bytes: Self.batchBytes) {
      result.removeAll()
      return result
    }
    run { (writer) throws(SQLiteFailure) in
      try writer.probe()
      return Place(seq: applied, appended: appended)
    }
    return result
  }

  /// Runs `body` in a transaction; after COMMIT returned its place is the store's, not before.
  private func run(_ body: (Writer) throws(SQLiteFailure) -> Place) {
    result.removeAll()
    hints.removeAll(keepingAtMost: Self.keptBytes)
    touched.removeAll(keepingCapacity: true)
    var mark = dedupe.end
    var known = chats.count
    do throws(SQLiteFailure) {
      let writer = try recovered()
      mark = dedupe.end
      known = chats.count
      try writer.checkpointIfDue()
      try writer.beginTransaction()
      let place = try body(writer)
      try writer.commitTransaction()
      settle(place)
    } catch {
      abandon(error, mark: mark, known: known)
    }
  }

  private func settle(_ place: Place) {
    failure = nil
    for chat in touched { chats[chat].pointee.isTouched = false }
    if place.seq != announced {
      // What lies between `announced` and `applied` was stored by a commit that was reported as failed:
      // the shards see that this batch does not join on, and repair themselves.
      result.batch = Batch(
        partition: Self.partition, view: viewID, directories: [Self.directoryID], since: applied,
        upto: place.seq,
        hints: hints.bytes)
    }
    if place.seq != applied { appended = place.appended }
    applied = place.seq
    announced = place.seq
    dedupe.expire(at: appended)
  }

  private func reportFailure(of appends: UnsafeRawBufferPointer) {
    result.removeAll()
    var offset = 0
    while let record = AppendCodec.decode(appends, at: &offset) {
      result.failed.append(Failed(origin: record.origin, mayHavePersisted: true))
    }
  }

  // MARK: One record

  private func apply(_ record: Append, _ place: inout Place, _ writer: Writer) throws(SQLiteFailure) {
    let key = hash(chat: record.chat, from: record.from, device: record.device, id: record.id)
    if let first = dedupe.first(key, before: place.seq + 1, appended: place.appended) {
      result.verdicts.append(
        Verdict(
          origin: record.origin, outcome: .duplicate, first: first.outcome, seq: first.seq, time: first.time))
      return
    }
    let chatKey = hash(record.chat)
    var chat = chats.id(chatKey)
    guard !dedupe.isFull, chat > 0 || !chats.isFull,
      place.seq + 1 < SeqSpace.base(generation: Self.generation + 1)
    else {
      result.failed.append(Failed(origin: record.origin, mayHavePersisted: false))
      return
    }
    let isRoom = record.chat[0] == UInt8(ascii: "r")
    var role = Role.none
    var outcome = Outcome.event
    if isRoom, record.isRepeat || record.kind.dependsOnState {
      (outcome, role) = Judge.outcome(
        of: record.kind, isRepeat: record.isRepeat, state: try state(record, chat, writer), limits: limits)
    }
    place.seq += 1
    let entry = DedupeTable.Entry(
      key: key, seq: place.seq, outcome: outcome, time: record.time, appended: place.appended)
    dedupe.append(entry)
    guard outcome == .event else {
      try writer.insert(outcome: entry)
      result.verdicts.append(
        Verdict(origin: record.origin, outcome: outcome, seq: place.seq, time: record.time))
      return
    }
    if chat == 0 { chat = try begin(record.chat, chatKey, isRoom: isRoom, writer) }
    if record.kind.dependsOnState { try change(record, chat, role: role, seq: place.seq, writer) }
    try append(record, entry, chat, role: record.kind.dependsOnState ? role : .none, writer)
    if record.kind == .message, !record.isRepeat {
      result.appended.append(Appended(origin: record.origin, seq: place.seq, time: record.time))
    }
  }

  /// Stores the event that a record has become, and hints it.
  private func append(
    _ record: Append, _ entry: DedupeTable.Entry, _ chat: Int, role: Role, _ writer: Writer
  ) throws(SQLiteFailure) {
    let state = chats[chat]
    let (seq, prev) = (entry.seq, state.pointee.head)
    value.removeAll(keepingAtMost: Self.keptBytes)
    EventRecord.encodeHeader(
      kind: record.kind, role: role, time: record.time, appended: entry.appended, origin: record.origin,
      hash: entry.key, user: record.from, into: &value)
    let json = value.count
    if record.kind == .message {
      EventWriter.message(record, seq: seq, prev: prev, into: &value)
    } else {
      EventWriter.member(
        chat: record.chat, seq: seq, prev: prev, user: record.from, role: role, by: record.from, into: &value)
    }
    try writer.insert(seq: seq, chat: chat, prev: prev, value: value.bytes)
    HintCodec.encode(
      Hint(
        kind: record.kind, seq: seq, prev: prev, time: record.time, origin: record.origin, role: role,
        chat: record.chat, user: record.from, json: value[json..<value.count]), into: &hints)
    state.pointee.head = seq
    state.pointee.events += 1
    touch(chat)
    if state.pointee.events % Self.markDistance == 0 {
      try writer.mark(chat: chat, seq: seq)
      noteLength(chat, events: Int(state.pointee.events))
    }
  }

  private func touch(_ chat: Int) {
    guard !chats[chat].pointee.isTouched else { return }
    chats[chat].pointee.isTouched = true
    touched.append(chat)
  }

  /// A chat's first event: it gets its id, and a direct chat's users become its members.
  private func begin(
    _ name: UnsafeRawBufferPointer, _ key: KeyedHash.Value, isRoom: Bool, _ writer: Writer
  ) throws(SQLiteFailure) -> Int {
    let chat = chats.append(key, head: 0, events: 0)
    try writer.insert(chat: chat, name: name)
    guard !isRoom else { return chat }
    guard case .direct(let first, let second) = ChatName(name) else {
      preconditionFailure("an edge appends to no chat whose id is none")
    }
    try writer.insertMembership(user: first, chat: name, id: chat, role: .member, joined: 0)
    if !sameBytes(first, second) {
      try writer.insertMembership(user: second, chat: name, id: chat, role: .member, joined: 0)
    }
    return chat
  }

  private func writeHeads(_ writer: Writer) throws(SQLiteFailure) {
    for chat in touched {
      try writer.raiseHead(chat: chat, to: chats[chat].pointee.head, events: chats[chat].pointee.events)
    }
  }

  // MARK: Rooms

  private func state(
    _ record: Append, _ chat: Int, _ writer: Writer
  ) throws(SQLiteFailure) -> Judge.State {
    let room = chat == 0 ? nil : try writer.room(chat)
    return Judge.State(
      room: room?.room, role: room == nil ? .none : try writer.role(user: record.from, chat: record.chat),
      members: room?.members ?? 0, rooms: record.kind == .message ? 0 : try writer.rooms(user: record.from))
  }

  /// Writes what a membership event changes.
  private func change(
    _ record: Append, _ chat: Int, role: Role, seq: Seq, _ writer: Writer
  ) throws(SQLiteFailure) {
    switch record.kind {
    case .message: return
    case .create:
      let room = NewRoom(record.body)
      try writer.insertRoom(chat, room)
      fallthrough
    case .join:
      try writer.addMember(user: record.from, chat: record.chat, id: chat, role: role, joined: seq)
    case .leave:
      try writer.removeMember(user: record.from, chat: record.chat, id: chat)
    }
  }

  // MARK: Read positions

  /// Raises a member's read position, at most to the chat's head; whoever listens is told if it moved.
  private func apply(_ mark: ReadMark, _ writer: Writer) throws(SQLiteFailure) {
    let moved = try mark.chat.withBytes { (chat) throws(SQLiteFailure) -> Seq? in
      let id = chats.id(hash(chat))
      guard id > 0 else { return nil }
      let seq = min(mark.seq, chats[id].pointee.head)
      return try mark.user.withBytes { (user) throws(SQLiteFailure) -> Seq? in
        try writer.raiseRead(user: user, chat: chat, to: seq) ? seq : nil
      }
    }
    guard let moved else { return }
    result.ephemerals.append(
      Ephemeral(chat: mark.chat, origin: mark.origin, json: EventWriter.read(mark, seq: moved)))
  }
}
