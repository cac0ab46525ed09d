import JSON

/// The one answer to every doubt (DESIGN section 5): what may have been missed becomes something to catch
/// up on, so that a repair costs what happened, not what is connected.
extension Edge {
  /// Rows of the recent list that are read at once.
  static let recentRows = 1_000

  /// The shard's mailbox was full and something was not put into it: a batch, reports, verdicts or answers.
  public func mailboxOverflowed() {
    beginInput()
    for slot in 0..<Int32(sessions.addressable) where sessions[slot].pointee.phase != .free {
      answerAllUnavailable(sessions[slot])
    }
    let reads = viewReads
    viewReads.removeAll()
    catchUpReads = 0
    for (_, read) in reads { giveUp(read) }
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
    case .confirm(let id, let frame):
      guard let session = find(id) else { return }
      frame.withUnsafeBytes { text in
        let id = (try? Request(text)).flatMap { requestID($0) }
        refuse(session, .unavailable, id: id, "membership cannot be read now", retry: 1000)
      }
      resume(session, .confirming)
    // Their requests were answered `unavailable`; a doubt asks anew.
    case .history, .members, .chats, .recent: return
    }
  }

  func doubt(partition: Int32) {
    counters.doubts += 1
    if current?.partition == partition { current = nil }
    askForRecent(partition)
  }

  func askForRecent(_ partition: Int32) {
    let p = Int(partition)
    ask(
      .recent(partition: partition),
      ViewQuery(
        tag: 0, partition: partition, what: .recent(after: partitions[p].position), limit: Self.recentRows,
        bytes: Limits.listBytes))
    partitions[p].doubt = lastTag
  }

  func received(recent answer: borrowing ViewAnswer, partition: Int32) {
    let p = Int(partition)
    guard partitions[p].doubt == answer.tag else { return }
    var applied = answer.applied
    if answer.hasMore, let last = answer.rows.last { applied = last.seq }
    guard !answer.hasFailed, !answer.isRebuilding, applied >= partitions[p].position else {
      return retries.append(.recent(partition: partition))
    }
    let position = partitions[p].position
    answer.bytes.withUnsafeBytes { bytes in
      for row in answer.rows where row.seq > position {
        catchUp(
          UnsafeRawBufferPointer(rebasing: bytes[row.chat]),
          UnsafeRawBufferPointer(rebasing: bytes[row.user]),
          partition: p, row)
      }
    }
    partitions[p].position = applied
    partitions[p].view = answer.view
    partitions[p].directories = [answer.directory]
    partitions[p].doubt = nil
    settleAhead(partition: p)
    if answer.hasMore { return askForRecent(partition) }
    canResume = true
  }

  /// An event that may have passed by: who listens to its chat here, and whom it concerns, read the view
  /// from where they stand.
  private func catchUp(
    _ chat: UnsafeRawBufferPointer, _ concerned: UnsafeRawBufferPointer, partition p: Int,
    _ row: ViewAnswer.Row
  ) {
    if let number = chatNames.find(chat) {
      var listener = chats[number].pointee.firstListener
      while listener >= 0 {
        if listeners[listener].pointee.state == .behind {
          listeners[listener].pointee.passed = max(listeners[listener].pointee.passed, row.seq)
        }
        listener = listeners[listener].pointee.nextOfChat
      }
      if let members = chats[number].pointee.members {
        for i in 0..<Int(chats[number].pointee.memberCount) {
          let membership = memberships[members[i]].pointee
          catchUp(chat, sessionsOf: membership.user, partition: p, row.seq, from: membership.joined - 1)
        }
      }
    }
    if case .direct(let first, let second)? = ChatName(chat) {
      for name in [first, second] {
        if let user = userNames.find(name) { catchUp(chat, sessionsOf: user, partition: p, row.seq, from: 0) }
      }
    } else if row.kind.dependsOnState, let user = userNames.find(concerned) {
      // Who was no member until now joined here, and reads from there.
      let isMember = membership(of: user, in: chat) != nil
      catchUp(chat, sessionsOf: user, partition: p, row.seq, from: isMember ? 0 : row.seq - 1)
    }
  }

  /// `from`: what was before that is not the user's to read.
  private func catchUp(
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
