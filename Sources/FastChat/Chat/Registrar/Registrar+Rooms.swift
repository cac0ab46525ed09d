struct RoomRecord {
  var chat: [UInt8]
  var state = EntryState.waiting
  var isOwed = false
  /// Shards with listeners of the room.
  var listening = ShardSet()
  /// Who has asked since it was registered last, and how often: each `listen` is answered once.
  var waiting: [(shard: Int, words: Int)] = []
  /// Since when nobody listens.
  var emptySince: Tick?
  /// It stands in `emptied`.
  var isWatched = false
  /// It was asked to be registered, and so may stand in the directory.
  var mayStand = false
  /// A removal that was given up may take effect until then.
  var removalMayComeUntil: Tick = .min
  /// Its entry may have been lost while the request was under way: it is registered once more.
  var isToBeRepeated = false
  /// A registration that was given up may take effect until then.
  var registrationMayComeUntil: Tick = .min

  var isWanted: Bool { !listening.isEmpty || !waiting.isEmpty }

  init(chat: [UInt8]) { self.chat = chat }
}

extension Registrar {
  // MARK: Inputs

  /// The shard has a listener of the room: it is told `.roomRegistered` when owners find this server there.
  /// Each call is answered by one word, even if `unlisten` came meanwhile: the shard counts them.
  public func listen(shard: Int, chat: [UInt8]) {
    guard phase != .over else { return }
    var record: RoomRecord
    if let known = rooms[chat] {
      record = known
    } else {
      record = RoomRecord(chat: chat)
      roomQueue.append(chat)
    }
    record.emptySince = nil
    record.listening.insert(shard)
    if record.state == .registered, !isDoubted {
      actions.append(.tell(shard: shard, .roomRegistered(chat: chat)))
    } else if let index = record.waiting.firstIndex(where: { $0.shard == shard }) {
      record.waiting[index].words += 1
    } else {
      record.waiting.append((shard, words: 1))
    }
    rooms[chat] = record
    advance()
  }

  /// A partition of `partitions` has another view, since what stood in its slot was lost: its rooms' entries,
  /// which stand there too, may be gone, and are written once more. To be told before the `listen` of a shard
  /// that saw it.
  public func viewChanged(partition: Int32, of partitions: Int32, view: ViewID) {
    guard phase != .over, views[partition] != view else { return }
    views[partition] = view
    for slot in 0..<rooms.addressable {
      guard let record = rooms[slot: slot] else { continue }
      guard record.chat.withUnsafeBytes({ Partition.of($0, count: partitions) }) == partition else {
        continue
      }
      switch record.state {
      case .registered, .answered: queue(record.chat)
      case .underWay: rooms[record.chat]?.isToBeRepeated = true
      case .waiting, .removing, .outdated: break
      }
    }
    advance()
  }

  /// The shard has no listener of the room any more.
  public func unlisten(shard: Int, chat: [UInt8]) {
    guard phase != .over, var record = rooms[chat], record.listening.contains(shard) else { return }
    record.listening.remove(shard)
    if record.listening.isEmpty {
      record.emptySince = tick
      watch(&record)
    }
    rooms[chat] = record
  }

  // MARK: Registering

  func nextRooms() -> [[UInt8]] {
    var chats: [[UInt8]] = []
    while chats.count < Self.entriesAtOnce, let chat = roomQueue.popFirst() {
      guard var record = rooms[chat], record.state == .waiting else { continue }
      guard record.removalMayComeUntil <= tick else {
        delayedRooms.append(chat)
        continue
      }
      guard record.isWanted || record.mayStand else {
        settleDebt(&record)
        rooms[chat] = nil
        continue
      }
      record.state = .underWay
      record.mayStand = true
      rooms[chat] = record
      chats.append(chat)
    }
    return chats
  }

  func isRegistered(_ chat: [UInt8], by request: EntryRequest) {
    guard var record = rooms[chat], record.state == .underWay else { return }
    guard request.generation == generation, !record.isToBeRepeated else {
      rooms[chat]?.isToBeRepeated = false
      return queue(chat)
    }
    settleDebt(&record)
    record.state = .answered
    rooms[chat] = record
    answered.append(.room(chat))
  }

  func registrationFailed(_ chat: [UInt8], mayBeLateUntil: Tick) {
    guard let state = rooms[chat]?.state, state == .underWay else { return }
    rooms[chat]?.registrationMayComeUntil = mayBeLateUntil
    queue(chat)
  }

  private func settleDebt(_ record: inout RoomRecord) {
    guard record.isOwed else { return }
    record.isOwed = false
    owed -= 1
  }

  func queue(_ chat: [UInt8]) {
    rooms[chat]?.state = .waiting
    roomQueue.append(chat)
  }

  // MARK: Removal

  /// Rooms that nobody listened to for a while.
  func removeEmptyRooms() {
    guard phase == .standing else { return }
    while let (chat, since) = emptied.first, tick - since >= Self.roomLingerMilliseconds {
      _ = emptied.popFirst()
      guard var record = rooms[chat] else { continue }
      record.isWatched = false
      if let since = record.emptySince {
        let isSettled = record.state == .registered && record.registrationMayComeUntil <= tick
        if isSettled, tick - since >= Self.roomLingerMilliseconds {
          roomRemovals.append(chat)
        } else {
          // Somebody listened meanwhile, or its registration is under way.
          record.emptySince = isSettled ? since : tick
          watch(&record)
        }
      }
      rooms[chat] = record
    }
  }

  private func watch(_ record: inout RoomRecord) {
    guard !record.isWatched, let since = record.emptySince else { return }
    record.isWatched = true
    emptied.append((record.chat, since: since))
  }

  /// From here on the rooms count as not registered.
  func nextRoomRemovals() -> [[UInt8]] {
    var chats: [[UInt8]] = []
    while chats.count < Self.entriesAtOnce, let chat = roomRemovals.popFirst() {
      guard var record = rooms[chat] else { continue }
      if record.state != .removing {
        // Somebody listens again, or a pass is registering it anew, which looks at it afterwards.
        guard record.emptySince != nil else { continue }
        guard record.state == .registered, !isDoubted else {
          watch(&record)
          rooms[chat] = record
          continue
        }
        record.state = .removing
        rooms[chat] = record
      }
      chats.append(chat)
    }
    return chats
  }

  func areRemoved(_ chats: [[UInt8]]) {
    for chat in chats {
      guard var record = rooms[chat], record.state == .removing else { continue }
      record.mayStand = false
      rooms[chat] = record
      // Nobody's rooms are forgotten from the queue, when no late removal can come any more.
      queue(chat)
    }
  }

  func removalFailed(_ chat: [UInt8], mayBeLateUntil: Tick) {
    rooms[chat]?.removalMayComeUntil = mayBeLateUntil
    roomRemovals.append(chat)
  }
}
