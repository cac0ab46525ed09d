import Chat
import Foundation
import Redis
import SimulatedRedis
import Support

/// The scripts on a real server and their likes in Swift: each command goes to both, and both have to say
/// the same.
final class BothServers {
  let real: RedisTestClient
  let simulated: SimulatedRedis
  /// How often each script was answered in each way: a test that compares nothing compares well.
  private(set) var seen: [String: Int] = [:]
  /// Words for a failure: where a schedule stands.
  var context = ""

  init(port: UInt16) throws {
    real = try RedisTestClient(port: port)
    guard let id = DirectoryID(reply: try real.run(.readDirectory)) else {
      throw TestFailure("redis-server does not say that it is a primary")
    }
    simulated = SimulatedRedis(replicationID: id)
  }

  static var clock: WallTime { WallTime(Date().timeIntervalSince1970 * 1000) }

  /// Runs a command on both; the real server's reply.
  @discardableResult
  func run(_ command: RedisCommand) throws -> RedisReply {
    let before = Self.clock
    let reply = try real.run(command)
    // The simulated clock is the real server's, as its reply tells it.
    let now = command.script == .registerSessions ? clock(of: reply, to: command) ?? before : before
    let other = simulated.run(command, now: now)
    guard Self.comparable(reply, to: command) == Self.comparable(other, to: command) else {
      throw TestFailure(
        "\(context): to \(Self.describe(command))\n redis-server says \(reply)\n the simulated one \(other)")
    }
    seen[Self.kind(of: reply, to: command), default: 0] += 1
    if command.script == .apply, reply.list.first == .integer(1) {
      for place in stride(from: 1, to: reply.list.count, by: 3) {
        seen["apply outcome \(reply.list[place].string)", default: 0] += 1
      }
    }
    return reply
  }

  private static func kind(of reply: RedisReply, to command: RedisCommand) -> String {
    let name = command.script.map { "\($0)" } ?? String(decoding: command[0], as: UTF8.self)
    switch reply {
    case .error: return "\(name) error"
    case .null: return "\(name) nothing"
    case .array(let elements):
      switch command.script {
      case .apply where elements[0] == .integer(1) && elements.count == 1: return "\(name) empty"
      case .apply, .beginRebuild, .restore:
        return "\(name) \(elements[0] == .integer(1) ? "done" : "refused")"
      case .query:
        let what = String(decoding: command[1], as: UTF8.self)
        if elements.count < 9 { return "\(name) \(what) rebuilding" }
        return
          "\(name) \(what) \(elements.count > 9 ? "rows" : "")\(elements[7] == .integer(1) ? " more" : "")"
      default: return "\(name) \(elements.count > 1 ? "some" : "one or none")"
      }
    case .integer(let number): return "\(name) \(number > 1 ? "number" : "\(number)")"
    case .bytes, .status: return "\(name) text"
    }
  }

  /// Whether both hold the same.
  func compareStates() throws {
    let (left, right) = (try real.lines(), simulated.keyspace.lines(now: Self.clock))
    guard left != right else { return }
    let onlyLeft = Set(left).subtracting(right).sorted().prefix(8).joined(separator: "\n  ")
    let onlyRight = Set(right).subtracting(left).sorted().prefix(8).joined(separator: "\n  ")
    throw TestFailure(
      "\(context): only redis-server holds\n  \(onlyLeft)\nonly the simulated one\n  \(onlyRight)")
  }

  /// Both lose all they hold, as a primary does that comes back empty.
  func flush() throws {
    _ = try real.ask("FLUSHALL")
    simulated.keyspace = Keyspace()
  }

  /// A lease lapses.
  func lapse(_ server: String) throws {
    _ = try real.ask("DEL", "fc:{srv}:\(server)")
    simulated.keyspace.leases[server] = nil
  }

  /// A hash and a set come in no order, an error in other words, and a primary says more of itself.
  private static func comparable(_ reply: RedisReply, to command: RedisCommand) -> RedisReply {
    if case .error = reply { return .error("") }
    switch command.script {
    case .readLeases:
      let read = LeasesRead(tag: 0, reply: reply)
      return .status("\(read)")
    case .registerSessions: return .status("\([SessionRegistered](reply: reply)!)")
    case nil where command[0].elementsEqual("INFO".utf8): return .status("\(DirectoryID(reply: reply) ?? 0)")
    case nil where command[0].elementsEqual("HGETALL".utf8):
      let texts = reply.list.map(\.string)
      let pairs = stride(from: 0, to: texts.count, by: 2).map { texts[$0] + " " + texts[$0 + 1] }
      return .status(pairs.sorted().joined(separator: ","))
    default: return reply
    }
  }

  /// What `TIME` was: the earliest time that the reply gave a session that was not there before. Where it
  /// is later than that, another session of the device stood above it, and so it does here.
  private func clock(of reply: RedisReply, to command: RedisCommand) -> WallTime? {
    guard let sessions = [SessionRegistered](reply: reply) else { return nil }
    let texts = command.texts.map { String(decoding: $0, as: UTF8.self) }
    let known = simulated.keyspace.sessions[String(texts[0].dropFirst(6).dropLast(3))] ?? [:]
    // The devices of sessions of this epoch, as each entry leaves them.
    var devices: [String: String] = [:]
    for (field, row) in known where row.epoch == Epoch(texts[2]) { devices[field] = row.device }
    var times: [WallTime] = []
    for (place, session) in sessions.enumerated() {
      let field = texts[1] + ":" + texts[2] + ":" + texts[4 + place * 3]
      let device = texts[4 + place * 3 + 1]
      if texts[4 + place * 3 + 2].isEmpty, devices[field] != device { times.append(session.helloAt) }
      devices[field] = session.isOutdated ? nil : device
    }
    return times.min()
  }

  private static func describe(_ command: RedisCommand) -> String {
    let texts = command.texts.map { String(decoding: $0, as: UTF8.self) }
    return "\(command.script.map { "\($0)" } ?? "") \(texts)"
  }
}

/// Runs `body` with both servers, empty.
func withBothServers(_ body: (BothServers) throws -> Void) throws {
  try withRedisServer { try body(BothServers(port: $0.port)) }
}
