import CAllocations
import Chat
import EventLoop
import Glibc
import Support
import Testing

@testable import Server

#if DEBUG
  private let isOptimised = false
#else
  private let isOptimised = true
#endif

/// What a frame costs the real server's shard, counted on its thread while clients of another thread speak
/// (ARCHITECTURE, "The event loop"). Only optimised code is held to it; `make test` runs these in release.
@Suite(
  .enabled(if: isOptimised && fc_counting_works(), "counted in release builds without sanitizers"),
  .serialized)
struct FrameCountingTests {
  /// What the shard does beside frames, ten times a second and for each commit, in a test of some seconds.
  private static let background = 2_000

  private struct Cost: Equatable {
    var allocations: Int
    var references: Int
  }

  /// A server in this process, and the thread of its only shard.
  private final class Counted {
    let server: RunningServer
    let shard: Int32
    private let directory: TemporaryDirectory

    init(_ backend: Configuration.Backend) throws {
      directory = try TemporaryDirectory()
      var configuration = Configuration()
      configuration.listen = Address(host: "127.0.0.1", port: 0)
      configuration.admin = Address(host: "127.0.0.1", port: 0)
      configuration.dataDirectory = directory.path
      configuration.backend = backend
      configuration.shards = 1
      configuration.echo = true
      configuration.logLevel = .error
      configuration.limits.ratePerSecond = 1_000_000
      server = try RunningServer.start(configuration, descriptors: 4_096)
      shard = Self.thread(named: "fc-shard-0")
      // Otherwise nothing would be counted below.
      #expect(fc_allocations_of(shard) > 0 && fc_references_of(shard) > 0)
    }

    func end() { _ = server.end(quiesceMilliseconds: 5_000) }

    var cost: Cost {
      Cost(allocations: Int(fc_allocations_of(shard)), references: Int(fc_references_of(shard)))
    }

    /// The youngest thread of that name.
    private static func thread(named name: String) -> Int32 {
      var found: Int32 = 0
      let tasks = opendir("/proc/self/task")!
      defer { closedir(tasks) }
      while let entry = readdir(tasks) {
        let id = withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { atoi($0) }
        }
        guard id > 0, let file = fopen("/proc/self/task/\(id)/comm", "r") else { continue }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 64)
        guard fgets(&line, 64, file) != nil else { continue }
        let text = line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
        if String(decoding: text, as: UTF8.self) == name { found = max(found, id) }
      }
      return found
    }
  }

  @Test(arguments: [Configuration.Backend.epoll, .ioUring])
  func anEchoedFrameTakesNoMemoryAndCountsNoReference(_ backend: Configuration.Backend) throws {
    let counted = try Counted(backend)
    defer { counted.end() }
    let client = try WebSocketTestClient(port: counted.server.mainPort, path: "/echo")
    let payload = [UInt8](repeating: UInt8(ascii: "x"), count: 200)
    func echo(_ rounds: Int) throws {
      for _ in 0..<rounds {
        for _ in 0..<10 { try client.send(opcode: WebSocketTestFrame.Opcode.text, payload) }
        for _ in 0..<10 { #expect(try client.nextMessage() == payload) }
      }
    }
    try echo(200)
    let before = counted.cost
    try echo(2_000)
    let after = counted.cost
    // 20,000 frames: one of either for every frame, or every turn, would be far above the background.
    #expect(after.allocations - before.allocations < Self.background)
    #expect(after.references - before.references < Self.background)
  }

  /// Of a small event, which is copied into a frame, and of one that leaves right out of its batch.
  @Test(arguments: [Configuration.Backend.epoll, .ioUring], [5, 8_000])
  func aCopyOfAFanOutTakesNoMemoryAndCountsNoReference(
    _ backend: Configuration.Backend, bytes: Int
  ) throws {
    let counted = try Counted(backend)
    defer { counted.end() }
    let port = counted.server.mainPort
    let sender = try ChatTestClient.attached(port: port, user: "sender")
    _ = try sender.ask("\"type\":\"create\",\"chat\":\"room:all\",\"name\":\"all\",\"public\":true")
    var listeners: [ChatTestClient] = []
    let body = "\"" + String(repeating: "x", count: bytes) + "\""
    func cost(of messages: Int) throws -> Cost {
      let before = counted.cost
      for _ in 0..<messages {
        let ack = try sender.say(to: "room:all", body: body)
        for listener in listeners { _ = try listener.take("message") { $0.seq == ack.seq } }
      }
      let after = counted.cost
      return Cost(
        allocations: after.allocations - before.allocations, references: after.references - before.references)
    }
    func listen(_ count: Int) throws {
      for i in listeners.count..<count {
        let listener = try ChatTestClient.attached(port: port, user: "listener\(i)")
        _ = try listener.ask("\"type\":\"join\",\"chat\":\"room:all\"", expecting: "ok")
        listeners.append(listener)
      }
      _ = try cost(of: 20)
    }
    // A message costs the shard some of both (its commit, its batch); a copy more must cost nothing.
    try listen(5)
    let few = try cost(of: 100)
    try listen(55)
    let many = try cost(of: 100)
    #expect(many.allocations - few.allocations < Self.background)
    #expect(many.references - few.references < Self.background)
  }
}
