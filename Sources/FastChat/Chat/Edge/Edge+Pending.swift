import JSON

/// Requests that wait for their answer.
extension Edge {
  /// Enters a request, and gives it the session's next number. At the bound the session's requests are not
  /// read until one is answered.
  func addPending(
    _ session: SessionPointer, _ kind: Pending.Kind, id: UnsafeRawBufferPointer, chat: UnsafeRawBufferPointer
  ) -> UInt32 {
    session.pointee.request &+= 1
    let wait =
      kind == .send ? Limits.appendMilliseconds : Limits.verdictMilliseconds
    var pending = Pending(kind: kind, number: session.pointee.request, deadline: tick + wait)
    pending.idCount = UInt8(id.count)
    pending.chatCount = UInt8(chat.count)
    let number = pendings.insert(pending)
    let text = UnsafeMutableRawBufferPointer(start: pendingText(number), count: id.count + chat.count)
    text.copyMemory(from: id)
    UnsafeMutableRawBufferPointer(rebasing: text[id.count...]).copyMemory(from: chat)
    link(session, number)
    session.pointee.waiting += 1
    if !session.pointee.isWatched {
      session.pointee.isWatched = true
      watched.append(Watch(session: session.pointee.id, at: tick + 1000))
    }
    if Int(session.pointee.waiting) >= limits.pendingRequests { pause(session, .pendingFull) }
    if kind == .query {
      session.pointee.queries += 1
      if Int(session.pointee.queries) >= Limits.pendingQueries { pause(session, .queriesFull) }
    }
    return session.pointee.request
  }

  /// The event of a request was handed, which it is only after `unavailable`, and the copy was lost: when it
  /// is read again it must not be taken for one that was answered.
  func expectAgain(_ session: SessionPointer, request: UInt32) {
    guard findPending(session, request: request) == nil else { return }
    var pending = Pending(kind: .send, number: request, deadline: tick)
    pending.isIndefinite = true
    link(session, pendings.insert(pending))
    session.pointee.indefinite += 1
  }

  private func link(_ session: SessionPointer, _ number: Int32) {
    if session.pointee.lastPending >= 0 {
      pendings[session.pointee.lastPending].pointee.next = number
    } else {
      session.pointee.firstPending = number
    }
    session.pointee.lastPending = number
  }

  private func pendingText(_ number: Int32) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(pendings[number]) + MemoryLayout<Pending>.offset(of: \.text)!
  }

  func id(ofPending number: Int32) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: pendingText(number), count: Int(pendings[number].pointee.idCount))
  }

  func chat(ofPending number: Int32) -> UnsafeRawBufferPointer {
    let pending = pendings[number]
    return UnsafeRawBufferPointer(
      start: pendingText(number) + Int(pending.pointee.idCount), count: Int(pending.pointee.chatCount))
  }

  /// Where the request stands in the slab; nil when it was answered for good, or never was.
  func findPending(_ session: SessionPointer, request: UInt32) -> Int32? {
    var number = session.pointee.firstPending
    while number >= 0 {
      if pendings[number].pointee.number == request { return number }
      number = pendings[number].pointee.next
    }
    return nil
  }

  /// Takes a request out after it was answered for good. Its place may be used again from here on.
  func removePending(_ session: SessionPointer, _ number: Int32) {
    var previous = Session.none
    var candidate = session.pointee.firstPending
    while candidate != number {
      previous = candidate
      candidate = pendings[candidate].pointee.next
    }
    let next = pendings[number].pointee.next
    if previous >= 0 { pendings[previous].pointee.next = next } else { session.pointee.firstPending = next }
    if session.pointee.lastPending == number { session.pointee.lastPending = previous }
    if pendings[number].pointee.isIndefinite {
      session.pointee.indefinite -= 1
    } else {
      stopWaiting(session)
    }
    if pendings[number].pointee.kind == .query {
      session.pointee.queries -= 1
      if Int(session.pointee.queries) < Limits.pendingQueries { resume(session, .queriesFull) }
    }
    pendings.remove(number)
  }

  private func stopWaiting(_ session: SessionPointer) {
    session.pointee.waiting -= 1
    if Int(session.pointee.waiting) < limits.pendingRequests { resume(session, .pendingFull) }
  }

  /// Answers `unavailable`. What may still happen is remembered, so that it is handed over then.
  func answerUnavailable(_ session: SessionPointer, _ number: Int32, mayHappen: Bool) {
    refuse(
      session, .unavailable, id: id(ofPending: number), "not known to be stored; repeat it with retry",
      retry: 1000)
    guard mayHappen, pendings[number].pointee.kind != .query else { return removePending(session, number) }
    pendings[number].pointee.isIndefinite = true
    session.pointee.indefinite += 1
    stopWaiting(session)
  }

  /// Answers a request that became the event at `seq`, or repeats one that did.
  func answerDone(_ session: SessionPointer, _ number: Int32, seq: Seq, time: WallTime) {
    switch pendings[number].pointee.kind {
    case .send, .repeatedSend:
      sendAck(session, id: id(ofPending: number), chat: chat(ofPending: number), seq: seq, time: time)
    case .change, .query:
      sendPlain(session, "ok", id: id(ofPending: number))
    }
    removePending(session, number)
  }

  /// Answers a request that was refused by the owner or after asking the view.
  func answerRefused(_ session: SessionPointer, _ number: Int32, _ code: ErrorCode) {
    refuse(session, code, id: id(ofPending: number), refusal(code))
    removePending(session, number)
  }

  func refusal(_ code: ErrorCode) -> StaticString {
    switch code {
    case .forbidden: "not allowed in this chat"
    case .notFound: "no such chat"
    case .exists: "a chat of this id exists"
    case .busy: "too much waits to be stored; slow down"
    default: "refused"
    }
  }

  /// What waits for its verdict in the session is answered `unavailable`: the verdict goes to another inbox.
  func answerVerdictsUnavailable(_ session: SessionPointer) {
    var number = session.pointee.firstPending
    while number >= 0 {
      let next = pendings[number].pointee.next
      let pending = pendings[number].pointee
      if !pending.isIndefinite, pending.kind == .repeatedSend || pending.kind == .change {
        answerUnavailable(session, number, mayHappen: true)
      }
      number = next
    }
  }

  /// Everything that waits in the session is answered `unavailable`: its answer may have been lost.
  func answerAllUnavailable(_ session: SessionPointer) {
    var number = session.pointee.firstPending
    while number >= 0 {
      let next = pendings[number].pointee.next
      if !pendings[number].pointee.isIndefinite { answerUnavailable(session, number, mayHappen: true) }
      number = next
    }
  }

  // MARK: From the log and the owner

  public func appended(_ report: Appended) {
    beginInput()
    guard let session = find(report.origin),
      let number = findPending(session, request: report.origin.request),
      // A report that comes after `unavailable` was said is too late: the event itself is handed then.
      !pendings[number].pointee.isIndefinite
    else { return }
    if configuration.isClustered, report.seq <= pendings[number].pointee.position {
      // The log lost what it had acknowledged, and gave its place to this record.
      let position = pendings[number].pointee.position
      actions.append(
        .stop(
          partition: partition(of: chat(ofPending: number)),
          .reportBelowPosition(seq: report.seq, position: position)))
      return answerUnavailable(session, number, mayHappen: true)
    }
    answerDone(session, number, seq: report.seq, time: report.time)
  }

  public func failed(_ report: Failed) {
    beginInput()
    guard let session = find(report.origin),
      let number = findPending(session, request: report.origin.request),
      !pendings[number].pointee.isIndefinite
    else { return }
    answerUnavailable(session, number, mayHappen: report.mayHavePersisted)
  }

  public func judged(_ verdict: Verdict) {
    beginInput()
    guard let session = find(verdict.origin),
      let number = findPending(session, request: verdict.origin.request)
    else { return }
    guard !pendings[number].pointee.isIndefinite else {
      // The owner's last word, after `unavailable` was said: no event of this request will come.
      return removePending(session, number)
    }
    let outcome = verdict.outcome == .duplicate ? verdict.first : verdict.outcome
    switch outcome {
    case .event, .unchanged, .duplicate: answerDone(session, number, seq: verdict.seq, time: verdict.time)
    case .forbidden: answerRefused(session, number, .forbidden)
    case .notFound: answerRefused(session, number, .notFound)
    case .exists: answerRefused(session, number, .exists)
    }
  }

  /// The session a record came from, if it is of this server's epoch and still here.
  func find(_ origin: Origin) -> SessionPointer? {
    guard isOfThisServer(origin.epoch), origin.session.shard == configuration.shard else { return nil }
    return find(origin.session)
  }

  // MARK: Deadlines

  /// Looks at deadlines, and tries again what could not be read. To be called about every 100 ms, also
  /// when nothing else happens.
  public func checkDeadlines() {
    beginInput()
    while let id = helloDeadlines.first {
      if let session = find(id), session.pointee.phase == .waitingForHello {
        guard tick - session.pointee.openedAt >= Limits.helloMilliseconds else { break }
        close(session, 4002, "no hello in time")
      }
      _ = helloDeadlines.popFirst()
    }
    while let id = attachDeadlines.first {
      if let session = find(id), session.pointee.phase != .open, let attach = attaches[Int32(id.slot)] {
        guard tick >= attach.deadline else { break }
        refuse(session, .unavailable, id: nil, "your chats cannot be read now", retry: 1000)
        close(session, 4000, retry: 1000, "unavailable")
      }
      _ = attachDeadlines.popFirst()
    }
    while let watch = watched.first, watch.at <= tick {
      _ = watched.popFirst()
      guard let session = find(watch.session) else { continue }
      answerOverdue(session)
      guard session.pointee.phase != .free else { continue }
      session.pointee.isWatched = session.pointee.waiting > 0
      guard session.pointee.isWatched else { continue }
      watched.append(Watch(session: watch.session, at: tick + 1000))
    }
    doubtSilence()
    askLogEnds()
    let again = retries
    retries.removeAll(keepingCapacity: true)
    for retry in again { tryAgain(retry) }
  }

  private func answerOverdue(_ session: SessionPointer) {
    var number = session.pointee.firstPending
    while number >= 0 {
      let next = pendings[number].pointee.next
      if !pendings[number].pointee.isIndefinite, pendings[number].pointee.deadline <= tick {
        answerUnavailable(session, number, mayHappen: true)
      }
      number = next
    }
    if Int(session.pointee.indefinite) > Self.indefiniteRequests {
      close(session, 4000, retry: 1000, "too much is unanswered")
    }
  }
}
