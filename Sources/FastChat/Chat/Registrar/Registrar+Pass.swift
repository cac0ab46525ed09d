/// Which primaries the directory is, and registering everything again when they, or the lease, were in
/// doubt.
extension Registrar {
  // MARK: Inputs

  public func directoriesRead(_ read: DirectoriesRead) {
    guard phase != .over, directories.isAnswered(by: read.tag) else { return }
    if read.hasFailed || read.directories.isEmpty {
      directories.failed(at: tick)
      directoriesAreUnknown()
    } else {
      directories.succeeded(next: tick)
      directoriesDueAt = tick + Self.directoriesMilliseconds
      directoriesAre(read.directories.sorted())
    }
    advance()
  }

  /// A connection to the directory is there again: perhaps to another primary.
  public func directoryReconnected(_ tick: Tick) {
    self.tick = max(self.tick, tick)
    directoriesDueAt = tick
    if directories.tag == 0 { directories.nextAt = tick }
    if lease.tag == 0 { lease.nextAt = min(lease.nextAt, tick) }
    registering.nextAt = tick
    removing.nextAt = tick
    advance()
  }

  /// A shard met a primary that it is not registered with. Where the ids, read after this, are those that it
  /// was told, all its entries stand there, and it is told so again; otherwise all are registered again.
  public func registrationAsked(shard: Int) {
    guard phase != .over else { return }
    asking.insert(shard)
    advance()
  }

  // MARK: What follows

  /// The word stands in every mailbox before anything is written.
  func doubt() {
    base = nil
    // An answer that was issued earlier says nothing any more.
    directories.reset()
    putBackConfirming()
    guard !isDoubted else { return }
    isDoubted = true
    tellAll(.registrationDoubted)
  }

  func beginPass() {
    doubt()
    phase = .registering
  }

  func askForDirectories() {
    switch phase {
    case .registering where base == nil || owed == 0: break
    case .standing: break
    default: return
    }
    let isWanted = phase == .registering || !answered.isEmpty || !asking.isEmpty || tick >= directoriesDueAt
    guard isWanted, directories.mayAsk(at: tick) else { return }
    directories.ask(nextTag(), at: tick)
    swap(&answered, &confirming)
    askedBefore.formUnion(asking)
    asking = ShardSet()
    actions.append(.readDirectories(tag: directories.tag))
  }

  func directoriesAreUnknown() {
    putBackConfirming()
    asking.formUnion(askedBefore)
    askedBefore = ShardSet()
  }

  private func putBackConfirming() {
    answered.append(contentsOf: confirming)
    confirming.removeAll(keepingCapacity: true)
  }

  private func directoriesAre(_ ids: [DirectoryID]) {
    if phase == .standing {
      guard ids == toldDirectories else { return beginPass() }
      confirm()
      for shard in 0..<configuration.shards where askedBefore.contains(shard) {
        actions.append(.tell(shard: shard, .registrationDoubted))
        tellRegisteredAgain(shard)
      }
      askedBefore = ShardSet()
    } else if ids != base {
      rebase(to: ids)
    } else if !asking.isEmpty {
      // A shard met another primary after these ids were asked for: they are asked for once more.
      putBackConfirming()
    } else {
      phase = .standing
      isDoubted = false
      toldDirectories = ids
      askedBefore = ShardSet()
      for shard in 0..<configuration.shards { tellRegisteredAgain(shard) }
      confirm()
    }
  }

  private func tellRegisteredAgain(_ shard: Int) {
    actions.append(.tell(shard: shard, .registeredAgain(epoch: epoch, directories: toldDirectories)))
    if leaseHeldUntil > tick { actions.append(.tell(shard: shard, .leaseHolds(until: leaseHeldUntil))) }
  }

  /// Everything is registered with these primaries, from the first entry on.
  private func rebase(to ids: [DirectoryID]) {
    base = ids
    generation += 1
    answered.removeAll(keepingCapacity: true)
    confirming.removeAll(keepingCapacity: true)
    oweEverything()
  }

  /// The entries answered before the ids were asked for stand where the shards take them to.
  private func confirm() {
    for entry in confirming {
      switch entry {
      case .session(let session):
        guard var record = sessions[session], record.state == .answered else { continue }
        record.state = .registered
        if !record.isTold {
          record.isTold = true
          actions.append(.tell(shard: session.shard, .registered(session)))
        }
        sessions[session] = record
      case .room(let chat):
        guard var record = rooms[chat], record.state == .answered else { continue }
        record.state = .registered
        for (shard, words) in record.waiting {
          for _ in 0..<words { actions.append(.tell(shard: shard, .roomRegistered(chat: chat))) }
        }
        record.waiting = []
        rooms[chat] = record
      }
    }
    confirming.removeAll(keepingCapacity: true)
  }
}
