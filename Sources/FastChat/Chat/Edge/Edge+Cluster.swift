import JSON

/// What only a server among others is told: by its registrar, and by the log's brokers.
extension Edge {
  // MARK: Lease and directory

  /// Lease or directory is in doubt: all partitions hold their batches until `registeredAgain`.
  public func registrationDoubted() {
    beginInput()
    isRegistrationDoubted = true
    for partition in 0..<configuration.partitions { doubt(partition: partition) }
  }

  /// A batch or the view named a primary that this shard is not registered with: a doubt of all shards, which
  /// the registrar tells them before it writes.
  func doubtRegistration() {
    guard !isRegistrationDoubted else { return }
    isRegistrationDoubted = true
    actions.append(.askRegistration)
    for partition in 0..<configuration.partitions { doubt(partition: partition) }
  }

  /// All sessions and rooms of this server are registered with these primaries. Another epoch than before:
  /// what waits for its verdict is answered `unavailable`, since verdicts go to an inbox that nobody reads
  /// any more.
  public func registeredAgain(epoch: Epoch, directories: [DirectoryID]) {
    beginInput()
    if epoch != self.epoch { take(epoch) }
    isRegistrationDoubted = false
    self.directories = directories
    for p in partitions.indices where partitions[p].doubt == .registration { askForRecent(Int32(p)) }
  }

  /// Epochs of the past whose events are still known for this server's own; past it all sessions end.
  private static let epochsAtMost = 64

  private func take(_ epoch: Epoch) {
    pastEpochs.append(self.epoch)
    self.epoch = epoch
    for slot in 0..<Int32(sessions.addressable) where sessions[slot].pointee.phase != .free {
      answerVerdictsUnavailable(sessions[slot])
    }
    guard pastEpochs.count > Self.epochsAtMost else { return }
    closeAll { _ in (4000, 0, "the server lost its place too often") }
    pastEpochs.removeAll()
  }

  /// Whether the epoch is one that this server has or had.
  func isOfThisServer(_ epoch: Epoch) -> Bool {
    epoch == self.epoch || !pastEpochs.isEmpty && pastEpochs.contains(epoch)
  }

  /// Batches of the inbox may be missing.
  public func inboxDoubted() {
    beginInput()
    for partition in 0..<configuration.partitions { doubt(partition: partition) }
  }

  /// Until then removals of members reach this server: what it remembers authorises, later the view is
  /// asked.
  public func leaseHolds(until tick: Tick) {
    beginInput()
    leaseUntil = tick
  }

  /// Living owners send something every few seconds: one that is silent may have been replaced by one that
  /// does not know of this server.
  func doubtSilence() {
    guard configuration.isClustered else { return }
    for p in partitions.indices where tick - partitions[p].heardAt >= Limits.silenceMilliseconds {
      guard partitions[p].doubt == .none else { continue }
      partitions[p].heardAt = tick
      doubt(partition: Int32(p))
    }
  }

  // MARK: Rooms

  /// The first member of a room is here: owners have to know.
  func listen(_ chat: Int32) {
    guard configuration.isClustered else { return }
    // The number stays the room's until the answer has come.
    if chats[chat].pointee.registrationsAsked == 0 { _ = retainChat(chatNames.bytes(chat)) }
    chats[chat].pointee.registrationsAsked += 1
    let start = output.count
    output.append(chatNames.bytes(chat))
    actions.append(.listen(start: Int32(start), count: Int32(output.count - start)))
  }

  /// Another view of the partition: it was rebuilt, since what stood in its slot was lost. The entries of rooms
  /// stand beside it, and owners may not find this server there any more: they are registered again before
  /// the recent list is read.
  func registerRooms(_ partition: Int32, beside view: ViewID) {
    partitions[Int(partition)].roomsBeside = view
    partitions[Int(partition)].awaitsRooms = configuration.isClustered
    if configuration.isClustered { actions.append(.viewChanged(partition: partition, view)) }
    for number in 0..<Int32(chats.addressable) where isRoom(number, in: partition) {
      if chats[number].pointee.registrationsAsked == 0 { _ = retainChat(chatNames.bytes(number)) }
      chats[number].pointee.registrationsAsked += 1
      chats[number].pointee.registeredAfter = -1
      let start = output.count
      output.append(chatNames.bytes(number))
      actions.append(.listen(start: Int32(start), count: Int32(output.count - start)))
    }
    askForRecent(partition)
  }

  func roomsAreRegistered(_ partition: Int32) -> Bool {
    for number in 0..<Int32(chats.addressable) where isRoom(number, in: partition) {
      if chats[number].pointee.registeredAfter < 0 { return false }
    }
    return true
  }

  /// A room of the partition with members here.
  private func isRoom(_ number: Int32, in partition: Int32) -> Bool {
    guard configuration.isClustered, isUsed(number), chats[number].pointee.memberCount > 0 else {
      return false
    }
    return !isDirect(number) && self.partition(of: chatNames.bytes(number)) == partition
  }

  /// The last member of a room went.
  func unlisten(_ chat: Int32) {
    guard configuration.isClustered else { return }
    chats[chat].pointee.registeredAfter = -1
    let start = output.count
    output.append(chatNames.bytes(chat))
    actions.append(.unlisten(start: Int32(start), count: Int32(output.count - start)))
  }

  /// The room's registration, asked by `.listen`, stands in the directory.
  public func roomRegistered(_ name: UnsafeRawBufferPointer) {
    beginInput()
    guard let chat = chatNames.find(name), chats[chat].pointee.registrationsAsked > 0 else { return }
    chats[chat].pointee.registrationsAsked -= 1
    // An answer to what was asked before the room was left and entered again says nothing.
    guard chats[chat].pointee.registrationsAsked == 0 else { return }
    if chats[chat].pointee.memberCount > 0 {
      chats[chat].pointee.registeredAfter = Int64(lastTag)
      var number = chats[chat].pointee.firstListener
      while number >= 0 {
        queueForCatchUp(sessions[Int32(listeners[number].pointee.session.slot)])
        number = listeners[number].pointee.nextOfChat
      }
    }
    releaseChat(chat)
  }

  /// Whether what is read of the chat from now on is followed by all hints; direct chats are registered with
  /// their users' sessions.
  func isRegistered(_ chat: Int32) -> Bool {
    !configuration.isClustered || isDirect(chat) || chats[chat].pointee.registeredAfter >= 0
  }

  /// Whether the room was registered before a question was asked.
  func wasRegistered(_ name: UnsafeRawBufferPointer, before tag: UInt64) -> Bool {
    guard configuration.isClustered else { return true }
    guard let chat = chatNames.find(name) else { return false }
    let registered = chats[chat].pointee.registeredAfter
    return registered >= 0 && registered < Int64(tag)
  }

  // MARK: The log's end

  /// The answer to `.askLogEnd`; nil where the broker could not be asked.
  public func logEnded(partition: Int32, at end: Seq?) {
    beginInput()
    guard let end else { return }
    let p = Int(partition)
    if partitions[p].end.highest < 0 || tick - partitions[p].end.last > LogEnd.gapMilliseconds {
      partitions[p].end.since = tick
      partitions[p].end.highest = end
    }
    partitions[p].end.highest = max(partitions[p].end.highest, end)
    partitions[p].end.last = tick
  }

  /// Goes on asking where somebody wanted to know a while ago.
  func askLogEnds() {
    for p in partitions.indices where tick < partitions[p].end.wantedUntil { askLogEnd(Int32(p)) }
  }

  private func askLogEnd(_ partition: Int32) {
    let p = Int(partition)
    guard tick - partitions[p].end.asked >= LogEnd.pauseMilliseconds else { return }
    partitions[p].end.asked = tick
    actions.append(.askLogEnd(partition: partition))
  }

  /// The end of the log, asked after `since` and watched for long enough; nil while that is not known, and
  /// asked for then. A cursor above it is of a log that lost it.
  func knownLogEnd(_ partition: Int32, since: Tick) -> Seq? {
    let p = Int(partition)
    partitions[p].end.wantedUntil = tick + LogEnd.wantedMilliseconds
    askLogEnd(partition)
    let end = partitions[p].end
    guard end.highest >= 0, end.last >= since, tick - end.last <= LogEnd.gapMilliseconds,
      end.last - end.since >= Limits.logEndMilliseconds
    else { return nil }
    return end.highest
  }
}
