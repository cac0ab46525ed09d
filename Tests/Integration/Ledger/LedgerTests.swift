import Foundation
import Glibc
import Support
import Testing

/// kill -9 under load: nothing acknowledged is lost, nothing is doubled, everything comes in order
/// (DESIGN section 4: I1 to I4).
@Suite(.serialized) struct LedgerTests {
  /// Rounds of killing; `make kills` asks for 50.
  private static let kills =
    ProcessInfo.processInfo.environment["FASTCHAT_KILLS"].flatMap { Int($0) } ?? 5
  /// A run that failed is repeated with the seed that it printed.
  private static let seed =
    ProcessInfo.processInfo.environment["FASTCHAT_SEED"].flatMap { UInt64($0) }
    ?? UInt64.random(in: 0...UInt64.max)

  private static let users = ["alice", "bob", "carl", "dora"]
  private static let room = "room:ledger"
  /// Messages of a device in a round. All rounds together stay below the window of a chat.
  private static let share = 20

  @Test(arguments: Backend.allCases)
  func nothingAcknowledgedIsLostOrDoubledByKills(backend: Backend) throws {
    print("ledger: seed \(Self.seed), \(Self.kills) kills, \(backend.rawValue)")
    let flags = ["--shards", "2", "--limits-rate", "1000000", "--log-level", "error"]
    try withServer(flags, backend: backend) { server in
      let setup = try server.attach(Self.users[0], "setup")
      try setup.create(Self.room)
      for user in Self.users.dropFirst() { try server.attach(user, "setup").join(Self.room) }
      setup.drop()

      var generator = SeededGenerator(seed: Self.seed)
      let board = LedgerBoard(port: server.port, share: Self.share)
      var devices = Self.users.flatMap { user in
        ["phone", "laptop"].map { device in
          LedgerDevice(
            user: user, device: device, targets: Self.targets(of: user), board: board, seed: generator.next())
        }
      }
      let visitor = LedgerDevice(
        user: "eve", device: "phone", targets: [("user:eve", "dm:eve:eve")], visited: Self.room,
        board: board, seed: generator.next())
      devices.append(visitor)
      let threads = devices.map { device in Worker { device.run() } }
      do {
        for round in 1...Self.kills {
          board.begin(round: round, port: server.port)
          try killWhenUnderLoad(server, board, devices: devices.count, &generator)
        }
        // A round that nobody interrupts shows that all of them came back.
        board.begin(round: Self.kills + 1, port: server.port)
        board.enter(.settle)
        try wait(board) { board.settledDevices == devices.count }
      } catch {
        board.enter(.abandon)
        for thread in threads { thread.join() }
        throw TestFailure("seed \(Self.seed): \(error) \(board.failures)")
      }
      board.enter(.finish)
      for thread in threads { thread.join() }

      let (events, histories) = try stored(on: server)
      let accounts = devices.map(\.account)
      let reckoning = Reckoning(accounts: accounts, events: events, histories: histories)
      let differences = board.failures + reckoning.differences
      #expect(
        differences.isEmpty, "seed \(Self.seed), \(backend.rawValue):\n\(differences.joined(separator: "\n"))"
      )
      let sent = accounts.map(\.sent.count).reduce(0, +)
      let sessions = accounts.map(\.sessions).reduce(0, +)
      print("ledger: \(sent) messages, \(sessions) sessions")
      #expect(sessions > devices.count * Self.kills / 2, "the devices were hardly ever interrupted")
    }
  }

  private static func targets(of user: String) -> [(to: String, chat: String)] {
    // The room twice as often as a person; oneself too.
    [(room, room), (room, room)] + users.map { ("user:\($0)", direct(user, $0)) }
  }

  /// Kills the server at a random moment of the round, and starts it again.
  private func killWhenUnderLoad(
    _ server: ServerProcess, _ board: LedgerBoard, devices: Int, _ generator: inout SeededGenerator
  ) throws {
    let moment = Int.random(in: 0..<(devices * Self.share), using: &generator)
    try wait(board) { board.acknowledged >= moment }
    usleep(UInt32.random(in: 0..<3000, using: &generator))
    server.kill()
    try server.restart()
  }

  private func wait(_ board: LedgerBoard, until condition: () -> Bool) throws {
    let deadline = Deadline.after(.seconds(60))
    while !condition() {
      guard board.failures.isEmpty else { throw TestFailure("a device gave up") }
      guard !deadline.hasPassed else { throw TestFailure("no progress: \(board.acknowledged) acknowledged") }
      usleep(500)
    }
  }

  /// What new devices of all users are handed and page, by chat.
  private func stored(
    on server: ServerProcess
  ) throws -> (events: [String: [ChatFrame]], histories: [String: [JSONValue]]) {
    var events: [String: [ChatFrame]] = [:]
    var histories: [String: [JSONValue]] = [:]
    for user in Self.users + ["eve"] {
      let reader = try server.attach(user, "reckoner", cursors: #"{"*":0}"#)
      let mine = Dictionary(grouping: reader.events()) { $0.chat ?? "" }
      for (chat, list) in mine {
        // The room is replayed from each one's joining: the owner's replay is the longest.
        if list.count > events[chat]?.count ?? 0 { events[chat] = list }
        histories[chat] = try reader.wholeHistory(chat)
      }
    }
    return (events, histories)
  }
}

/// A thread that can be waited for; a test's own threads may block as long as they like.
final class Worker: Sendable {
  private let done = DispatchSemaphore(value: 0)

  init(_ body: @escaping @Sendable () -> Void) {
    let thread = Thread { [done] in
      body()
      done.signal()
    }
    thread.stackSize = 1 << 20
    thread.start()
  }

  func join() { done.wait() }
}
