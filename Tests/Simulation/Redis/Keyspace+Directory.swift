import Chat
import Redis

/// The scripts and commands of the directory.
extension Keyspace {
  // MARK: Leases

  private mutating func lease(_ texts: CommandTexts, now: WallTime) -> (server: String, lease: Lease?) {
    let server = texts.tail(0, from: "fc:{srv}:".utf8.count)
    if let lease = leases[server], now > lease.expires { leases[server] = nil }
    return (server, leases[server])
  }

  private static func epoch(_ lease: [UInt8]) -> ArraySlice<UInt8> {
    lease.prefix { $0 != UInt8(ascii: ":") }
  }

  /// `take-lease.lua`
  mutating func takeLease(_ texts: CommandTexts, now: WallTime) -> RedisReply {
    // Of a stand-in's lock the set of all locks, which nobody reads.
    switch texts.string(1) {
    case "fc:{srv}:all": servers.insert(texts.string(2))
    case "fc:{srv}:cut:all": cut.insert(texts.string(2))
    default: break
    }
    let (server, lease) = lease(texts, now: now)
    let new = texts.array(3)
    if let lease, lease.text != texts.array(4), Self.epoch(lease.text) != Self.epoch(new) {
      return .bytes(lease.text)
    }
    leases[server] = Lease(text: new, expires: now + texts.number(5))
    return .integer(1)
  }

  /// `renew-lease.lua`
  mutating func renewLease(_ texts: CommandTexts, now: WallTime) -> RedisReply {
    let (server, lease) = lease(texts, now: now)
    guard let lease else { return .null }
    guard Self.epoch(lease.text).elementsEqual(texts[1]) else { return .bytes(lease.text) }
    leases[server]!.expires = now + texts.number(2)
    return .integer(1)
  }

  /// `drop-lease.lua`
  mutating func dropLease(_ texts: CommandTexts, now: WallTime) -> RedisReply {
    let (server, lease) = lease(texts, now: now)
    guard let lease, Self.epoch(lease.text).elementsEqual(texts[1]) else { return .integer(0) }
    leases[server] = nil
    return .integer(1)
  }

  /// `read-leases.lua`
  func readLeases(_ texts: CommandTexts, primary: [UInt8], now: WallTime) -> RedisReply {
    let (all, prefix) = texts.string(0) == "fc:{srv}:all" ? (servers, "") : (cut, "cut:")
    var reply: [RedisReply] = [.bytes(primary)]
    for server in all.sorted() {
      guard let lease = leases[prefix + server], now <= lease.expires else { continue }
      reply.append(.text(server))
      reply.append(.bytes(lease.text))
    }
    return .array(reply)
  }

  // MARK: Sessions

  private static func user(_ texts: CommandTexts, key: Int) -> String {
    let text = texts.tail(key, from: "fc:{u:".utf8.count)
    return String(text.dropLast("}:d".count))
  }

  /// Sessions of one device that are kept.
  private static let deviceSessions = 8

  /// `register-sessions.lua`
  mutating func registerSessions(_ texts: CommandTexts, now: WallTime) -> RedisReply {
    let user = Self.user(texts, key: 0)
    let (server, epoch) = (texts.string(1), texts.id(2))
    var rows = sessions[user] ?? [:]
    var reply: [RedisReply] = []
    let earlier = texts.string(3).split(separator: " ")
    for place in stride(from: 4, to: texts.count, by: 3) {
      let session = texts.string(place)
      let device = texts.string(place + 1)
      let field = "\(server):\(epoch):\(session)"
      for old in earlier { rows["\(server):\(old):\(session)"] = nil }
      let others = rows.filter { $0.key != field && $0.value.device == device }
        .sorted { ($1.value.helloAt, $0.key) < ($0.value.helloAt, $1.key) }
      var hello = texts.optionalNumber(place + 2)
      if hello == nil, let own = rows[field], own.device == device { hello = own.helloAt }
      let time = hello ?? max(now, (others.first?.value.helloAt ?? 0) + 1)
      let newer = others.count { $0.value.helloAt >= time }
      let isOutdated = newer >= Self.deviceSessions
      var older: [RedisReply] = []
      if isOutdated {
        rows[field] = nil
      } else {
        for (name, row) in others[newer...] {
          let number = String(name.split(separator: ":").last!)
          older.append(.array([.text(row.server), .text(row.epoch), .text(number)]))
        }
        for (name, _) in others.dropFirst(max(Self.deviceSessions - 1, newer)) { rows[name] = nil }
        rows[field] = SessionRow(server: server, epoch: epoch, device: device, helloAt: time)
      }
      reply.append(
        .array([.text(session), .integer(time), .integer(isOutdated ? 1 : 0), .array(older)]))
    }
    sessions[user] = rows.isEmpty ? nil : rows
    return .array(reply)
  }

  /// `remove-sessions.lua`
  mutating func removeSessions(_ texts: CommandTexts) -> RedisReply {
    let user = Self.user(texts, key: 0)
    let server = texts.string(1)
    var rows = sessions[user] ?? [:]
    var removed: Int64 = 0
    for epoch in texts.string(2).split(separator: " ") {
      for place in 3..<max(3, texts.count) {
        if rows.removeValue(forKey: "\(server):\(epoch):\(texts.string(place))") != nil { removed += 1 }
      }
    }
    sessions[user] = rows.isEmpty ? nil : rows
    return .integer(removed)
  }

  // MARK: Rooms

  /// Partition and room of a key `fc:{pN}:s:<room>`.
  private static func room(_ texts: CommandTexts, key: Int) -> (partition: Int32, room: String) {
    let place = texts[key].firstIndex(of: UInt8(ascii: "}"))! + "}:s:".utf8.count
    return (texts.partition(ofKey: key), texts.tail(key, from: place))
  }

  /// `HSET`
  mutating func registerRoom(_ texts: CommandTexts) -> RedisReply {
    let (partition, room) = Self.room(texts, key: 1)
    let chat = partitions[partition, default: PartitionSpace()].chat(room)
    let before = partitions[partition]!.chats[chat].servers.updateValue(texts.id(3), forKey: texts.string(2))
    return .integer(before == nil ? 1 : 0)
  }

  /// `remove-room.lua`
  mutating func removeRoom(_ texts: CommandTexts) -> RedisReply {
    let (partition, room) = Self.room(texts, key: 0)
    let server = texts.string(1)
    guard let chat = partitions[partition]?.chatPlaces[room],
      partitions[partition]!.chats[chat].servers[server] == texts.id(2)
    else { return .integer(0) }
    partitions[partition]!.chats[chat].servers[server] = nil
    return .integer(1)
  }

  /// `HGETALL` of a user's sessions, or of a room's servers.
  func allFields(_ texts: CommandTexts) -> RedisReply {
    var reply: [RedisReply] = []
    if texts[1].starts(with: "fc:{u:".utf8) {
      for (field, row) in (sessions[Self.user(texts, key: 1)] ?? [:]).sorted(by: { $0.key < $1.key }) {
        reply += [.text(field), .text(row.text)]
      }
    } else {
      let (partition, room) = Self.room(texts, key: 1)
      guard let space = partitions[partition], let chat = space.chatPlaces[room] else { return .array([]) }
      for (server, epoch) in space.chats[chat].servers.sorted(by: { $0.key < $1.key }) {
        reply += [.text(server), .text(epoch)]
      }
    }
    return .array(reply)
  }
}

extension Keyspace.SessionRow {
  /// As the directory holds it.
  var text: String { "\(server):\(epoch):\(device):\(helloAt)" }
}
