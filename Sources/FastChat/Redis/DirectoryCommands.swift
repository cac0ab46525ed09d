public import Chat

/// What owners and registrars ask of the directory (DESIGN sections 5, "Leases", and 7).
extension RedisCommand {
  /// The sessions of a user; answered for all names of a `LookUp` by `LookedUp(tag:_:replies:primaries:)`.
  public static func sessions(ofUser user: [UInt8]) -> RedisCommand {
    var command = RedisCommand(plain: "HGETALL")
    command.add(RedisKeys.sessions(ofUser: user))
    return command
  }

  /// The servers with members of a room online.
  public static func servers(ofRoom room: [UInt8], partitions: Int32) -> RedisCommand {
    var command = RedisCommand(plain: "HGETALL")
    command.add(RedisKeys.servers(ofRoom: room, partitions: partitions))
    return command
  }

  /// One command for each user, then one for each room. Each goes to the primary of its `slot`, and behind
  /// the last one there follows `readDirectory`.
  public static func lookUp(_ lookUp: LookUp, partitions: Int32) -> [RedisCommand] {
    lookUp.users.map { sessions(ofUser: $0) }
      + lookUp.rooms.map { servers(ofRoom: $0, partitions: partitions) }
  }

  /// What the primary is called; answered by `DirectoryID(reply:)`.
  public static var readDirectory: RedisCommand { info("replication") }

  /// Marks the directory as one of this log, where it is marked as none yet, and asks which log's it is: two
  /// commands, the second one answered by the id. Two clusters in one Redis would take each other's positions.
  public static func mark(log id: String) -> [RedisCommand] {
    var mark = RedisCommand(plain: "SETNX")
    mark.add(RedisKeys.log)
    mark.add(id)
    var ask = RedisCommand(plain: "GET")
    ask.add(RedisKeys.log)
    return [mark, ask]
  }

  // MARK: Leases

  /// Takes the lease where nobody holds it, this epoch does, or its holder is `replacing`; answered by
  /// `LeaseAnswer(reply:)`.
  public static func takeLease(
    server: String, _ holder: LeaseHolder, replacing: LeaseHolder?,
    milliseconds: Int64 = Limits.leaseMilliseconds
  ) -> RedisCommand {
    var command = RedisCommand(.takeLease, keys: 2)
    command.add(RedisKeys.lease(server))
    command.add(RedisKeys.allServers)
    command.add(server)
    command.add(holder.text)
    command.add(replacing?.text ?? "")
    command.add(milliseconds)
    return command
  }

  /// Answered by `LeaseAnswer(reply:)`.
  public static func renewLease(
    server: String, _ epoch: Epoch, milliseconds: Int64 = Limits.leaseMilliseconds
  ) -> RedisCommand {
    var command = RedisCommand(.renewLease)
    command.add(RedisKeys.lease(server))
    command.add(epoch)
    command.add(milliseconds)
    return command
  }

  /// Gives it up, where it is this epoch's; answered by a number.
  public static func dropLease(server: String, _ epoch: Epoch) -> RedisCommand {
    dropLease(RedisKeys.lease(server), epoch)
  }

  private static func dropLease(_ key: String, _ epoch: Epoch) -> RedisCommand {
    var command = RedisCommand(.dropLease)
    command.add(key)
    command.add(epoch)
    return command
  }

  /// Takes the lock of those who stand in for a server, or renews it where it is the holder's: a lease by the
  /// same script. Answered by `LeaseAnswer(reply:)`.
  public static func takeLock(
    server: String, holder: ServerEpoch, milliseconds: Int64 = Limits.leaseMilliseconds
  ) -> RedisCommand {
    takeLease(RedisKeys.lock(server), among: RedisKeys.allLocks, of: server, holder, milliseconds)
  }

  private static func takeLease(
    _ key: String, among all: String, of server: String, _ holder: ServerEpoch, _ milliseconds: Int64
  ) -> RedisCommand {
    var command = RedisCommand(.takeLease, keys: 2)
    command.add(key)
    command.add(all)
    command.add(server)
    command.add(LeaseHolder(epoch: holder.epoch, host: holder.server, boot: "", process: 0).text)
    command.add("")
    command.add(milliseconds)
    return command
  }

  /// Gives it up, where it is the holder's; answered by a number.
  public static func dropLock(server: String, holder: ServerEpoch) -> RedisCommand {
    dropLease(RedisKeys.lock(server), holder.epoch)
  }

  /// Answered by `LeasesRead(tag:reply:)`.
  public static var readLeases: RedisCommand {
    var command = RedisCommand(.readLeases)
    command.add(RedisKeys.allServers)
    return command
  }

  /// Says for the time of a lease that a server reaches no broker; by the same script.
  public static func markCut(
    _ server: ServerEpoch, milliseconds: Int64 = Limits.leaseMilliseconds
  ) -> RedisCommand {
    takeLease(
      RedisKeys.cut(server.server), among: RedisKeys.allCuts, of: server.server, server, milliseconds)
  }

  /// Takes that back, where this epoch said it; answered by a number.
  public static func unmarkCut(_ server: ServerEpoch) -> RedisCommand {
    dropLease(RedisKeys.cut(server.server), server.epoch)
  }

  /// Who says so; answered by `LeasesRead(tag:reply:)`, `living` being those.
  public static var readCuts: RedisCommand {
    var command = RedisCommand(.readLeases)
    command.add(RedisKeys.allCuts)
    return command
  }

  // MARK: Sessions and rooms

  /// One command for each user among the entries; answered by `[SessionRegistered](reply:)`.
  /// - Parameter earlier: epochs that the same process had before: what the sessions have there goes.
  public static func registerSessions(
    server: ServerEpoch, earlier: [Epoch] = [], _ entries: [SessionEntry]
  ) -> [RedisCommand] {
    byUser(entries).map { user, entries in
      var command = RedisCommand(.registerSessions)
      command.add(RedisKeys.sessions(ofUser: user))
      command.add(server.server)
      command.add(server.epoch)
      command.add(epochs: earlier)
      for entry in entries {
        command.add(entry.session.raw)
        command.add(entry.device)
        if let time = entry.helloAt { command.add(time) } else { command.add("") }
      }
      return command
    }
  }

  /// One command for each user among the entries; answered by a number. Entries of epochs that are not named stay.
  public static func removeSessions(
    server: ServerEpoch, earlier: [Epoch] = [], _ entries: [SessionEntry]
  ) -> [RedisCommand] {
    byUser(entries).map { user, entries in
      var command = RedisCommand(.removeSessions)
      command.add(RedisKeys.sessions(ofUser: user))
      command.add(server.server)
      command.add(epochs: earlier + [server.epoch])
      for entry in entries { command.add(entry.session.raw) }
      return command
    }
  }

  private mutating func add(epochs: [Epoch]) {
    for (place, epoch) in epochs.enumerated() {
      if place > 0 { append(CollectionOfOne(UInt8(ascii: " "))) }
      append(epoch)
    }
    end()
  }

  /// The entries of each user, users in the order in which they first stand there.
  private static func byUser(_ entries: [SessionEntry]) -> [(user: [UInt8], entries: [SessionEntry])] {
    var groups: [(user: [UInt8], entries: [SessionEntry])] = []
    var places: [[UInt8]: Int] = [:]
    for entry in entries {
      if let place = places[entry.user] {
        groups[place].entries.append(entry)
      } else {
        places[entry.user] = groups.count
        groups.append((entry.user, [entry]))
      }
    }
    return groups
  }

  /// Answered by a number.
  public static func registerRoom(_ room: [UInt8], server: ServerEpoch, partitions: Int32) -> RedisCommand {
    var command = RedisCommand(plain: "HSET")
    command.add(RedisKeys.servers(ofRoom: room, partitions: partitions))
    command.add(server.server)
    command.add(server.epoch)
    return command
  }

  /// Removes the entry where it is this server's and epoch's, compared in the same step; answered by a
  /// number.
  public static func removeRoom(_ room: [UInt8], server: ServerEpoch, partitions: Int32) -> RedisCommand {
    var command = RedisCommand(.removeRoom)
    command.add(RedisKeys.servers(ofRoom: room, partitions: partitions))
    command.add(server.server)
    command.add(server.epoch)
    return command
  }
}

extension LeaseHolder {
  /// As a lease holds it: `epoch:process:boot:host`. A host may have colons in its name.
  public var text: String { "\(epoch):\(process):\(boot):\(host)" }

  init?(_ text: some Sequence<UInt8>) {
    let parts = Array(text).split(
      separator: UInt8(ascii: ":"), maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 4, let epoch = Epoch(String(decoding: parts[0], as: UTF8.self)),
      let process = Int64(String(decoding: parts[1], as: UTF8.self))
    else { return nil }
    self.init(
      epoch: epoch, host: String(decoding: parts[3], as: UTF8.self),
      boot: String(decoding: parts[2], as: UTF8.self), process: process)
  }
}
