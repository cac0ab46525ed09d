import JSON

/// The one answer to every doubt (DESIGN section 5): what may have been missed becomes something to catch
/// up on, so that a repair costs what happened, not what is connected.
extension Edge {
  /// Rows of the recent list that are read at once.
  static let recentRows = 1_000

  /// The shard's mailbox was full and something was not put into it: a batch, reports, verdicts or answers.
  /// (What the registrar says is bounded by what was asked of it, and is never left out.)
  public func mailboxOverflowed() {
    beginInput()
    for slot in 0..<Int32(sessions.addressable) where sessions[slot].pointee.phase != .free {
      answerAllUnavailable(sessions[slot])
    }
    let reads = viewReads.sorted { $0.key < $1.key }
    viewReads.removeAll()
    catchUpReads = 0
    for (_, question) in reads { giveUp(question.read) }
    for partition in 0..<configuration.partitions { doubt(partition: partition) }
  }

  /// A question whose answer may have been lost is asked again where nobody else would.
  private func giveUp(_ read: ViewRead) {
    switch read {
    case .list(let id, let partition): retries.append(.list(id, partition: partition))
    case .catchUp(let id, let chat):
      guard let session = find(id),
        let number = listenerNumbers[ListenerKey(slot: Int32(id.slot), chat: chat)]
      else { return }
      listeners[number].pointee.read = 0
      session.pointee.isReading = false
      queueForCatchUp(session)
    case .confirm(let id, let frame, _):
      guard let session = find(id) else { return }
      frame.withUnsafeBytes { text in
        let id = (try? Request(text)).flatMap { requestID($0) }
        refuse(session, .unavailable, id: id, "membership cannot be read now", retry: 1000)
      }
      resume(session, .confirming)
    // Their requests were answered `unavailable`; a doubt asks anew.
    case .history, .members, .chats, .recent, .relist: return
    }
  }

  // MARK: The recent list

  /// Batches of the partition may be missing: they are held, and the position stands, until the recent list
  /// was read.
  func doubt(partition: Int32) {
    let p = Int(partition)
    counters.doubts += 1
    if current?.partition == partition { current = nil }
    partitions[p].relisting = nil
    if isRegistrationDoubted {
      partitions[p].doubt = .registration
    } else if partitions[p].answeredAt == tick {
      // What does not join on to an answer of this very moment comes from elsewhere: it is given time.
      waitForRecent(partition)
    } else {
      askForRecent(partition)
    }
  }

  func askForRecent(_ partition: Int32) {
    let p = Int(partition)
    guard !partitions[p].awaitsRooms || roomsAreRegistered(partition) else { return waitForRecent(partition) }
    partitions[p].awaitsRooms = false
    let stands = partitions[p].position
    ask(
      .recent(partition: partition),
      ViewQuery(
        tag: 0, partition: partition, what: .recent(after: stands == PartitionState.nowhere ? .max : stands),
        limit: Self.recentRows, bytes: Limits.listBytes))
    partitions[p].doubt = .reading(tag: lastTag)
  }

  func waitForRecent(_ partition: Int32) {
    partitions[Int(partition)].doubt = .waiting
    retries.append(.recent(partition: partition))
  }

  func received(recent answer: borrowing ViewAnswer, partition: Int32) {
    let p = Int(partition)
    guard partitions[p].doubt == .reading(tag: answer.tag) else { return }
    guard !answer.hasFailed, !answer.isRebuilding else { return waitForRecent(partition) }
    if configuration.isClustered, !directories.contains(answer.directory) { return doubtRegistration() }
    let position = partitions[p].position
    guard position != PartitionState.nowhere else {
      return endDoubt(partition, at: answer.applied, view: answer.view, directory: answer.directory)
    }
    guard answer.view == partitions[p].view || answer.view == partitions[p].roomsBeside else {
      return registerRooms(partition, beside: answer.view)
    }
    var applied = answer.applied
    if answer.hasMore, let last = answer.rows.last { applied = last.seq }
    guard applied >= position else { return waitForRecent(partition) }
    guard answer.reachesBack else { return relist(partition, answer) }
    answer.bytes.withUnsafeBytes { bytes in
      for row in answer.rows where row.seq > position {
        catchUp(
          UnsafeRawBufferPointer(rebasing: bytes[row.chat]),
          UnsafeRawBufferPointer(rebasing: bytes[row.user]),
          partition: p, row)
      }
    }
    endDoubt(partition, at: applied, view: answer.view, directory: answer.directory)
    if answer.hasMore { askForRecent(partition) }
  }

  /// All that may have been missed up to `applied` is being caught up on: the shard stands there.
  func endDoubt(_ partition: Int32, at applied: Seq, view: ViewID, directory: DirectoryID) {
    let p = Int(partition)
    partitions[p].position = applied
    partitions[p].view = view
    partitions[p].directories = configuration.isClustered ? directories : [directory]
    partitions[p].doubt = .none
    partitions[p].relisting = nil
    partitions[p].answered = lastTag
    partitions[p].answeredAt = tick
    partitions[p].heardAt = tick
    partitions[p].joinedOnAt = tick
    settleAhead(partition: p)
    for id in partitions[p].waiting { if let session = find(id) { queueForCatchUp(session) } }
    partitions[p].waiting.removeAll()
    canResume = true
  }

  // MARK: Catching up

  /// An event that may have passed by: who listens to its chat here, and whom it concerns, read the view
  /// from where they stand.
  private func catchUp(
    _ chat: UnsafeRawBufferPointer, _ concerned: UnsafeRawBufferPointer, partition p: Int,
    _ row: ViewAnswer.Row
  ) {
    if let number = chatNames.find(chat) { catchUp(listenersOf: number, partition: p, row.seq) }
    if case .direct(let first, let second)? = ChatName(chat) {
      for name in [first, second] {
        if let user = userNames.find(name) { catchUp(chat, sessionsOf: user, partition: p, row.seq, from: 0) }
      }
    } else if row.kind.dependsOnState, let user = userNames.find(concerned) {
      let entry = membership(of: user, in: chat)
      // All of the user's sessions may stand beyond this: then none of them reads that he came or went.
      if row.role != .none, entry == nil { enterRoom(user: user, chat, joined: row.seq) }
      // Who was no member until now joined here, and reads from there.
      catchUp(chat, sessionsOf: user, partition: p, row.seq, from: entry == nil ? row.seq - 1 : 0)
      if row.role == .none, let entry, memberships[entry].pointee.joined <= row.seq {
        removeMembership(entry)
      }
    }
  }

  /// All who are in the chat here, as far as this shard knows.
  func catchUp(listenersOf number: Int32, partition p: Int, _ seq: Seq) {
    var listener = chats[number].pointee.firstListener
    while listener >= 0 {
      if listeners[listener].pointee.state == .behind {
        listeners[listener].pointee.passed = max(listeners[listener].pointee.passed, seq)
      }
      listener = listeners[listener].pointee.nextOfChat
    }
    guard let members = chats[number].pointee.members else { return }
    let chat = chatNames.bytes(number)
    for i in 0..<Int(chats[number].pointee.memberCount) {
      let membership = memberships[members[i]].pointee
      catchUp(chat, sessionsOf: membership.user, partition: p, seq, from: membership.joined - 1)
    }
  }

  /// `from`: what was before that is not the user's to read.
  func catchUp(
    _ chat: UnsafeRawBufferPointer, sessionsOf user: Int32, partition p: Int, _ seq: Seq, from: Seq
  ) {
    var slot = users[user].pointee.firstSession
    while slot >= 0 {
      let session = sessions[slot]
      slot = session.pointee.nextOfUser
      guard session.pointee.phase == .open else {
        // Its lists are read again where they are older than this.
        if let attach = attaches[Int32(session.pointee.id.slot)], session.pointee.phase == .listing {
          attach.lists[p].membershipPassed = max(attach.lists[p].membershipPassed, seq)
        }
        continue
      }
      var stands = partitions[p].position
      if session.pointee.unsettledPartitions > 0, let attach = attaches[Int32(session.pointee.id.slot)] {
        stands = max(stands, attach.ahead[p])
      }
      guard stands < seq else { continue }
      if let number = chatNames.find(chat).flatMap({ listener(of: session, in: $0) }) {
        let listener = listeners[number]
        if listener.pointee.state == .ahead, listener.pointee.at < seq {
          fallBehind(number, to: listener.pointee.at)
        }
      } else {
        addListener(session, chat, behind: max(stands, from), countsForLive: false)
      }
    }
  }
}
