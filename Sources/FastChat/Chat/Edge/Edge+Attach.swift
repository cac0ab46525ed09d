import JSON

/// How a session comes in: `hello`, the directory, the lists of its chats, `welcome`, replay, `live`.
///
/// The order is the promise (DESIGN section 5, "Two orders"): into the tables, into the directory, wait for
/// the answer, and only then read the view.
extension Edge {
  /// A WebSocket connection is open and waits for its `hello`.
  public func opened(_ id: SessionID) {
    beginInput()
    let slot = Int32(id.slot)
    sessions.reserve(slot, filledWith: Session())
    let session = sessions[slot]
    precondition(session.pointee.phase == .free, "a slot given twice")
    session.pointee = Session()
    session.pointee.id = id
    session.pointee.phase = .waitingForHello
    session.pointee.openedAt = tick
    helloDeadlines.append(id)
  }

  /// The connection is gone, whoever ended it. Not called for one that an action closed.
  public func closed(_ id: SessionID) {
    beginInput()
    guard let session = find(id) else { return }
    forget(session)
  }

  /// A newer session of the same device attached.
  public func replaced(_ id: SessionID) {
    beginInput()
    guard let session = find(id) else { return }
    close(session, 4504, "replaced by a newer session of this device")
  }

  func forget(_ session: SessionPointer) {
    let slot = Int32(session.pointee.id.slot)
    while session.pointee.firstListener >= 0 { removeListener(session.pointee.firstListener) }
    while session.pointee.firstPending >= 0 {
      let next = pendings[session.pointee.firstPending].pointee.next
      pendings.remove(session.pointee.firstPending)
      session.pointee.firstPending = next
    }
    attaches[slot] = nil
    if session.pointee.phase == .open { counters.sessions -= 1 }
    if session.pointee.user >= 0 {
      actions.append(.detach(session.pointee.id))
      leaveUser(session)
    }
    session.pointee.phase = .free
  }

  // MARK: hello

  func hello(_ session: SessionPointer, _ request: borrowing Request) {
    guard let user = request.text(.user, &nameScratch), Name.isValid(user) else {
      return refuse(session, .badRequest, id: nil, "user must be a user id")
    }
    let attach = Attach()
    if request.has(.device) {
      guard let device = request.text(.device, &chatScratch), Name.isValid(device) else {
        return refuse(session, .badRequest, id: nil, "device must be a name")
      }
      session.pointee.device = InlineName(device)
    } else {
      bodyScratch.removeAll()
      bodyScratch.append(hex: configuration.epoch)
      bodyScratch.append(hex: session.pointee.id.raw)
      session.pointee.device = InlineName(bodyScratch.bytes)
    }
    if request.has(.cursors) {
      guard request.isObject(.cursors), attach.readCursors(request.json(.cursors)!) else {
        return refuse(session, .badRequest, id: nil, "cursors must be whole numbers by chat, * only 0")
      }
    }
    if request.has(.log) {
      guard let log = request.text(.log, &idScratch) else {
        return refuse(session, .badRequest, id: nil, "log must be a string")
      }
      attach.isOfAnotherLog = !log.elementsEqual(configuration.log.utf8)
    }
    attach.began = tick
    attach.deadline = tick + Limits.attachMilliseconds
    attaches[Int32(session.pointee.id.slot)] = attach
    attachDeadlines.append(session.pointee.id)
    session.pointee.phase = .registering
    session.pointee.allowanceAt = tick
    session.pointee.allowance = Int64(limits.ratePerSecond * Limits.rateBurstSeconds) * 1000
    enterUser(session, user)
    pause(session, .attaching)
    actions.append(.attach(session.pointee.id))
  }

  /// The directory has the session; from here on every owner that looks sees it.
  public func registered(_ id: SessionID) {
    beginInput()
    guard let session = find(id), session.pointee.phase == .registering,
      let attach = attaches[Int32(id.slot)]
    else { return }
    session.pointee.phase = .listing
    attach.lists = Array(repeating: Attach.List(), count: partitions.count)
    attach.listsLeft = partitions.count
    for partition in 0..<configuration.partitions { askForList(session, attach, partition) }
  }

  // MARK: Lists

  func askForList(_ session: SessionPointer, _ attach: Attach, _ partition: Int32, after: [UInt8] = []) {
    guard partitions[Int(partition)].doubt == .none else {
      return retries.append(.list(session.pointee.id, partition: partition))
    }
    if after.isEmpty {
      attach.lists[Int(partition)] = Attach.List(issuedAt: partitions[Int(partition)].position)
    }
    ask(
      .list(session.pointee.id, partition: partition),
      ViewQuery(
        tag: 0, partition: partition, what: .chats(after: after),
        user: Array(userNames.bytes(session.pointee.user)), limit: Limits.listRows,
        bytes: Limits.listBytes))
    if after.isEmpty { attach.lists[Int(partition)].tag = lastTag }
  }

  func received(list answer: borrowing ViewAnswer, for id: SessionID, partition: Int32) {
    guard let session = find(id), session.pointee.phase == .listing, let attach = attaches[Int32(id.slot)]
    else { return }
    let p = Int(partition)
    guard !answer.hasFailed, !answer.isRebuilding, !isOutdated(answer) else {
      return retries.append(.list(id, partition: partition))
    }
    if attach.lists[p].rows.isEmpty, attach.lists[p].applied == 0 {
      // The first page tells where the list stands; what changed between pages went by as a hint.
      attach.lists[p].applied = answer.applied
      attach.lists[p].logEnd = answer.logEnd
    }
    for row in answer.rows {
      attach.lists[p].rows.append(
        ChatRow(
          chat: Array(answer.bytes[row.chat]), partition: partition, head: row.seq, read: row.read,
          joined: row.joined))
    }
    if answer.hasMore, let last = attach.lists[p].rows.last {
      return askForList(session, attach, partition, after: last.chat)
    }
    guard isUsable(attach, partition) else {
      return retries.append(.list(id, partition: partition))
    }
    attach.lists[p].isDone = true
    attach.listsLeft -= 1
    guard attach.listsLeft == 0 else { return }
    // While the last lists came, the user may have joined or left something in the first ones.
    let outdated = attach.lists.indices.filter {
      attach.lists[$0].membershipPassed > attach.lists[$0].applied
    }
    guard outdated.isEmpty else {
      attach.listsLeft = outdated.count
      for p in outdated { askForList(session, attach, Int32(p)) }
      return
    }
    welcome(session, attach)
  }

  /// Whether the view that answered has all that this session may count on (DESIGN section 5, "An attach
  /// waits"). A cursor above the log's end is no reason to wait: it gets `reset`.
  private func isUsable(_ attach: Attach, _ partition: Int32) -> Bool {
    let list = attach.lists[Int(partition)]
    guard list.applied >= list.issuedAt, list.applied >= list.membershipPassed else { return false }
    guard !attach.isOfAnotherLog else { return true }
    // In a single log that tells its end, and stands there, no cursor is in between.
    if configuration.partitions == 1, list.logEnd != nil { return true }
    for cursor in attach.cursors where cursor.seq > list.applied {
      guard cursor.chat.withUnsafeBytes({ self.partition(of: $0) }) == partition else { continue }
      if list.logEnd == nil {
        attach.lists[Int(partition)].logEnd = knownLogEnd(partition, since: attach.began)
      }
      guard let end = attach.lists[Int(partition)].logEnd, cursor.seq > end else { return false }
    }
    return true
  }

  // MARK: welcome

  private func welcome(_ session: SessionPointer, _ attach: Attach) {
    var rows = attach.lists.flatMap(\.rows)
    if partitions.count > 1 { rows.sort { $0.chat.lexicographicallyPrecedes($1.chat) } }
    session.pointee.phase = .open
    counters.sessions += 1
    counters.welcomed += 1
    sendWelcome(session, rows: rows)
    for p in partitions.indices { settle(session, attach, partition: p) }
    for row in rows { begin(session, attach, row) }
    dropOutdatedRooms(session, attach, rows)
    for (chat, seq) in attach.passed {
      let partition = Int(chat.withUnsafeBytes { self.partition(of: $0) })
      guard seq > attach.lists[partition].applied else { continue }
      // A direct chat that began while the lists were read: it is handed from its beginning.
      let isListed = rows.contains { $0.chat == chat }
      if !isListed { chat.withUnsafeBytes { addListener(session, $0, behind: 0, countsForLive: false) } }
    }
    resume(session, .attaching)
    attach.lists = []
    if session.pointee.unsettledPartitions == 0 { attaches[Int32(session.pointee.id.slot)] = nil }
    queueForLive(session)
  }

  /// Rooms that this shard believes the user to be in, while the lists, which are newer, do not have them: his
  /// removal may have been jumped over in a doubt while he had no session here to read it. A read of the
  /// view tells: the entry goes when the shard stands where that stood, unless it found him joining again.
  private func dropOutdatedRooms(_ session: SessionPointer, _ attach: Attach, _ rows: [ChatRow]) {
    var next = users[session.pointee.user].pointee.firstMembership
    while next >= 0 {
      let membership = memberships[next].pointee
      next = membership.nextOfUser
      let name = chatNames.bytes(membership.chat)
      let applied = attach.lists[Int(partition(of: name))].applied
      guard membership.joined <= applied, !rows.contains(where: { $0.chat.elementsEqual(name) }) else {
        continue
      }
      addListener(session, name, behind: applied, countsForLive: false)
      let number = listener(of: session, in: membership.chat)!
      listeners[number].pointee.isRemoved = true
    }
  }

  /// Where the session's chats without a listener stand in a partition.
  private func settle(_ session: SessionPointer, _ attach: Attach, partition p: Int) {
    let applied = attach.lists[p].applied
    let isAhead = applied > partitions[p].position
    attach.ahead.append(isAhead ? applied : 0)
    guard isAhead else { return }
    session.pointee.unsettledPartitions += 1
    partitions[p].aheadSessions.append(session.pointee.id)
  }

  /// Begins one chat of the list where its cursor says.
  private func begin(_ session: SessionPointer, _ attach: Attach, _ row: ChatRow) {
    let p = Int(row.partition)
    let applied = attach.lists[p].applied
    row.chat.withUnsafeBytes { chat in
      if row.isRoom { enterRoom(user: session.pointee.user, chat, joined: row.joined) }
      var cursor: Seq
      if attach.isOfAnotherLog {
        if row.head > 0 { sendReset(session, chat: chat, head: row.head) }
        cursor = row.head
      } else if let given = attach.cursor(of: row.chat) {
        if given > attach.lists[p].logEnd ?? .max {
          sendReset(session, chat: chat, head: row.head)
          cursor = row.head
        } else {
          cursor = given
        }
      } else {
        cursor = attach.replaysUnknown ? 0 : row.head
      }
      cursor = max(cursor, row.joined - 1)
      // Hints above the list went by, unless the shard stands no further than it. Of rooms nobody counted.
      let mayHaveMissed =
        row.isRoom
        ? partitions[p].position > applied || !wasRegistered(chat, before: attach.lists[p].tag)
        : (attach.passed[row.chat] ?? 0) > applied
      if cursor < row.head || mayHaveMissed {
        addListener(session, chat, behind: cursor, countsForLive: cursor < row.head)
      } else if row.head > applied {
        // A page of the list that is newer than its first one: the row's head is the session's cursor.
        addListener(session, chat, behind: cursor, countsForLive: false)
        settle(listener(of: session, in: chatNames.find(chat)!)!, ahead: row.head)
      }
    }
  }

  func queueForLive(_ session: SessionPointer) {
    guard session.pointee.phase == .open, session.pointee.beforeLive == 0, !session.pointee.wasToldLive,
      !session.pointee.isQueuedForLive
    else { return }
    session.pointee.isQueuedForLive = true
    liveQueue.append(session.pointee.id)
  }
}
