/// How far an entry of the directory is.
enum EntryState {
  /// In the queue -> underWay.
  case waiting
  /// -> answered; waiting, where that was not known, or where other primaries were found meanwhile.
  case underWay
  /// -> registered, once the ids were read after it; waiting.
  case answered
  /// -> waiting, in the next pass; of a room, removing.
  case registered
  /// A room's: -> waiting, where somebody listens again, or forgotten.
  case removing
  /// A session's: a newer one of its device is there. -> forgotten.
  case outdated
}

struct SessionRecord {
  var entry: SessionEntry
  var state = EntryState.waiting
  /// The pass that is under way is not over before this is registered.
  var isOwed = false
  /// Its shard was told that it is registered.
  var isTold = false
  /// It was asked to be registered, and so may stand in the directory.
  var mayStand = false
  /// A registration that was given up may take effect until then.
  var registrationMayComeUntil: Tick = .min
  /// It detached while it was being registered.
  var isGone = false
  /// Its shard was told that a newer session of the device is there.
  var isReplaced = false

  init(entry: SessionEntry) { self.entry = entry }
}

/// A session to be taken out of the directory.
struct Removal {
  var entry: SessionEntry
  var attempts = 0
  var notBefore: Tick

  init(entry: SessionEntry, notBefore: Tick) {
    self.entry = entry
    self.notBefore = notBefore
  }
}

extension Registrar {
  // MARK: Inputs

  /// A session said `hello`. `.registered` is told to its shard, or `.replaced`.
  public func attach(_ entry: SessionEntry) {
    guard phase != .over else { return }
    precondition(entry.session.shard < configuration.shards, "a session of a shard that is not there")
    precondition(!sessions.contains(entry.session), "a session attaches once")
    sessions[entry.session] = SessionRecord(entry: entry)
    sessionQueue.append(entry.session)
    advance()
  }

  /// The session is over. One that was never attached, or was told `.replaced`, may be named too.
  public func detach(_ session: SessionID) {
    guard phase != .over, var record = sessions[session] else { return }
    settleDebt(&record)
    if record.state == .underWay {
      record.isGone = true
      sessions[session] = record
    } else {
      sessions[session] = nil
      if record.mayStand { remove(record) }
    }
    advance()
  }

  // MARK: What follows

  /// At most `entriesAtOnce` that wait, under way now.
  func nextSessions() -> [SessionEntry] {
    var entries: [SessionEntry] = []
    while entries.count < Self.entriesAtOnce, let session = sessionQueue.popFirst() {
      guard var record = sessions[session], record.state == .waiting else { continue }
      record.state = .underWay
      record.mayStand = true
      sessions[session] = record
      entries.append(record.entry)
    }
    return entries
  }

  func isRegistered(_ registered: SessionRegistered, by request: EntryRequest) {
    guard var record = sessions[registered.session], record.state == .underWay else { return }
    record.entry.helloAt = registered.helloAt
    if record.isGone {
      sessions[registered.session] = nil
      return remove(record)
    }
    if registered.isOutdated || record.isReplaced {
      record.state = .outdated
      sessions[registered.session] = record
      tellReplaced(registered.session)
    } else if request.generation != generation {
      sessions[registered.session] = record
      queue(registered.session)
    } else {
      settleDebt(&record)
      record.state = .answered
      sessions[registered.session] = record
      answered.append(.session(registered.session))
    }
  }

  func registrationFailed(_ session: SessionID, mayBeLateUntil: Tick) {
    guard var record = sessions[session], record.state == .underWay else { return }
    record.registrationMayComeUntil = mayBeLateUntil
    sessions[session] = record
    queue(session)
  }

  func queue(_ session: SessionID) {
    guard var record = sessions[session] else { return }
    if record.isGone {
      sessions[session] = nil
      return remove(record)
    }
    record.state = record.isReplaced ? .outdated : .waiting
    sessions[session] = record
    if record.state == .waiting { sessionQueue.append(session) }
  }

  /// Ends an older session of a device. Its id says something only together with the process that gave it.
  func end(_ replaced: ReplacedSession) {
    guard replaced.server.server == configuration.server else {
      actions.append(.tellReplaced(replaced))
      return
    }
    guard epochs.contains(replaced.server.epoch), var record = sessions[replaced.session], !record.isGone
    else { return }
    // One that is under way is looked at when it is answered, whatever the answer.
    if record.state != .underWay { record.state = .outdated }
    sessions[replaced.session] = record
    tellReplaced(replaced.session)
  }

  private func tellReplaced(_ session: SessionID) {
    guard var record = sessions[session], !record.isReplaced else { return }
    settleDebt(&record)
    record.isReplaced = true
    sessions[session] = record
    actions.append(.tell(shard: session.shard, .replaced(session)))
  }

  /// Everything waits to be registered anew, in the order of the tables.
  func oweEverything() {
    owed = 0
    sessionQueue.removeAll()
    for slot in 0..<sessions.addressable {
      guard var record = sessions[slot: slot], !record.isGone, !record.isReplaced else { continue }
      owed += 1
      record.isOwed = true
      // What is under way comes back when it is answered: it was asked before the ids were read.
      if record.state != .underWay {
        record.state = .waiting
        sessionQueue.append(record.entry.session)
      }
      sessions[slot: slot] = record
    }
    roomQueue.removeAll()
    delayedRooms.removeAll(keepingCapacity: true)
    for slot in 0..<rooms.addressable {
      guard var record = rooms[slot: slot] else { continue }
      // One that is being removed has listeners only who wait for its registration.
      guard record.state != .removing else { continue }
      owed += 1
      record.isOwed = true
      if record.state != .underWay {
        record.state = .waiting
        roomQueue.append(record.chat)
      }
      rooms[slot: slot] = record
    }
  }

  private func settleDebt(_ record: inout SessionRecord) {
    guard record.isOwed else { return }
    record.isOwed = false
    owed -= 1
  }

  // MARK: Removal

  private func remove(_ record: SessionRecord) {
    guard sessionRemovals.count < Self.removalsWaiting else { return }
    let notBefore = max(tick, record.registrationMayComeUntil)
    sessionRemovals.append(Removal(entry: record.entry, notBefore: notBefore))
  }

  func nextSessionRemovals() -> [Removal] {
    var removals: [Removal] = []
    while removals.count < Self.entriesAtOnce, let removal = sessionRemovals.first,
      removal.notBefore <= tick
    {
      removals.append(removal)
      _ = sessionRemovals.popFirst()
    }
    return removals
  }

  func retry(_ removal: Removal) {
    var removal = removal
    removal.attempts += 1
    removal.notBefore = tick
    guard removal.attempts < Self.removalAttempts, sessionRemovals.count < Self.removalsWaiting else {
      return
    }
    sessionRemovals.append(removal)
  }
}
