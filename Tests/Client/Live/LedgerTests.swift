import Foundation
import Support
import Synchronization
import Testing

@testable import Client

/// The client against the real server, its connections cut at random moments: none lost, none doubled, in
/// order.
@Suite(.serialized) struct LedgerTests {
  /// Messages of the whole run.
  private static let count = 10_000
  private static let seed =
    ProcessInfo.processInfo.environment["FASTCHAT_SEED"].flatMap { UInt64($0) }
    ?? UInt64.random(in: 0...UInt64.max)
  private static let flags = ["--shards", "2", "--limits-rate", "1000000", "--log-level", "error"]

  /// What one device was told.
  struct Account: Sendable {
    var handed: [String: [Message]] = [:]
    var receipts: [String: Receipt] = [:]
    var faults: [String] = []
    var lives = 0

    mutating func take(_ event: ClientEvent) {
      switch event {
      case .message(let message):
        if let last = handed[message.chat]?.last, message.seq <= last.seq {
          faults.append("\(message.seq) after \(last.seq) in \(message.chat)")
        }
        handed[message.chat, default: []].append(message)
      case .sent(let receipt):
        if receipts.updateValue(receipt, forKey: receipt.id) != nil {
          faults.append("\(receipt.id) sent twice")
        }
      case .refused(let refusal): faults.append("refused: \(refusal.error)")
      case .reset(let chat, _, _): faults.append("reset of \(chat)")
      case .connection(.live): lives += 1
      case .connection(.ended(let error?)): faults.append("ended: \(error)")
      case .storage(let error?): faults.append("\(error)")
      default: break
      }
    }
  }

  /// One device over all its lives: a client that is stopped and made anew goes on with the same storage.
  final class Device: Sendable {
    let user: String
    let name: String
    let account = Mutex(Account())
    private let storage: any ClientStorage
    private let port: UInt16

    init(user: String, name: String, storage: any ClientStorage, port: UInt16) {
      self.user = user
      self.name = name
      self.storage = storage
      self.port = port
    }

    func client() throws -> ChatClient {
      var configuration = ClientConfiguration(address: "ws://127.0.0.1:\(port)/ws", user: user, device: name)
      configuration.storage = storage
      configuration.firstBackOffMilliseconds = 5
      configuration.longestBackOffMilliseconds = 50
      configuration.saveMilliseconds = 20
      // The consumer is a task among those of many tests, on few threads.
      configuration.stopMilliseconds = 120_000
      return try ChatClient(configuration)
    }

    /// Consumes events until the client ends; `body` runs beside it.
    func live(_ body: @Sendable (ChatClient) async throws -> Void) async throws {
      let client = try client()
      let events = client.events
      let consumer = Task { [self] in
        for await event in events { account.withLock { $0.take(event) } }
      }
      do {
        try await body(client)
      } catch {
        await client.stop()
        await consumer.value
        throw error
      }
      await client.stop()
      await consumer.value
    }
  }

  @Test func nothingIsLostOrDoubledByCutConnections() async throws {
    print("client ledger: seed \(Self.seed)")
    let server = try ServerProcess(Self.flags)
    let proxy = try CuttingProxy(to: server.port, bytesPerCut: 60_000, seed: Self.seed)
    defer {
      proxy.stop()
      server.kill()
    }
    let directory = try TemporaryDirectory()
    let setup = try ChatTestClient.attached(port: server.port, user: "alice")
    try setup.ask(#""type":"create","chat":"room:ledger","name":"L","public":true"#, expecting: "ok")
    try ChatTestClient.attached(port: server.port, user: "bob").ask(
      #""type":"join","chat":"room:ledger""#, expecting: "ok")
    var devices: [Device] = []
    for user in ["alice", "bob"] {
      for name in ["phone", "laptop"] {
        let storage: any ClientStorage =
          name == "phone" ? MemoryStorage() : try FileStorage(path: "\(directory.path)/\(user)")
        devices.append(Device(user: user, name: name, storage: storage, port: proxy.port))
      }
    }
    let targets = [
      "alice": ["user:bob", "room:ledger", "user:alice"], "bob": ["user:alice", "room:ledger", "user:bob"],
    ]
    let share = Self.count / devices.count
    // Each knows where it stands before anything is sent.
    for device in devices { try await device.live { try await Self.wait { $0.isLive }($0) } }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for device in devices {
        group.addTask {
          let lists = targets[device.user]!
          // In two lives: what waits when the first ends, the second goes on with.
          try await device.live { client in
            for number in 0..<(share / 2) {
              try client.enqueue(Body(text: "\(device.name) \(number)"), to: lists[number % 3])
            }
            try await Self.wait { $0.pendingCount > 0 && $0.pendingCount < share / 4 }(client)
          }
          try await device.live { client in
            for number in (share / 2)..<share {
              try client.enqueue(Body(text: "\(device.name) \(number)"), to: lists[number % 3])
            }
            try await Self.wait {
              $0.pendingCount == 0 && device.account.withLock { $0.receipts.count } == share
            }(client)
          }
        }
      }
      try await group.waitForAll()
    }
    let cuts = proxy.cuts
    proxy.stopCutting()
    let differences = try await reckon(devices, server)
    #expect(differences.isEmpty, "seed \(Self.seed): \(differences.joined(separator: "\n"))")
    #expect(cuts > 20, "the connections were hardly ever cut")
    print("client ledger: \(Self.count) messages, \(cuts) cuts")
  }

  /// Lets each device catch up, and compares what it was told with what the server has.
  private func reckon(_ devices: [Device], _ server: ServerProcess) async throws -> [String] {
    var differences: [String] = []
    var stored: [String: [ChatFrame]] = [:]
    for user in ["alice", "bob"] {
      let reader = try ChatTestClient.attached(
        port: server.port, user: user, device: "reader", cursors: #"{"*":0}"#)
      for (chat, list) in Dictionary(
        grouping: reader.events().filter { $0.type == "message" }, by: { $0.chat! })
      where list.count > stored[chat]?.count ?? 0 { stored[chat] = list }
    }
    let total = stored.values.map(\.count).reduce(0, +)
    if total != Self.count { differences.append("\(total) messages are stored") }
    for device in devices {
      let chats = stored.keys.filter {
        $0.hasPrefix("room:") || $0.split(separator: ":").dropFirst().contains { $0 == device.user }
      }
      let wanted = chats.map { stored[$0]!.count }.reduce(0, +)
      try await device.live { client in
        try await Self.wait { _ in
          device.account.withLock { $0.handed.values.map(\.count).reduce(0, +) + $0.receipts.count } >= wanted
        }(client)
      }
      let account = device.account.withLock { $0 }
      differences += account.faults.map { "\(device.user)/\(device.name): \($0)" }
      for chat in chats {
        let handed = account.handed[chat]?.map(\.seq) ?? []
        let own = account.receipts.values.filter { $0.chat == chat }.map(\.seq)
        let all = (handed + own).sorted()
        if all != stored[chat]!.map({ Int64($0.seq!) }) {
          differences.append(
            "\(device.user)/\(device.name): \(handed.count) handed and \(own.count) sent of \(stored[chat]!.count) in \(chat)"
          )
        }
        // Its own stand in the order in which it sent them.
        let ids = Set(account.receipts.keys)
        let order = stored[chat]!.filter { ids.contains($0.id!) }.compactMap {
          $0.body.flatMap { Int($0.filter(\.isNumber)) }
        }
        if order != order.sorted() {
          differences.append("\(device.user)/\(device.name): disorder in \(chat)")
        }
      }
    }
    return Array(differences.prefix(20))
  }

  /// Waits until a client is so.
  static func wait(
    _ condition: @escaping @Sendable (ChatClient) -> Bool
  ) -> @Sendable (ChatClient) async throws -> Void {
    { client in
      let deadline = Deadline.after(.seconds(60))
      while !condition(client) {
        guard !deadline.hasPassed else { throw TestFailure("no progress: \(client.pendingCount) pending") }
        try await Task.sleep(for: .milliseconds(2))
      }
    }
  }
}
