import Chat
import JSON
import Support

@testable import Redis

/// A `RedisLink` over a socket that waits: asks one thing at a time, or many at once.
final class RedisTestClient {
  let link: RedisLink
  private let socket: TestSocket
  private var lastToken: UInt64 = 0
  private var replies: [UInt64: RedisReply?] = [:]

  /// Why the link ended, where the last answers were told before.
  private(set) var failure: RedisFailure?

  /// Returns once the server is greeted.
  init(port: UInt16, user: String? = nil, password: String? = nil) throws {
    socket = try TestSocket(port: port)
    var address = try RedisAddress("127.0.0.1:\(port)")
    (address.user, address.password) = (user, password)
    link = RedisLink(.primary, to: address, name: "test", now: 0)
    while !link.isReady { try exchange() }
  }

  func run(_ command: RedisCommand) throws -> RedisReply {
    guard let reply = try run([command])[0] else { throw TestFailure("nobody knows what became of it") }
    return reply
  }

  /// All in one write; the answers in the order of the commands.
  func run(_ commands: [RedisCommand]) throws -> [RedisReply?] {
    if let failure { throw failure }
    let first = lastToken + 1
    for command in commands where !send(command) { throw TestFailure("the link takes no more") }
    while link.waitingCommands > 0 { try exchange() }
    return (first..<(first + UInt64(commands.count))).map { replies.removeValue(forKey: $0)! }
  }

  func send(_ command: RedisCommand) -> Bool {
    lastToken += 1
    return link.send(command, token: lastToken, now: 0)
  }

  func ask(_ words: String...) throws -> RedisReply { try run(.words(words)) }

  /// Writes what is to be written, and takes what comes.
  private func exchange() throws {
    if link.output.count > 0 {
      try socket.send(Array(link.output.bytes))
      link.outputTaken(link.output.count)
    }
    let bytes = try socket.receive()
    guard !bytes.isEmpty else { throw TestFailure("redis-server closed the connection") }
    bytes.withUnsafeBytes { link.received($0) }
    do throws(RedisFailure) {
      while let answer = try link.nextAnswer(now: 0) { replies[answer.token] = .some(answer.reply) }
    } catch {
      failure = error
      if link.waitingCommands > 0 { throw error }
    }
  }
}

extension RedisCommand {
  /// Any command, as a person would type it.
  static func words(_ words: [String]) -> RedisCommand {
    var command = RedisCommand(plain: words[0], isAboutServer: true)
    for word in words.dropFirst() { command.add(word) }
    return command
  }
}

extension RedisTestClient {
  /// All that the server holds, as `Keyspace.lines(now:)` says it.
  func lines() throws -> [String] {
    var keys: Set<String> = []
    var cursor = "0"
    repeat {
      let reply = try ask("SCAN", cursor, "COUNT", "1000").list
      cursor = reply[0].string
      keys.formUnion(reply[1].list.map(\.string))
    } while cursor != "0"
    return try keys.flatMap { try lines(of: $0) }.sorted()
  }

  private func lines(of key: String) throws -> [String] {
    var lines: [String] = []
    switch try ask("TYPE", key) {
    case .status("string"): lines.append("\(key) = \(try ask("GET", key).string)")
    case .status("set"): lines += try ask("SMEMBERS", key).list.map { "\(key) \($0.string)" }
    case .status("hash"):
      let fields = try ask("HGETALL", key).list.map(\.string)
      for i in stride(from: 0, to: fields.count, by: 2) {
        lines.append("\(key) \(fields[i].replacing("\n", with: "\\n")) = \(fields[i + 1])")
      }
    case .status("stream"):
      for entry in try ask("XRANGE", key, "-", "+").list {
        let fields = entry.list[1].list.map(\.string)
        lines.append(([key, entry.list[0].string] + fields).joined(separator: " "))
      }
    case let type: throw TestFailure("\(key) is \(type)")
    }
    if case .integer(let milliseconds) = try ask("PTTL", key), milliseconds >= 0 {
      lines.append("\(key) expires")
    }
    return lines
  }
}

extension RedisReply {
  var list: [RedisReply] { if case .array(let elements) = self { elements } else { [] } }

  var string: String {
    switch self {
    case .bytes(let text): String(decoding: text, as: UTF8.self)
    case .integer(let number): String(number)
    case .status(let text), .error(let text): text
    default: ""
    }
  }
}
