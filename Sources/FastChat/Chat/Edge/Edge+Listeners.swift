import JSON

/// Sessions in chats where they are not live: entered when one begins or loses something, gone when it
/// stands where its shard stands.
extension Edge {
  /// The session's listener in the chat; nil where it is live (or has no part in it).
  func listener(of session: SessionPointer, in chat: Int32) -> Int32? {
    guard session.pointee.firstListener >= 0 else { return nil }
    return listenerNumbers[ListenerKey(slot: Int32(session.pointee.id.slot), chat: chat)]
  }

  func addListener(
    _ session: SessionPointer, _ name: UnsafeRawBufferPointer, behind cursor: Seq, countsForLive: Bool
  ) {
    let chat = retainChat(name)
    let key = ListenerKey(slot: Int32(session.pointee.id.slot), chat: chat)
    precondition(listenerNumbers[key] == nil, "a session listens once in a chat")
    let number = listeners.insert(
      Listener(
        state: .behind, at: cursor, session: session.pointee.id, chat: chat, partition: partition(of: name),
        countsForLive: countsForLive))
    listenerNumbers[key] = number
    let listener = listeners[number]
    listener.pointee.previousOfSession = session.pointee.lastListener
    if session.pointee.lastListener >= 0 {
      listeners[session.pointee.lastListener].pointee.nextOfSession = number
    } else {
      session.pointee.firstListener = number
    }
    session.pointee.lastListener = number
    listener.pointee.nextOfChat = chats[chat].pointee.firstListener
    if listener.pointee.nextOfChat >= 0 {
      listeners[listener.pointee.nextOfChat].pointee.previousOfChat = number
    }
    chats[chat].pointee.firstListener = number
    if countsForLive { session.pointee.beforeLive += 1 }
    queueForCatchUp(session)
  }

  func removeListener(_ number: Int32) {
    let listener = listeners[number].pointee
    let session = sessions[Int32(listener.session.slot)]
    if listener.previousOfSession >= 0 {
      listeners[listener.previousOfSession].pointee.nextOfSession = listener.nextOfSession
    } else {
      session.pointee.firstListener = listener.nextOfSession
    }
    if listener.nextOfSession >= 0 {
      listeners[listener.nextOfSession].pointee.previousOfSession = listener.previousOfSession
    } else {
      session.pointee.lastListener = listener.previousOfSession
    }
    if listener.previousOfChat >= 0 {
      listeners[listener.previousOfChat].pointee.nextOfChat = listener.nextOfChat
    } else {
      chats[listener.chat].pointee.firstListener = listener.nextOfChat
    }
    if listener.nextOfChat >= 0 {
      listeners[listener.nextOfChat].pointee.previousOfChat = listener.previousOfChat
    }
    if listener.countsForLive { session.pointee.beforeLive -= 1 }
    if listener.read != 0 { session.pointee.isReading = false }
    listenerNumbers[ListenerKey(slot: Int32(listener.session.slot), chat: listener.chat)] = nil
    listeners.remove(number)
    releaseChat(listener.chat)
  }

  /// The listener reads the view from `cursor`. A read under way is not counted: it may be of what the
  /// listener was not handed.
  func fallBehind(_ number: Int32, to cursor: Seq) {
    let listener = listeners[number]
    let session = sessions[Int32(listener.pointee.session.slot)]
    if listener.pointee.read != 0 {
      listener.pointee.read = 0
      session.pointee.isReading = false
    }
    listener.pointee.state = .behind
    listener.pointee.at = cursor
    queueForCatchUp(session)
  }

  /// The listener has been handed all up to `seq`: it skips hints up to there, and is live where the shard
  /// stands there already.
  func settle(_ number: Int32, ahead seq: Seq) {
    let listener = listeners[number]
    let p = Int(listener.pointee.partition)
    listener.pointee.state = .ahead
    listener.pointee.at = seq
    if listener.pointee.countsForLive {
      listener.pointee.countsForLive = false
      let session = sessions[Int32(listener.pointee.session.slot)]
      session.pointee.beforeLive -= 1
      queueForLive(session)
    }
    if seq <= partitions[p].position, current == nil {
      settleLive(number)
    } else {
      let slot = Int32(listener.pointee.session.slot)
      partitions[p].ahead.append(ListenerKey(slot: slot, chat: listener.pointee.chat))
    }
  }

  /// The listener needs no state of its own any more. One that was removed from the room takes the entry
  /// with it where that is older.
  func settleLive(_ number: Int32) {
    let listener = listeners[number].pointee
    let session = sessions[Int32(listener.session.slot)]
    if listener.isRemoved, let entry = membership(of: session.pointee.user, inChat: listener.chat),
      memberships[entry].pointee.joined <= listener.at
    {
      removeMembership(entry)
    }
    removeListener(number)
  }

  /// How far the session has been handed the chat, for `chats` rows.
  func cursor(of session: SessionPointer, _ row: ChatRow) -> Seq {
    let listener = row.chat.withUnsafeBytes { chat in
      chatNames.find(chat).flatMap { self.listener(of: session, in: $0) }
    }
    let p = Int(row.partition)
    var stands = partitions[p].position
    if let listener {
      if listeners[listener].pointee.state == .behind { return listeners[listener].pointee.at }
      stands = max(stands, listeners[listener].pointee.at)
    } else if session.pointee.unsettledPartitions > 0, let attach = attaches[Int32(session.pointee.id.slot)] {
      stands = max(stands, attach.ahead[p])
    }
    return min(row.head, stands)
  }

  // MARK: Lost copies

  /// A `.deliver` of the last input was dropped, since too much waits for the session: it is in pull mode.
  public func lost(_ id: SessionID, delivery index: Int32) {
    let delivery = deliveries[Int(index)]
    // What is not stored is not missed.
    guard delivery.seq > 0, let session = find(id) else { return }
    counters.lostCopies += 1
    if !session.pointee.isCongested { counters.congestions += 1 }
    session.pointee.isCongested = true
    if isOwn(delivery.origin, session) { expectAgain(session, request: delivery.origin.request) }
    let cursor = delivery.seq - 1
    guard let chat = chatNames.find(delivery.chat), let number = listener(of: session, in: chat) else {
      return addListener(session, delivery.chat, behind: cursor, countsForLive: !session.pointee.wasToldLive)
    }
    let listener = listeners[number]
    let isWorse = listener.pointee.state == .ahead || cursor < listener.pointee.at
    if isWorse {
      if !session.pointee.wasToldLive, !listener.pointee.countsForLive {
        listener.pointee.countsForLive = true
        session.pointee.beforeLive += 1
      }
      // What was handed after it in the same page is lost too; a removal among it has to be read again.
      listener.pointee.isRemoved = false
      fallBehind(number, to: cursor)
    }
  }

  /// Little waits for the session any more: it may be handed pages again.
  public func drained(_ id: SessionID) {
    beginInput()
    guard let session = find(id), session.pointee.isCongested else { return }
    session.pointee.isCongested = false
    queueForCatchUp(session)
  }
}
