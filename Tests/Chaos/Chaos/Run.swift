import Foundation
import Glibc
import Support

/// What a run is asked for.
public struct RunOptions: Sendable {
  public var seconds = 60
  public var seed: UInt64 = 1
  public var size = WorldSize()
  public var faults = FaultKind.allCases
  public var users = 9
  /// The server's binary.
  public var program = ServerProcess.binary
  /// Where logs and data go; removed after a clean run.
  public var directory = ""
  /// Of a hundred faults, those that meet another one.
  public var overlapPercent = 20

  public init() {}

  public func isPossible(_ fault: FaultKind) -> Bool { fault.fits(size) }
}

/// What a run came to.
public struct RunResult: Sendable {
  public var differences: [String] = []
  public var count = 0
  public var interruptions = Interruptions()
  public var sent = 0
  public var acknowledged = 0
  public var delivered = 0
  public var sessions = 0
  public var logRecords: Int?
  /// Acks that carried the seq of a later copy of their message.
  public var acksOfCopies = 0
}

/// One run of chaos: a system, its users, its faults, and the judgement.
public enum Run {
  /// Milliseconds for everybody to settle what is pending, and to be handed all that is owed.
  private static let settleMax = 90_000
  private static let finishMax = 120_000

  /// To be called on the main thread.
  public static func perform(
    _ options: RunOptions, say: @escaping (String) -> Void, isInterrupted: @escaping () -> Bool
  ) throws -> RunResult {
    let world = try World(options.size, directory: options.directory, program: options.program)
    defer { world.end() }
    try world.start()
    let roster = Roster(users: options.users)
    try prepare(roster, world.instances[0].port)
    say("\(options.size.instances) instances, \(roster.deviceCount) devices of \(roster.members.count) users")

    let board = Board()
    let crowd = Crowd(roster, doors: world.doors, board: board, seed: options.seed)
    defer { crowd.abandon() }
    let plan = FaultPlan(
      seed: options.seed, size: options.size, kinds: options.faults, overlapPercent: options.overlapPercent)
    let director = Director(
      world, board: board, plan: plan, seed: options.seed, say: say, isInterrupted: isInterrupted)
    try director.run(until: RunClock.milliseconds + options.seconds * 1_000)
    var result = RunResult()
    result.differences = director.differences
    if isInterrupted() { return result }

    say("healed; everybody settles and catches up")
    _ = world.waitUntilReady(.after(.seconds(60)))
    let interruptions = board.interruptions
    result.differences += crowd.settle(.after(.milliseconds(settleMax)), isInterrupted)
    result.differences += crowd.finish(.after(.milliseconds(finishMax)), isInterrupted)
    var evidence = board.evidence()
    evidence.accounts = crowd.accounts()
    for room in roster.rooms { evidence.creators[room] = roster.keeper }
    do { evidence.histories = try histories(evidence, world) } catch {
      result.differences.append("history: \(error)")
    }
    if let kafka = world.kafka {
      do { evidence.log = try LogReader(brokers: kafka.addresses, prefix: World.topicPrefix).read() } catch {
        result.differences.append("log: \(error)")
      }
    }
    let judge = Judge(evidence)
    result.count = result.differences.count + judge.count
    result.differences += judge.differences
    result.interruptions = interruptions
    result.acksOfCopies = judge.acksOfCopies
    (result.sent, result.acknowledged, result.delivered) = board.counts
    result.sessions = evidence.accounts.reduce(0) { $0 + $1.sessions }
    result.logRecords = evidence.log?.count
    return result
  }

  /// The keeper makes the rooms, and those who stay join them.
  private static func prepare(_ roster: Roster, _ port: UInt16) throws {
    let keeper = try ChatTestClient.attached(port: port, user: roster.keeper, device: "setup")
    for room in roster.rooms {
      try keeper.ask(#""type":"create","chat":"\#(room)","name":"A room","public":true"#, expecting: "ok")
    }
    keeper.drop()
    for user in Set(roster.permanent.values.flatMap { $0 }).sorted() {
      let client = try ChatTestClient.attached(port: port, user: user, device: "setup")
      for room in roster.rooms where roster.permanent[room]!.contains(user) {
        try client.ask(#""type":"join","chat":"\#(room)""#, expecting: "ok")
      }
      client.drop()
    }
  }

  /// All messages of each chat, as somebody who is in it pages them.
  private static func histories(_ evidence: Evidence, _ world: World) throws -> [String: [ChatEvent]] {
    var histories: [String: [ChatEvent]] = [:]
    for chat in evidence.events.keys.sorted() {
      let user = evidence.creators[chat] ?? String(chat.split(separator: ":")[1])
      let port = world.instances[histories.count % world.instances.count].port
      let client = try ChatTestClient.attached(port: port, user: user, device: "reader")
      var rows: [ChatEvent] = []
      while true {
        let page = try client.ask(
          #""type":"history","chat":"\#(chat)","after":\#(rows.last?.seq ?? 0),"limit":100"#,
          expecting: "history")
        for row in page["messages"]?.array ?? [] {
          guard let seq = row["seq"]?.int, let from = row["from"]?.string, let id = row["id"]?.string else {
            throw TestFailure("a row of history: \(row)")
          }
          rows.append(ChatEvent(seq: seq, prev: 0, kind: .message(from: from, id: id)))
        }
        if page["more"]?.bool != true { break }
      }
      client.drop()
      histories[chat] = rows
    }
    return histories
  }
}
