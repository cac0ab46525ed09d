/// What the link and those who hold it ask of servers themselves.
extension RedisCommand {
  /// `INFO` of one section; answered by `RedisInfo(reply:)`.
  public static func info(_ section: StaticString) -> RedisCommand {
    var command = RedisCommand(plain: "INFO", isAboutServer: true)
    command.add(section)
    return command
  }

  /// What its clock says; answered by `RedisReply.clock`.
  public static var time: RedisCommand { RedisCommand(plain: "TIME", isAboutServer: true) }

  /// Which primary has which slots; answered by `ClusterMap(reply:asked:)`.
  public static var readSlots: RedisCommand {
    var command = RedisCommand(plain: "CLUSTER", isAboutServer: true)
    command.add("SLOTS")
    return command
  }

  /// Of a sentinel: where a primary is; answered by `RedisHost(sentinelReply:)`.
  public static func findPrimary(_ name: String) -> RedisCommand {
    var command = RedisCommand(plain: "SENTINEL", isAboutServer: true)
    command.add("get-master-addr-by-name")
    command.add(name)
    return command
  }

  static func authenticate(user: String?, password: String) -> RedisCommand {
    var command = RedisCommand(plain: "AUTH", isAboutServer: true)
    if let user { command.add(user) }
    command.add(password)
    return command
  }

  /// - Parameter name: printable ASCII without spaces.
  static func setName(_ name: String) -> RedisCommand {
    var command = RedisCommand(plain: "CLIENT", isAboutServer: true)
    command.add("SETNAME")
    command.add(name)
    return command
  }

  static func load(_ script: RedisScript) -> RedisCommand {
    var command = RedisCommand(plain: "SCRIPT", isAboutServer: true)
    command.add("LOAD")
    command.add(script.source)
    return command
  }

  /// The next command is answered although its slot is only on its way here.
  static var asking: RedisCommand { RedisCommand(plain: "ASKING", isAboutServer: true) }
}

extension RedisReply {
  /// The answer to `time`, in milliseconds since 1970; nil where it is none.
  public var clock: Int64? {
    guard let parts = elements, parts.count == 2, let seconds = parts[0].number, let micros = parts[1].number
    else { return nil }
    return seconds * 1_000 + micros / 1_000
  }
}

extension RedisHost {
  /// The answer to `findPrimary`; nil where the sentinel knows none.
  public init?(sentinelReply reply: RedisReply) {
    guard let parts = reply.elements, parts.count == 2, let name = parts[0].bytes, !name.isEmpty,
      let port = parts[1].number.flatMap({ UInt16(exactly: $0) }), port > 0
    else { return nil }
    self.init(String(decoding: name, as: UTF8.self), port: port)
  }
}
