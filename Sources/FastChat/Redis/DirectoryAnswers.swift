public import Chat

/// What the directory answers, in the domain's words. An error or a reply of another shape is no answer:
/// unknown, failed, or nil.

extension DirectoryID {
  /// The first 64 bits of a `master_replid`, as hexadecimal; nil for what is none.
  init?(prefix text: some Collection<UInt8>) {
    guard text.count >= 16 else { return nil }
    self.init(String(decoding: text.prefix(16), as: UTF8.self), radix: 16)
    if self == 0 { return nil }
  }

  /// The answer to `readDirectory`; nil from a server that is no primary.
  public init?(reply: RedisReply) {
    guard let text = reply.bytes else { return nil }
    var isPrimary = false
    var id: DirectoryID?
    for line in text.split(whereSeparator: { $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\n") }) {
      let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 1)
      guard parts.count == 2 else { continue }
      if parts[0].elementsEqual("role".utf8) { isPrimary = parts[1].elementsEqual("master".utf8) }
      if parts[0].elementsEqual("master_replid".utf8) { id = DirectoryID(prefix: parts[1]) }
    }
    guard isPrimary, let id else { return nil }
    self = id
  }
}

extension DirectoriesRead {
  /// - Parameter replies: of all primaries to `readDirectory`.
  public init(tag: UInt64, replies: [RedisReply]) {
    self.init(tag: tag)
    directories = replies.compactMap { DirectoryID(reply: $0) }
    hasFailed = directories.count < replies.count
  }
}

extension LookedUp {
  /// - Parameters:
  ///   - replies: to `RedisCommand.lookUp(_:partitions:)`, in its order.
  ///   - primaries: to `readDirectory` behind them, of each primary that was asked.
  public init(tag: UInt64, _ lookUp: LookUp, replies: [RedisReply], primaries: [RedisReply]) {
    self.init(tag: tag)
    hasFailed = true
    let read = DirectoriesRead(tag: tag, replies: primaries)
    guard !read.hasFailed, replies.count == lookUp.users.count + lookUp.rooms.count else { return }
    for (place, reply) in replies.enumerated() {
      let isUser = place < lookUp.users.count
      guard let servers = isUser ? Self.ofUser(reply) : Self.ofRoom(reply) else { return }
      if isUser { users.append(servers) } else { rooms.append(servers) }
    }
    directories = read.directories
    hasFailed = false
  }

  /// Values `server:epoch:device:time`; each server and epoch once, in a fixed order.
  private static func ofUser(_ reply: RedisReply) -> [ServerEpoch]? {
    guard let elements = reply.elements, elements.count % 2 == 0 else { return nil }
    var servers: [ServerEpoch] = []
    for i in stride(from: 1, to: elements.count, by: 2) {
      guard let text = elements[i].bytes else { return nil }
      let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
      guard parts.count == 4, let epoch = Epoch(decimal: parts[1]) else { return nil }
      let server = ServerEpoch(server: String(decoding: parts[0], as: UTF8.self), epoch: epoch)
      if !servers.contains(server) { servers.append(server) }
    }
    return servers.sorted(by: ServerEpoch.precedes)
  }

  /// Fields server, values epoch.
  private static func ofRoom(_ reply: RedisReply) -> [ServerEpoch]? {
    guard let elements = reply.elements, elements.count % 2 == 0 else { return nil }
    var servers: [ServerEpoch] = []
    for i in stride(from: 0, to: elements.count, by: 2) {
      guard let server = elements[i].bytes, let epoch = elements[i + 1].id else { return nil }
      servers.append(ServerEpoch(server: String(decoding: server, as: UTF8.self), epoch: epoch))
    }
    return servers.sorted(by: ServerEpoch.precedes)
  }
}

extension ServerEpoch {
  /// Redis gives a hash and a set in no order; answers have one, so that a schedule can be had again.
  static func precedes(_ a: ServerEpoch, _ b: ServerEpoch) -> Bool {
    a.server == b.server ? a.epoch < b.epoch : a.server < b.server
  }
}

extension LeasesRead {
  public init(tag: UInt64, reply: RedisReply) {
    self.init(tag: tag)
    hasFailed = true
    guard let elements = reply.elements, elements.count % 2 == 1,
      let directory = elements[0].bytes.flatMap({ DirectoryID(prefix: $0) })
    else { return }
    for i in stride(from: 1, to: elements.count, by: 2) {
      guard let server = elements[i].bytes, let holder = elements[i + 1].bytes.flatMap({ LeaseHolder($0) })
      else { return }
      living.append(ServerEpoch(server: String(decoding: server, as: UTF8.self), epoch: holder.epoch))
    }
    living.sort(by: ServerEpoch.precedes)
    directories = [directory]
    hasFailed = false
  }
}

extension LeaseAnswer {
  /// The answer to `takeLease` and `renewLease`.
  public init(reply: RedisReply) {
    switch reply {
    case .integer(1): self = .held
    case .null: self = .absent
    case .bytes(let text): self = LeaseHolder(text).map { .other($0) } ?? .unknown
    default: self = .unknown
    }
  }
}

extension [SessionRegistered] {
  /// The answer to one command of `registerSessions`; nil where there is none.
  public init?(reply: RedisReply) {
    guard let elements = reply.elements else { return nil }
    var sessions: [SessionRegistered] = []
    for element in elements {
      guard let row = element.elements, row.count == 4, let session = row[0].id, let time = row[1].number,
        let outdated = row[2].number, let olders = row[3].elements
      else { return nil }
      var replaced: [ReplacedSession] = []
      for older in olders {
        guard let parts = older.elements, parts.count == 3, let server = parts[0].bytes,
          let epoch = parts[1].id, let session = parts[2].id
        else { return nil }
        replaced.append(
          ReplacedSession(
            server: ServerEpoch(server: String(decoding: server, as: UTF8.self), epoch: epoch),
            session: SessionID(raw: session)))
      }
      replaced.sort {
        $0.server == $1.server ? $0.session.raw < $1.session.raw : ServerEpoch.precedes($0.server, $1.server)
      }
      sessions.append(
        SessionRegistered(
          session: SessionID(raw: session), helloAt: time, isOutdated: outdated == 1, replaced: replaced))
    }
    self = sessions
  }
}
