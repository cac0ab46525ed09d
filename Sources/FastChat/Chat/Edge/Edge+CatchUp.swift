import JSON

/// Reading the view from a cursor until a listener stands where its shard stands (DESIGN section 5, "A
/// read"), and what else the view answers.
extension Edge {
  func queueForCatchUp(_ session: SessionPointer) {
    guard !session.pointee.isQueuedForCatchUp else { return }
    session.pointee.isQueuedForCatchUp = true
    catchUpQueue.append(session.pointee.id)
  }

  /// One read a session at a time, and a bounded number for all.
  func issueCatchUpReads() {
    var tries = catchUpQueue.count
    while tries > 0, catchUpReads < Self.readsAtOnce, let id = catchUpQueue.popFirst() {
      tries -= 1
      guard let session = find(id) else { continue }
      session.pointee.isQueuedForCatchUp = false
      guard session.pointee.phase == .open, !session.pointee.isCongested, !session.pointee.isReading else {
        continue
      }
      if let number = nextToRead(session) { issueRead(session, number) }
    }
  }

  /// The session's first listener that may read now. It comes again when a doubt ends, or a room stands in
  /// the directory.
  private func nextToRead(_ session: SessionPointer) -> Int32? {
    var number = session.pointee.firstListener
    while number >= 0 {
      let listener = listeners[number].pointee
      if listener.state == .behind, mayRead(listener, session) { return number }
      number = listener.nextOfSession
    }
    return nil
  }

  private func mayRead(_ listener: Listener, _ session: SessionPointer) -> Bool {
    let p = Int(listener.partition)
    guard partitions[p].doubt == .none else {
      if partitions[p].waiting.last != session.pointee.id { partitions[p].waiting.append(session.pointee.id) }
      return false
    }
    return isRegistered(listener.chat) || membership(of: session.pointee.user, inChat: listener.chat) == nil
  }

  private func issueRead(_ session: SessionPointer, _ number: Int32) {
    let listener = listeners[number]
    session.pointee.isReading = true
    listener.pointee.passed = 0
    listener.pointee.isRegistered = isRegistered(listener.pointee.chat)
    listener.pointee.issuedAt = partitions[Int(listener.pointee.partition)].position
    catchUpReads += 1
    ask(
      .catchUp(session.pointee.id, chat: listener.pointee.chat),
      ViewQuery(
        tag: 0, partition: listener.pointee.partition, what: .eventsAfter(listener.pointee.at),
        chat: Array(chatNames.bytes(listener.pointee.chat)),
        user: Array(userNames.bytes(session.pointee.user)), limit: Limits.pageRows,
        bytes: Limits.replayPageBytes))
    listener.pointee.read = lastTag
  }

  /// Answers of the view; a tag that is not known any more is of a read that was given up.
  public func received(_ answer: borrowing ViewAnswer) {
    beginInput()
    guard let question = viewReads.removeValue(forKey: answer.tag) else { return }
    let floor = question.floor
    switch question.read {
    case .list(let id, let partition): received(list: answer, for: id, partition: partition)
    case .catchUp(let id, let chat):
      catchUpReads -= 1
      received(events: answer, for: id, chat: chat)
    case .history(let id, let request, let limit, let isForward):
      received(history: answer, for: id, request, floor: floor, limit: limit, isForward: isForward)
    case .members(let id, let request): received(members: answer, for: id, request, floor: floor)
    case .chats(let id, let request, let listing):
      received(chats: answer, for: id, request, floor: floor, listing)
    case .confirm(let id, let frame, let asked):
      confirmed(id, frame: frame, asked: asked, floor: floor, answer)
    case .recent(let partition): received(recent: answer, partition: partition)
    case .relist(let partition, let user): received(relisted: answer, user: user, partition: partition)
    }
  }

  /// Whether the answer does not count: it comes during a doubt or is older than its end; or it is of a view
  /// or a primary that this shard did not take, which is a doubt of its own.
  func isOutdated(_ answer: borrowing ViewAnswer) -> Bool {
    let p = Int(answer.partition)
    guard partitions[p].doubt == .none, answer.tag > partitions[p].answered else { return true }
    if !partitions[p].directories.contains(answer.directory) {
      if configuration.isClustered { doubtRegistration() } else { doubt(partition: answer.partition) }
      return true
    }
    guard answer.view != partitions[p].view else { return false }
    doubt(partition: answer.partition)
    return true
  }

  // MARK: A page of events

  private func received(events answer: borrowing ViewAnswer, for id: SessionID, chat: Int32) {
    let key = ListenerKey(slot: Int32(id.slot), chat: chat)
    guard let session = find(id), let number = listenerNumbers[key],
      listeners[number].pointee.read == answer.tag
    else { return }
    let listener = listeners[number]
    listener.pointee.read = 0
    session.pointee.isReading = false
    guard !answer.hasFailed, !answer.isRebuilding else { return retries.append(.catchUp(id)) }
    guard !isOutdated(answer) else { return queueForCatchUp(session) }
    // An answer may be older than what went by: a removal above it has taken the entry out already.
    if let member = answer.member, !isDirect(chat), listener.pointee.passed <= answer.applied {
      enterRoom(user: session.pointee.user, chatNames.bytes(chat), joined: member.joined)
    }
    if cannotReplay(answer, from: listener.pointee.at) {
      sendReset(session, chat: chatNames.bytes(chat), head: answer.head)
      listener.pointee.isRemoved = answer.member == nil
      return finish(session, number, at: max(listener.pointee.at, answer.applied), answer)
    }
    let last = handRows(session, listener, answer)
    guard !answer.hasMore else {
      listener.pointee.at = last
      return queueForCatchUp(session)
    }
    finish(session, number, at: max(last, answer.applied), answer)
  }

  /// Whether events that the user may read are not stored any more: the oldest stored one above his cursor
  /// (or his joining, where that is later) says that there was another before it.
  private func cannotReplay(_ answer: borrowing ViewAnswer, from cursor: Seq) -> Bool {
    let start = max(cursor, (answer.member?.joined ?? 0) - 1)
    for row in answer.rows where row.seq > start { return row.prev > start }
    return !answer.hasMore && answer.head > start
  }

  /// Hands the rows over, but what lies between an own removal and the next own join; the last row's seq.
  private func handRows(
    _ session: SessionPointer, _ listener: UnsafeMutablePointer<Listener>, _ answer: borrowing ViewAnswer
  ) -> Seq {
    let user = userNames.bytes(session.pointee.user)
    var last = listener.pointee.at
    // Where what follows the cursor is not stored any more, and yet nothing is missed, he joined later: what
    // is stored from before that is not his.
    if let first = answer.rows.first(where: { $0.seq > last }), first.prev > last {
      listener.pointee.isRemoved = true
    }
    page.removeAll(keepingAtMost: 2 * Limits.replayPageBytes)
    answer.bytes.withUnsafeBytes { page.append($0) }
    // The name is copied too: it may be forgotten here before the last delivery is performed.
    page.append(chatNames.bytes(listener.pointee.chat))
    let bytes = page.bytes
    let chat = UnsafeRawBufferPointer(rebasing: bytes[answer.bytes.count...])
    for row in answer.rows where row.seq > last {
      last = row.seq
      if row.kind.dependsOnState, sameBytes(UnsafeRawBufferPointer(rebasing: bytes[row.user]), user) {
        if row.role == .none {
          guard !listener.pointee.isRemoved else { continue }
          listener.pointee.isRemoved = true
        } else {
          listener.pointee.isRemoved = false
        }
      } else if listener.pointee.isRemoved {
        continue
      }
      if isOwn(row.origin, session),
        answerOwn(session, row.origin.request, kind: row.kind, row.seq, row.time)
      {
        continue
      }
      let json = UnsafeRawBufferPointer(rebasing: bytes[row.json])
      deliver(addDelivery(json, seq: row.seq, chat: chat, origin: row.origin), to: session)
    }
    return last
  }

  /// A complete read stands at `seq`, unless the chat went on meanwhile without it.
  private func finish(
    _ session: SessionPointer, _ number: Int32, at seq: Seq, _ answer: borrowing ViewAnswer
  ) {
    let listener = listeners[number]
    // A room that was not registered when the read was issued needs no other where nobody is in it.
    let isRegistered = listener.pointee.isRegistered || answer.member == nil
    guard seq >= stands(session, partition: Int(listener.pointee.partition)) else {
      // The view went back behind the session's list: it is whole again before long.
      listener.pointee.at = max(listener.pointee.at, min(seq, answer.applied))
      return retries.append(.catchUp(session.pointee.id))
    }
    if seq >= listener.pointee.issuedAt, listener.pointee.passed <= seq, isRegistered {
      settle(number, ahead: seq)
    } else {
      listener.pointee.at = max(listener.pointee.at, min(seq, answer.applied))
    }
    queueForCatchUp(session)
  }

  /// Up to where a session skips hints of the chats in which it is no listener of its own. Who catches up in one
  /// of them may not stop below: nothing would hand him what lies between.
  func stands(_ session: SessionPointer, partition p: Int) -> Seq {
    guard session.pointee.unsettledPartitions > 0, let attach = attaches[Int32(session.pointee.id.slot)]
    else {
      return 0
    }
    return attach.ahead[p]
  }

  func isDirect(_ chat: Int32) -> Bool { chatNames.bytes(chat)[0] == UInt8(ascii: "d") }

  func tryAgain(_ retry: ViewRetry) {
    switch retry {
    case .list(let id, let partition):
      guard let session = find(id), session.pointee.phase == .listing, let attach = attaches[Int32(id.slot)]
      else { return }
      askForList(session, attach, partition)
    case .catchUp(let id):
      guard let session = find(id) else { return }
      queueForCatchUp(session)
    case .recent(let partition):
      if partitions[Int(partition)].doubt == .waiting { askForRecent(partition) }
    }
  }

  // MARK: Answers to requests

  private func pending(
    _ id: SessionID, _ request: UInt32, floor: Seq, _ answer: borrowing ViewAnswer
  ) -> (session: SessionPointer, number: Int32)? {
    guard let session = find(id), let number = findPending(session, request: request) else { return nil }
    guard !answer.hasFailed, !answer.isRebuilding, answer.applied >= floor else {
      answerUnavailable(session, number, mayHappen: false)
      return nil
    }
    return (session, number)
  }

  /// Somebody who is not in the chat is told what he would be told of any chat that he may not see.
  private func isMember(
    _ session: SessionPointer, _ number: Int32, _ answer: borrowing ViewAnswer
  ) -> Bool {
    guard answer.member == nil else { return true }
    answerRefused(session, number, answer.room?.isPublic == true ? .forbidden : .notFound)
    return false
  }

  private func received(
    history answer: borrowing ViewAnswer, for id: SessionID, _ request: UInt32, floor: Seq, limit: Int,
    isForward: Bool
  ) {
    guard let (session, number) = pending(id, request, floor: floor, answer),
      isMember(session, number, answer)
    else {
      return
    }
    let chat = chat(ofPending: number)
    let hasMessages = answer.rows.contains { $0.kind == .message }
    if !hasMessages, answer.hasMore, let last = answer.rows.last {
      // A page of nothing but comings and goings would leave the client no seq to go on from.
      return askHistory(session, request, chat: chat, seq: last.seq, limit: limit, isForward: isForward)
    }
    let start = output.count
    beginAnswer("history", id: self.id(ofPending: number))
    output.append(",\"chat\":\"")
    output.append(chat)
    output.append("\",\"messages\":[")
    var isFirst = true
    answer.bytes.withUnsafeBytes { bytes in
      for i in answer.rows.indices {
        let row = answer.rows[isForward ? i : answer.rows.count - 1 - i]
        guard row.kind == .message else { continue }
        if !isFirst { output.append(",") }
        isFirst = false
        output.append(UnsafeRawBufferPointer(rebasing: bytes[row.json]))
      }
    }
    output.append("],\"more\":")
    output.append(answer.hasMore ? "true}" : "false}")
    emit(session, from: start)
    removePending(session, number)
  }

  private func received(
    members answer: borrowing ViewAnswer, for id: SessionID, _ request: UInt32, floor: Seq
  ) {
    guard let (session, number) = pending(id, request, floor: floor, answer),
      isMember(session, number, answer)
    else {
      return
    }
    let start = output.count
    beginAnswer("members", id: self.id(ofPending: number))
    output.append(",\"chat\":\"")
    output.append(chat(ofPending: number))
    output.append("\",\"members\":[")
    answer.bytes.withUnsafeBytes { bytes in
      for (i, row) in answer.rows.enumerated() {
        output.append(i > 0 ? ",{\"user\":\"" : "{\"user\":\"")
        output.append(UnsafeRawBufferPointer(rebasing: bytes[row.user]))
        output.append("\",\"role\":\"")
        output.append(row.role.name ?? "member")
        output.append("\"}")
      }
    }
    output.append("],\"more\":")
    output.append(answer.hasMore ? "true}" : "false}")
    emit(session, from: start)
    removePending(session, number)
  }

  private func received(
    chats answer: borrowing ViewAnswer, for id: SessionID, _ request: UInt32, floor: Seq,
    _ listing: ChatListing
  ) {
    guard let (session, number) = pending(id, request, floor: floor, answer) else { return }
    for row in answer.rows {
      listing.rows.append(
        ChatRow(
          chat: Array(answer.bytes[row.chat]), partition: answer.partition, head: row.seq, read: row.read,
          joined: row.joined))
    }
    if answer.hasMore { listing.hasMore = true }
    listing.partitionsLeft -= 1
    guard listing.partitionsLeft == 0 else { return }
    listing.rows.sort { $0.chat.lexicographicallyPrecedes($1.chat) }
    let start = output.count
    beginAnswer("chats", id: self.id(ofPending: number))
    output.append(",\"chats\":[")
    for (i, row) in listing.rows.prefix(listing.limit).enumerated() {
      if i > 0 { output.append(",") }
      append(row, cursor: cursor(of: session, row))
    }
    output.append("],\"more\":")
    output.append(listing.hasMore || listing.rows.count > listing.limit ? "true}" : "false}")
    emit(session, from: start)
    removePending(session, number)
  }
}
