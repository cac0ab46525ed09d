import JSON

/// Batches of hints: each that joins on is handed to whoever stands where it begins (DESIGN section 5).
extension Edge {
  /// A batch of the owner.
  public func received(_ batch: Batch) {
    beginInput()
    let p = Int(batch.partition)
    partitions[p].heardAt = tick
    guard batch.upto > partitions[p].position else { return }
    guard partitions[p].doubt == .none, partitions[p].held.isEmpty, current == nil else {
      return hold(batch, partition: p)
    }
    guard joinsOn(batch, partitions[p]) else {
      hold(batch, partition: p)
      return doubt(since: batch)
    }
    current = batch
    currentOffset = 0
    handOver()
  }

  /// The batch that deliveries with a frame of this input are of.
  public var carrier: Batch? { current ?? finished }

  /// There are hints still to be handed over: `continueBatch` is due.
  public var hasMore: Bool { current != nil || canResume }

  /// Goes on with the batch under way, or with one that was held during a doubt.
  public func continueBatch() {
    beginInput()
    if current == nil { resumeHeld() }
    if current != nil { handOver() }
  }

  private func joinsOn(_ batch: Batch, _ state: PartitionState) -> Bool {
    batch.since <= state.position && batch.view == state.view && namesOnly(state.directories, batch)
  }

  private func namesOnly(_ directories: [DirectoryID], _ batch: Batch) -> Bool {
    for directory in batch.directories where !directories.contains(directory) { return false }
    return true
  }

  /// A batch that does not join on; of a primary that this shard is not registered with, all is to be
  /// registered again.
  private func doubt(since batch: Batch) {
    guard configuration.isClustered, !namesOnly(directories, batch) else {
      return doubt(partition: batch.partition)
    }
    doubtRegistration()
  }

  private func hold(_ batch: Batch, partition p: Int) {
    if partitions[p].held.count == PartitionState.heldBatches {
      // They do not join on any more when their turn comes, and that is a doubt of its own.
      partitions[p].held.removeAll(keepingCapacity: true)
    }
    partitions[p].held.append(batch)
    canResume = true
  }

  private func handOver() {
    guard let batch = current else { return }
    let p = Int(batch.partition)
    while let hint = HintCodec.decode(batch.hints.bytes, at: &currentOffset) {
      if hint.seq > partitions[p].position { dispatch(hint, partition: p) }
      if actions.count >= Self.actionsAtOnce { return }
    }
    partitions[p].position = batch.upto
    partitions[p].joinedOnAt = tickBefore
    current = nil
    finished = batch
    settleAhead(partition: p)
  }

  /// Takes the first batch that was held during a doubt which has ended.
  private func resumeHeld() {
    canResume = false
    for p in partitions.indices where partitions[p].doubt == .none && !partitions[p].held.isEmpty {
      let batch = partitions[p].held.removeFirst()
      canResume = true
      guard batch.upto > partitions[p].position else { return }
      guard joinsOn(batch, partitions[p]) else {
        partitions[p].held.insert(batch, at: 0)
        return doubt(since: batch)
      }
      current = batch
      currentOffset = 0
      return
    }
  }

  /// Those that were ahead of the position and are not any more become live.
  func settleAhead(partition p: Int) {
    let position = partitions[p].position
    if !partitions[p].ahead.isEmpty {
      let keys = partitions[p].ahead
      partitions[p].ahead.removeAll(keepingCapacity: true)
      for key in keys {
        // A key may be of one that is gone, and its numbers those of a chat of another partition by now.
        guard let number = listenerNumbers[key], listeners[number].pointee.state == .ahead,
          listeners[number].pointee.partition == p
        else { continue }
        if listeners[number].pointee.at <= position {
          settleLive(number)
        } else {
          partitions[p].ahead.append(key)
        }
      }
    }
    if !partitions[p].aheadSessions.isEmpty {
      let ids = partitions[p].aheadSessions
      partitions[p].aheadSessions.removeAll(keepingCapacity: true)
      for id in ids {
        guard let session = find(id), let attach = attaches[Int32(id.slot)] else { continue }
        guard attach.ahead[p] <= position else {
          partitions[p].aheadSessions.append(id)
          continue
        }
        attach.ahead[p] = 0
        session.pointee.unsettledPartitions -= 1
        if session.pointee.unsettledPartitions == 0 { attaches[Int32(id.slot)] = nil }
      }
    }
  }

  // MARK: One hint

  /// What one hint needs while it is handed to its listeners.
  private struct Dispatch {
    var hint: Hint
    var partition: Int
    /// The chat's number where anything is remembered of it here, -1 otherwise.
    var chat: Int32
    /// Its delivery, made with the first copy.
    var delivery: Int32 = -1
  }

  private func dispatch(_ hint: Hint, partition p: Int) {
    var dispatch = Dispatch(hint: hint, partition: p, chat: chatNames.find(hint.chat) ?? -1)
    if dispatch.chat >= 0 { notePassed(hint, chat: dispatch.chat) }
    if case .direct(let first, let second)? = ChatName(hint.chat) {
      hand(&dispatch, toUser: first)
      if !sameBytes(first, second) { hand(&dispatch, toUser: second) }
      return
    }
    // A join does not concern its user's sessions as members yet: he is entered below.
    if dispatch.chat >= 0 { handToMembers(&dispatch) }
    if hint.kind.dependsOnState, let user = userNames.find(hint.user) {
      membershipChanged(&dispatch, user: user)
    }
  }

  /// Listeners that are reading have to know that the chat went on.
  private func notePassed(_ hint: Hint, chat: Int32) {
    var number = chats[chat].pointee.firstListener
    while number >= 0 {
      let listener = listeners[number]
      if listener.pointee.state == .behind {
        listener.pointee.passed = max(listener.pointee.passed, hint.seq)
      }
      number = listener.pointee.nextOfChat
    }
  }

  private func hand(_ dispatch: inout Dispatch, toUser name: UnsafeRawBufferPointer) {
    guard let user = userNames.find(name) else { return }
    hand(&dispatch, toSessionsOf: user)
  }

  private func hand(_ dispatch: inout Dispatch, toSessionsOf user: Int32) {
    var slot = users[user].pointee.firstSession
    while slot >= 0 {
      let session = sessions[slot]
      slot = session.pointee.nextOfUser
      hand(&dispatch, to: session)
    }
  }

  private func handToMembers(_ dispatch: inout Dispatch) {
    let chat = chats[dispatch.chat]
    guard let members = chat.pointee.members else { return }
    for i in 0..<Int(chat.pointee.memberCount) {
      let membership = memberships[members[i]]
      // Entered ahead of the position: what was before his joining is not his to read, and the joining
      // itself he reads from the view.
      guard membership.pointee.joined < dispatch.hint.seq else { continue }
      hand(&dispatch, toSessionsOf: membership.pointee.user)
    }
  }

  private func hand(_ dispatch: inout Dispatch, to session: SessionPointer) {
    guard session.pointee.phase == .open else {
      if session.pointee.phase == .listing { noteWhileListing(session, dispatch.hint, dispatch.partition) }
      return
    }
    if session.pointee.unsettledPartitions > 0,
      let attach = attaches[Int32(session.pointee.id.slot)],
      attach.ahead[dispatch.partition] >= dispatch.hint.seq
    {
      return
    }
    if session.pointee.firstListener >= 0, dispatch.chat >= 0,
      let number = listener(of: session, in: dispatch.chat)
    {
      let listener = listeners[number]
      // One that has read its removal skips on, until the shard stands there too.
      guard listener.pointee.state == .ahead, listener.pointee.at < dispatch.hint.seq,
        !listener.pointee.isRemoved
      else { return }
    }
    if isOwn(dispatch.hint.origin, session),
      answerOwn(
        session, dispatch.hint.origin.request, kind: dispatch.hint.kind, dispatch.hint.seq, dispatch.hint.time
      )
    {
      return
    }
    deliver(&dispatch, to: session)
  }

  private func deliver(_ dispatch: inout Dispatch, to session: SessionPointer) {
    if dispatch.delivery < 0 {
      let hint = dispatch.hint
      dispatch.delivery = addDelivery(
        hint.json, frame: hint.frame, seq: hint.seq, chat: hint.chat, origin: hint.origin)
    }
    deliver(dispatch.delivery, to: session)
  }

  func addDelivery(
    _ json: UnsafeRawBufferPointer,
    frame: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0), seq: Seq,
    chat: UnsafeRawBufferPointer, origin: Origin
  ) -> Int32 {
    deliveries.append(
      Delivery(json: json, frame: frame, seq: seq, copies: 0, chat: chat, origin: origin))
    return Int32(deliveries.count - 1)
  }

  func deliver(_ index: Int32, to session: SessionPointer) {
    deliveries[Int(index)].copies += 1
    counters.deliveries += 1
    actions.append(.deliver(session.pointee.id, index: index))
  }

  // MARK: Own events

  func isOwn(_ origin: Origin, _ session: SessionPointer) -> Bool {
    origin.session == session.pointee.id && isOfThisServer(origin.epoch)
  }

  /// A session's own event, met in a hint or a read (DESIGN section 3, "Answers"): a request that still
  /// waits is answered here, in its place in the order. True where nothing is to be handed over: a message
  /// that is answered, now or before.
  func answerOwn(
    _ session: SessionPointer, _ request: UInt32, kind: RecordKind, _ seq: Seq, _ time: WallTime
  ) -> Bool {
    guard let number = findPending(session, request: request) else { return kind == .message }
    if pendings[number].pointee.isIndefinite {
      removePending(session, number)
      return false
    }
    answerDone(session, number, seq: seq, time: time)
    return kind == .message
  }

  // MARK: Membership

  /// While a session's lists are read it is behind in everything, and remembers what went by.
  private func noteWhileListing(_ session: SessionPointer, _ hint: Hint, _ partition: Int) {
    guard let attach = attaches[Int32(session.pointee.id.slot)] else { return }
    guard case .direct? = ChatName(hint.chat) else { return }
    attach.passed[Array(hint.chat), default: 0] = hint.seq
  }

  /// The user whom a membership event concerns is here.
  private func membershipChanged(_ dispatch: inout Dispatch, user: Int32) {
    let hint = dispatch.hint
    var slot = users[user].pointee.firstSession
    while slot >= 0 {
      let session = sessions[slot]
      if session.pointee.phase == .listing, let attach = attaches[slot] {
        attach.lists[dispatch.partition].membershipPassed = hint.seq
      }
      slot = session.pointee.nextOfUser
    }
    guard isNews(hint.seq, partition: dispatch.partition, to: user) else { return }
    if hint.role != .none {
      join(dispatch, user: user)
    } else if dispatch.chat >= 0 {
      leave(dispatch, user: user)
    }
  }

  /// An own join begins a listener, just before it: it reads the join, and what followed, from the view.
  private func join(_ dispatch: Dispatch, user: Int32) {
    let hint = dispatch.hint
    if let number = membership(of: user, in: hint.chat) {
      memberships[number].pointee.joined = hint.seq
    } else {
      enterRoom(user: user, hint.chat, joined: hint.seq)
    }
    var slot = users[user].pointee.firstSession
    while slot >= 0 {
      let session = sessions[slot]
      slot = session.pointee.nextOfUser
      guard stands(session, before: hint.seq, partition: dispatch.partition) else { continue }
      if let number = listener(of: session, in: chatNames.find(hint.chat)!) {
        let listener = listeners[number]
        if listener.pointee.state == .ahead, listener.pointee.at < hint.seq {
          fallBehind(number, to: hint.seq - 1)
        }
      } else {
        addListener(session, hint.chat, behind: hint.seq - 1, countsForLive: false)
      }
    }
  }

  /// An own removal was handed like any event, as the last one; the entry goes, and listeners that read
  /// find the removal themselves.
  private func leave(_ dispatch: Dispatch, user: Int32) {
    guard let number = membership(of: user, inChat: dispatch.chat) else { return }
    guard memberships[number].pointee.joined <= dispatch.hint.seq else { return }
    removeMembership(number)
    var slot = users[user].pointee.firstSession
    while slot >= 0 {
      let session = sessions[slot]
      slot = session.pointee.nextOfUser
      if let number = listener(of: session, in: dispatch.chat), listeners[number].pointee.state == .ahead,
        listeners[number].pointee.at < dispatch.hint.seq
      {
        settleLive(number)
      }
    }
  }

  /// Whether a session of the user stands before an event at `seq`. Where none does, their lists know better than
  /// an event that comes late: he may have come or gone again while nobody listened here, and nothing would tell.
  private func isNews(_ seq: Seq, partition: Int, to user: Int32) -> Bool {
    var slot = users[user].pointee.firstSession
    while slot >= 0 {
      let session = sessions[slot]
      slot = session.pointee.nextOfUser
      if stands(session, before: seq, partition: partition) { return true }
    }
    return false
  }

  /// Whether an event of the partition at `seq` still concerns the session as a whole.
  private func stands(_ session: SessionPointer, before seq: Seq, partition: Int) -> Bool {
    guard session.pointee.phase == .open else { return false }
    guard session.pointee.unsettledPartitions > 0, let attach = attaches[Int32(session.pointee.id.slot)]
    else {
      return true
    }
    return attach.ahead[partition] < seq
  }

  // MARK: Events that are not stored

  /// Typing, read positions: to whoever listens now, but the session that it came from.
  public func received(_ event: Ephemeral) {
    beginInput()
    ephemeral.removeAll(keepingAtMost: 4 << 10)
    event.json.withUnsafeBytes { ephemeral.append($0) }
    event.chat.withUnsafeBytes { chat in
      let index = addDelivery(ephemeral.bytes, seq: 0, chat: chat, origin: .none)
      switch ChatName(chat) {
      case .direct(let first, let second)?:
        deliver(index, toUser: first, but: event.origin)
        if !sameBytes(first, second) { deliver(index, toUser: second, but: event.origin) }
      case .room?:
        guard let number = chatNames.find(chat), let members = chats[number].pointee.members else { return }
        for i in 0..<Int(chats[number].pointee.memberCount) {
          deliver(index, toSessionsOf: memberships[members[i]].pointee.user, but: event.origin)
        }
      case nil: return
      }
    }
  }

  private func deliver(_ index: Int32, toUser name: UnsafeRawBufferPointer, but origin: SessionID) {
    guard let user = userNames.find(name) else { return }
    deliver(index, toSessionsOf: user, but: origin)
  }

  private func deliver(_ index: Int32, toSessionsOf user: Int32, but origin: SessionID) {
    var slot = users[user].pointee.firstSession
    while slot >= 0 {
      let session = sessions[slot]
      if session.pointee.phase == .open, session.pointee.id != origin { deliver(index, to: session) }
      slot = session.pointee.nextOfUser
    }
  }
}
