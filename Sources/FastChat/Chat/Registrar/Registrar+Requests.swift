/// Requests that write entries, several under way at once: batches of what waited when they were made.
struct EntryRequest {
  enum Content {
    case sessions([SessionID])
    case rooms([[UInt8]])
    case sessionRemovals([Removal])
    case roomRemovals([[UInt8]])
  }

  var tag: UInt64
  var epoch: Epoch
  var generation: UInt64
  var askedAt: Tick
  var content: Content

  var registers: Bool {
    switch content {
    case .sessions, .rooms: true
    case .sessionRemovals, .roomRemovals: false
    }
  }
}

extension Registrar {
  // MARK: Inputs

  /// nil where it is not known whether they were registered.
  public func sessionsRegistered(_ tag: UInt64, _ entries: [SessionRegistered]?) {
    guard phase != .over else { return }
    // Even if the answer comes too late for anything else. But a session that is gone ends none: its client may
    // be back at one that only looks older.
    for entry in entries ?? [] where sessions[entry.session].map({ !$0.isGone }) ?? false {
      for replaced in entry.replaced { end(replaced) }
    }
    guard let request = takeRequest(tag), case .sessions(let asked) = request.content else { return }
    if let entries {
      registering.succeeded(next: tick)
      for entry in entries { isRegistered(entry, by: request) }
      // One that the answer lacks is asked for again.
      for session in asked where sessions[session]?.state == .underWay { queue(session) }
    } else {
      fail(request)
    }
    advance()
  }

  public func roomsRegistered(_ tag: UInt64, _ areRegistered: Bool) {
    guard phase != .over, let request = takeRequest(tag), case .rooms(let chats) = request.content else {
      return
    }
    if areRegistered {
      registering.succeeded(next: tick)
      for chat in chats { isRegistered(chat, by: request) }
    } else {
      fail(request)
    }
    advance()
  }

  /// A removal is done; false where that is not known.
  public func done(_ tag: UInt64, _ isDone: Bool) {
    guard phase != .over, let request = takeRequest(tag) else { return }
    if isDone {
      removing.succeeded(next: tick)
      if case .roomRemovals(let chats) = request.content { areRemoved(chats) }
    } else {
      fail(request)
    }
    advance()
  }

  // MARK: What follows

  func issueRegistrations() {
    switch phase {
    case .registering where base != nil, .standing: break
    default: return
    }
    guard tick >= registering.nextAt, tick >= registerNotBefore else { return }
    guard !requests.contains(where: { $0.registers && $0.epoch != epoch }) else { return }
    while requests.count(where: \.registers) < Self.requestsAtOnce {
      let entries = nextSessions()
      if !entries.isEmpty {
        let tag = issue(.sessions(entries.map(\.session)))
        actions.append(.registerSessions(tag: tag, epoch, entries))
        continue
      }
      let chats = nextRooms()
      guard !chats.isEmpty else { return }
      actions.append(.registerRooms(tag: issue(.rooms(chats)), epoch, chats))
    }
  }

  func issueRemovals() {
    guard phase == .registering || phase == .standing, tick >= removing.nextAt else { return }
    guard !requests.contains(where: { !$0.registers }) else { return }
    let removals = nextSessionRemovals()
    if !removals.isEmpty {
      let tag = issue(.sessionRemovals(removals))
      actions.append(.removeSessions(tag: tag, epoch, removals.map(\.entry)))
    }
    let chats = nextRoomRemovals()
    if !chats.isEmpty {
      actions.append(.removeRooms(tag: issue(.roomRemovals(chats)), epoch, chats))
    }
  }

  func giveUpRequests() {
    var index = 0
    while index < requests.count {
      if tick - requests[index].askedAt >= Lane.answerMilliseconds {
        fail(requests.remove(at: index))
      } else {
        index += 1
      }
    }
  }

  private func issue(_ content: EntryRequest.Content) -> UInt64 {
    let tag = nextTag()
    requests.append(
      EntryRequest(tag: tag, epoch: epoch, generation: generation, askedAt: tick, content: content))
    return tag
  }

  private func takeRequest(_ tag: UInt64) -> EntryRequest? {
    requests.firstIndex { $0.tag == tag }.map { requests.remove(at: $0) }
  }

  /// It may have taken effect, may still do so for a while, or never.
  private func fail(_ request: EntryRequest) {
    let mayBeLateUntil = tick + Self.lateMilliseconds
    if request.registers {
      registering.failed(at: tick)
      strayUntil = mayBeLateUntil
      if request.epoch != epoch { registerNotBefore = mayBeLateUntil }
    } else {
      removing.failed(at: tick)
    }
    switch request.content {
    case .sessions(let asked):
      for session in asked { registrationFailed(session, mayBeLateUntil: mayBeLateUntil) }
    case .rooms(let chats):
      for chat in chats { registrationFailed(chat, mayBeLateUntil: mayBeLateUntil) }
    case .sessionRemovals(let removals):
      for removal in removals { retry(removal) }
    case .roomRemovals(let chats):
      for chat in chats { removalFailed(chat, mayBeLateUntil: mayBeLateUntil) }
    }
  }
}
