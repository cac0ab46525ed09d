public import Chat

/// The keyspace as text, to compare it with what a Redis server holds.
extension Keyspace {
  /// A line for each string, field of a hash, member of a set and entry of a stream, sorted; keys that have
  /// expired are left out, and those that will have a line that says so.
  public func lines(now: WallTime) -> [String] {
    var lines: [String] = []
    for (number, space) in partitions { space.addLines("fc:{p\(number)}:", now: now, to: &lines) }
    for (user, rows) in sessions {
      for (field, row) in rows { lines.append("fc:{u:\(user)}:d \(field) = \(row.text)") }
    }
    for (server, lease) in leases where now <= lease.expires {
      lines.append("fc:{srv}:\(server) = \(String(decoding: lease.text, as: UTF8.self))")
      lines.append("fc:{srv}:\(server) expires")
    }
    for server in servers { lines.append("fc:{srv}:all \(server)") }
    for server in cut { lines.append("fc:{srv}:cut:all \(server)") }
    return lines.sorted()
  }
}

extension PartitionSpace {
  fileprivate func addLines(_ prefix: String, now: WallTime, to lines: inout [String]) {
    func add(_ key: String, _ field: String, _ value: (some CustomStringConvertible)?) {
      if let value { lines.append("\(prefix)\(key) \(field) = \(value)") }
    }
    add("view", "id", view.id)
    add("view", "applied", view.applied)
    add("view", "hash", view.hash)
    add("view", "appended", view.appended)
    add("view", "until", view.until)
    add("view", "begin", view.begin)
    add("view", "base", view.base)
    if view.lacksReads { add("view", "reads", 1) }
    for row in recent.all {
      lines.append(
        "\(prefix)l \(row.seq)-0 chat \(row.chat) user \(row.user) kind \(row.kind.rawValue) role \(row.role.rawValue)"
      )
    }
    for row in outcomes.all {
      lines.append(
        "\(prefix)o \(row.seq)-0 chat \(row.chat) outcome \(row.outcome.rawValue) role \(row.role.rawValue)")
    }
    for (name, seq) in removals { add("x", name.replacing("\n", with: "\\n"), seq) }
    for chat in chats {
      add("k:\(chat.name)", "head", chat.head)
      add("k:\(chat.name)", "floor", chat.floor)
      if let isPublic = chat.isPublic {
        add("k:\(chat.name)", "public", isPublic ? "1" : "0")
        add("k:\(chat.name)", "room", String(decoding: chat.room, as: UTF8.self))
      }
      for (user, row) in chat.members { add("m:\(chat.name)", user, "\(row.role.rawValue):\(row.joined)") }
      for (server, epoch) in chat.servers { add("s:\(chat.name)", server, epoch) }
      guard now <= chat.historyExpires else { continue }
      if chat.historyExpires != .max { lines.append("\(prefix)h:\(chat.name) expires") }
      for event in chat.history.all { lines.append("\(prefix)h:\(chat.name) \(event.line)") }
    }
    for (name, place) in userPlaces {
      for (chat, row) in users[place].chats { add("c:\(name)", chat, "\(row.role.rawValue):\(row.joined)") }
      for (chat, seq) in users[place].reads { add("r:\(name)", chat, seq) }
    }
  }
}

extension PartitionSpace.StoredEvent {
  fileprivate var line: String {
    let (text, origin) = (String(decoding: json, as: UTF8.self), String(decoding: origin, as: UTF8.self))
    return "\(seq)-0 json \(text) prev \(prev) kind \(kind.rawValue) role \(role.rawValue) user \(user) "
      + "time \(time) origin \(origin)"
  }
}
