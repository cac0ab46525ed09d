import Redis
import Support

/// A connection to a Redis server that asks one thing at a time (RESP2).
final class RedisTestClient {
  private let socket: TestSocket
  private var buffer: [UInt8] = []
  private var place = 0
  /// The hashes of the loaded scripts, by their raw values.
  private var hashes: [[UInt8]] = []

  init(port: UInt16) throws {
    socket = try TestSocket(port: port)
    for script in RedisScript.allCases {
      let reply = try send([Array("SCRIPT".utf8), Array("LOAD".utf8), script.source])
      guard case .bytes(let hash) = reply else { throw TestFailure("\(script) does not load: \(reply)") }
      hashes.append(hash)
    }
  }

  func run(_ command: RedisCommand) throws -> RedisReply {
    guard let script = command.script else { return try send(command.texts) }
    let start = [Array("EVALSHA".utf8), hashes[Int(script.rawValue)], Array("\(command.keyCount)".utf8)]
    return try send(start + command.texts)
  }

  func ask(_ words: String...) throws -> RedisReply { try send(words.map { Array($0.utf8) }) }

  private func send(_ words: [[UInt8]]) throws -> RedisReply {
    var bytes = Array("*\(words.count)\r\n".utf8)
    for word in words {
      bytes += Array("$\(word.count)\r\n".utf8)
      bytes += word
      bytes += [13, 10]
    }
    try socket.send(bytes)
    let reply = try read()
    buffer.removeFirst(place)
    place = 0
    return reply
  }

  private func read() throws -> RedisReply {
    let line = try self.line()
    guard let first = line.unicodeScalars.first else { throw TestFailure("an empty reply") }
    let rest = String(line.dropFirst())
    switch first {
    case "+": return .status(rest)
    case "-": return .error(rest)
    case ":":
      guard let number = Int64(rest) else { throw TestFailure("not a number: \(line)") }
      return .integer(number)
    case "$":
      guard let count = Int(rest) else { throw TestFailure("not a length: \(line)") }
      if count < 0 { return .null }
      while buffer.count < place + count + 2 { try more() }
      defer { place += count + 2 }
      return .bytes(Array(buffer[place..<(place + count)]))
    case "*":
      guard let count = Int(rest) else { throw TestFailure("not a length: \(line)") }
      return count < 0 ? .null : .array(try (0..<count).map { _ in try read() })
    default: throw TestFailure("not RESP: \(line)")
    }
  }

  private func line() throws -> String {
    while true {
      if let end = buffer[place...].firstIndex(of: 13), end + 1 < buffer.count {
        defer { place = end + 2 }
        return String(decoding: buffer[place..<end], as: UTF8.self)
      }
      try more()
    }
  }

  private func more() throws {
    let bytes = try socket.receive()
    guard !bytes.isEmpty else { throw TestFailure("redis-server closed the connection") }
    buffer += bytes
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
