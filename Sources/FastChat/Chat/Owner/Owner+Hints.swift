import JSON

/// Looking up who listens, and telling their servers (DESIGN section 5, "Two orders" and "The chain").
extension Owner {
  /// Bytes of hints in one batch to a server; one with more is sent as several with ranges that follow
  /// each other. A single hint may be larger.
  static let sentBytes = 900 << 10

  // MARK: The directory

  /// Reads the ids of the primaries where they are not known, or were read long ago.
  func askDirectories() {
    guard directories == nil || tick >= nextDirectories, directoriesQuestion.isFree(at: tick) else { return }
    let tag = nextTag()
    directoriesQuestion.ask(tag)
    actions.append(.readDirectories(tag: tag))
  }

  public func directoriesRead(_ answer: DirectoriesRead) {
    guard directoriesQuestion.takes(answer.tag) else { return }
    guard !answer.hasFailed, !answer.directories.isEmpty else { return directoriesQuestion.failed(at: tick) }
    directoriesQuestion.succeeded()
    nextDirectories = tick + Limits.beatMilliseconds
    if let known = directories {
      guard
        !known.allSatisfy(answer.directories.contains) || !answer.directories.allSatisfy(known.contains)
      else { return }
      // Somebody may have been looked up in a directory that is gone.
      breakChains()
      pass?.isTainted = true
    }
    directories = answer.directories
    answeredUpto = Array(repeating: 0, count: answer.directories.count)
    advance()
  }

  /// Every server sees at its next batch, which it gets at once, whether it missed something.
  func breakChains() {
    sent = [:]
    lastBeat = nil
  }

  /// Whom to look up: users of direct chats, rooms, and whom a membership event concerns.
  func collectLookUp() {
    pass!.request.bytes.withUnsafeBytes { bytes in
      for (record, row) in zip(pass!.request.records, pass!.rows) {
        var targets = OwnerPass.Targets()
        defer { pass!.targets.append(targets) }
        guard row.outcome == .event else { continue }
        let chat = UnsafeRawBufferPointer(rebasing: bytes[record.chat])
        switch ChatName(chat) {
        case .direct(let first, let second)?:
          targets.firstUser = userNames.place(first)
          targets.secondUser = userNames.place(second)
        case .room?:
          targets.room = roomNames.place(chat)
          if record.kind.dependsOnState {
            targets.firstUser = userNames.place(UnsafeRawBufferPointer(rebasing: bytes[record.from]))
          }
        case nil: preconditionFailure("what is no chat is not applied")
        }
      }
    }
    pass!.lookUp.users = userNames.take()
    pass!.lookUp.rooms = roomNames.take()
  }

  public func lookedUp(_ answer: LookedUp) {
    guard lookUpQuestion.takes(answer.tag), let pass, pass.stage == .lookingUp else { return }
    guard !answer.hasFailed, !answer.directories.isEmpty, answer.users.count == pass.lookUp.users.count,
      answer.rooms.count == pass.lookUp.rooms.count
    else { return lookUpQuestion.failed(at: tick) }
    lookUpQuestion.succeeded()
    self.pass!.lookedUp = answer
    self.pass!.stage = .readingLeases
    advance()
  }

  public func leasesRead(_ answer: LeasesRead) {
    guard leasesQuestion.takes(answer.tag), let pass, pass.stage == .readingLeases else { return }
    guard !answer.hasFailed, !answer.directories.isEmpty else { return leasesQuestion.failed(at: tick) }
    leasesQuestion.succeeded()
    tell(pass, answer)
    finishPass()
    advance()
  }

  // MARK: Telling the servers

  /// A batch to this server was not produced. The server sees it at the next one, which comes soon: until then
  /// a removed member's sends are taken there.
  public func notSent(_ server: ServerEpoch) {
    sent[server] = nil
    if let last = lastBeat {
      lastBeat = min(last, tick - Limits.beatMilliseconds + Limits.repairMilliseconds)
    }
  }

  private func tell(_ pass: OwnerPass, _ leases: LeasesRead) {
    for verdict in pass.verdicts {
      guard let server = leases.living.first(where: { $0.epoch == verdict.origin.epoch }) else { continue }
      actions.append(.verdict(server, verdict))
    }
    let answered = (pass.lookedUp?.directories ?? []) + leases.directories
    guard !pass.isTainted, let known = directories, answered.allSatisfy(known.contains) else {
      // A directory that was not there before the look-ups may not have had those who listen.
      counters.unsent += 1
      if !pass.isTainted { directories = nil }
      return breakChains()
    }
    if sent.keys.contains(where: { !leases.living.contains($0) }) {
      sent = sent.filter { leases.living.contains($0.key) }
    }
    let listening = Listening(pass, living: leases.living)
    let ranges = listening.isNobody ? [] : composeHints(pass)
    for (place, id) in known.enumerated() where answered.contains(id) {
      answeredUpto[place] = pass.request.upto
    }
    for (place, server) in leases.living.enumerated() where pass.isBeat || listening.hasAny(place) {
      send(pass, to: server, directories: listening.hasAny(place) ? involved(server, known) : known) {
        ranges.isEmpty || !listening.concerns(place, record: $0) ? 0..<0 : ranges[$0]
      }
    }
    if pass.isBeat { lastBeat = tick }
  }

  /// The primaries that a batch to this server names: those that answered for any record behind the last batch
  /// to it. What came between and went to others may have concerned it by a directory that nobody answers for.
  private func involved(_ server: ServerEpoch, _ known: [DirectoryID]) -> [DirectoryID] {
    guard let since = sent[server] else { return known }
    return known.indices.filter { answeredUpto[$0] > since }.map { known[$0] }
  }

  /// Encodes the batch's hints, once for all servers; returns where each record's stands.
  private func composeHints(_ pass: OwnerPass) -> [Range<Int>] {
    hints.removeAll(keepingAtMost: Self.keptBytes)
    var ranges: [Range<Int>] = []
    ranges.reserveCapacity(pass.rows.count)
    pass.request.bytes.withUnsafeBytes { bytes in
      for (record, row) in zip(pass.request.records, pass.rows) {
        let start = hints.count
        if row.outcome == .event {
          event.removeAll(keepingAtMost: Self.keptBytes)
          event.append(UnsafeRawBufferPointer(rebasing: bytes[record.head]))
          event.append(decimal: row.prev)
          event.append(UnsafeRawBufferPointer(rebasing: bytes[record.tail]))
          HintCodec.encode(
            Hint(
              kind: record.kind, seq: record.seq, prev: row.prev, time: record.time, origin: record.origin,
              role: record.kind.dependsOnState ? row.role : .none,
              chat: UnsafeRawBufferPointer(rebasing: bytes[record.chat]),
              user: UnsafeRawBufferPointer(rebasing: bytes[record.from]), json: event.bytes), into: &hints)
        }
        ranges.append(start..<hints.count)
      }
    }
    return ranges
  }

  /// Sends a server the hints that `range` names for each record, in one batch or in several.
  private func send(
    _ pass: OwnerPass, to server: ServerEpoch, directories: [DirectoryID], range: (Int) -> Range<Int>
  ) {
    let upto = pass.request.upto
    var since = sent[server] ?? pass.request.from
    var last = since
    func flush(upto: Seq) {
      let batch = Batch(
        partition: configuration.partition, view: view, directories: directories, since: since, upto: upto,
        hints: serverHints.bytes)
      actions.append(.send(server, batch))
      serverHints.removeAll(keepingAtMost: Self.keptBytes)
      since = upto
    }
    serverHints.removeAll(keepingAtMost: Self.keptBytes)
    for (index, record) in pass.request.records.enumerated() {
      let hint = range(index)
      guard !hint.isEmpty else { continue }
      if !serverHints.isEmpty, serverHints.count + hint.count > Self.sentBytes { flush(upto: last) }
      serverHints.append(hints[hint])
      last = record.seq
    }
    flush(upto: upto)
    sent[server] = upto
  }
}

/// Which of a batch's records concern which living server: a bit for each name looked up and server.
private struct Listening {
  private let words: Int
  private let userCount: Int
  private var bits: [UInt64]
  private var any: [UInt64]
  private let targets: [OwnerPass.Targets]

  init(_ pass: OwnerPass, living: [ServerEpoch]) {
    words = (living.count + 63) / 64
    userCount = pass.lookUp.users.count
    targets = pass.targets
    bits = Array(repeating: 0, count: words * (userCount + pass.lookUp.rooms.count))
    any = Array(repeating: 0, count: words)
    guard let lookedUp = pass.lookedUp else { return }
    var places: [ServerEpoch: Int] = [:]
    for (place, server) in living.enumerated() { places[server] = place }
    for (name, entries) in (lookedUp.users + lookedUp.rooms).enumerated() {
      for entry in entries {
        // One of an epoch that is over, or of a server without a lease, is left behind.
        guard let place = places[entry] else { continue }
        bits[name * words + place / 64] |= 1 << UInt64(place % 64)
        any[place / 64] |= 1 << UInt64(place % 64)
      }
    }
  }

  var isNobody: Bool { any.allSatisfy { $0 == 0 } }

  func hasAny(_ place: Int) -> Bool { any[place / 64] >> UInt64(place % 64) & 1 != 0 }

  func concerns(_ place: Int, record: Int) -> Bool {
    let targets = targets[record]
    return has(place, Int(targets.firstUser)) || has(place, Int(targets.secondUser))
      || has(place, targets.room < 0 ? -1 : userCount + Int(targets.room))
  }

  private func has(_ place: Int, _ name: Int) -> Bool {
    name >= 0 && bits[name * words + place / 64] >> UInt64(place % 64) & 1 != 0
  }
}
