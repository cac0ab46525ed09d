import Chat
import EventLoop
import Glibc
import JSON
import Support
import Testing
import WebSocket

@testable import Server

/// Large events leave right out of the batch that brought them, and what that holds back is bounded.
@Suite struct LendingTests {
  /// A batch with an event of so many bytes of JSON.
  private static func batch(_ json: [UInt8]) -> Batch {
    var run = ByteBuffer()
    let texts = [Array("room:a".utf8), Array("bob".utf8), json]
    texts[0].withUnsafeBytes { chat in
      texts[1].withUnsafeBytes { user in
        texts[2].withUnsafeBytes { json in
          HintCodec.encode(
            Hint(
              kind: .message, seq: 2, prev: 1, time: 3,
              origin: Origin(epoch: 1, session: SessionID(raw: 2), request: 3), role: .none, chat: chat,
              user: user, json: json), into: &run)
        }
      }
    }
    return Batch(partition: 0, view: 1, directories: [1], since: 1, upto: 2, hints: run.bytes)
  }

  private static func text(_ count: Int) -> [UInt8] { (0..<count).map { UInt8($0 % 95 + 32) } }

  private static func hint(of batch: Batch) -> Hint {
    var offset = 0
    return HintCodec.decode(batch.hints.bytes, at: &offset)!
  }

  @Test(arguments: [0, 1, 125, 126, 4_000, 65_535, 65_536, 70_000])
  func aBatchHasItsEventsAsTheFramesThatAServerSends(_ count: Int) {
    let json = Self.text(count)
    let batch = Self.batch(json)
    let hint = Self.hint(of: batch)
    #expect(HintCodec.isWhole(batch.hints.bytes) && Array(hint.json) == json)
    var frame = [UInt8](repeating: 0, count: FrameHeader.encodedSize(payload: count))
    frame.withUnsafeMutableBytes {
      _ = FrameHeader.encode(opcode: .text, rsv1: false, count: count, into: $0)
    }
    #expect(Array(hint.frame) == frame + json)
  }

  @Test func whatIsHeldBackIsBoundedAndGivenBack() throws {
    let batch = Self.batch(Self.text(9_000))
    let bytes = batch.hints.bytes.count
    let pins = Pins(bytesMax: 2 * bytes + 100)
    var pinned: [Batch] = []
    for _ in 0..<3 { pinned.append(batch.pinned(in: pins)) }
    #expect(pinned.map(\.isLendable) == [true, true, false])
    #expect(pinned.allSatisfy { $0.hints.bytes.baseAddress == batch.hints.bytes.baseAddress })
    #expect(pins.bytes == 2 * bytes)
    pinned.removeFirst()
    #expect(pins.bytes == bytes)
    #expect(batch.pinned(in: pins).isLendable)
    pinned.removeAll()
    #expect(pins.bytes == 0)
    // Where nothing in it could be lent, a batch needs no room.
    #expect(!Self.batch(Self.text(3_000)).pinned(in: pins).isLendable && pins.bytes == 0)
  }

  @Test func onlyLargeEventsOfCountedBatchesAreLent() throws {
    let loop = try EventLoop()
    defer { loop.shutdown() }
    let pins = Pins(bytesMax: 1 << 20)
    func isLent(_ count: Int, isCounted: Bool) throws -> Bool {
      let plain = Self.batch(Self.text(count))
      let batch = isCounted ? plain.pinned(in: pins) : plain
      let frame = Self.hint(of: batch).frame
      guard let shared = FanOut.lend(frame, of: batch, loop) else { return false }
      defer { loop.release(shared) }
      #expect(
        UnsafeRawPointer(shared.bytes.baseAddress) == frame.baseAddress && shared.bytes.count == frame.count)
      return true
    }
    #expect(try isLent(5_000, isCounted: true))
    #expect(try !isLent(5_000, isCounted: false))
    #expect(try !isLent(FanOut.lentBytesMin - 5, isCounted: true))
    #expect(try isLent(FanOut.lentBytesMin - 4, isCounted: true))
    #expect(pins.bytes == 0)
  }

  /// A server in this process, with one shard or two.
  private func server(_ backend: Configuration.Backend, _ directory: TemporaryDirectory) throws
    -> RunningServer
  {
    var configuration = Configuration()
    configuration.listen = Address(host: "127.0.0.1", port: 0)
    configuration.admin = Address(host: "127.0.0.1", port: 0)
    configuration.dataDirectory = directory.path
    configuration.backend = backend
    configuration.shards = 2
    configuration.logLevel = .error
    configuration.limits.ratePerSecond = 1_000_000
    return try RunningServer.start(configuration, descriptors: 4_096)
  }

  /// A room with a sender, a reader that is quick, and one that reads nothing.
  private struct Room {
    let sender: ChatTestClient
    let quick: ChatTestClient
    let slow: ChatTestClient
    let body: String

    init(_ server: RunningServer, bytes: Int) throws {
      let port = server.mainPort
      sender = try ChatTestClient.attached(port: port, user: "sender")
      _ = try sender.ask("\"type\":\"create\",\"chat\":\"room:all\",\"name\":\"all\",\"public\":true")
      quick = try ChatTestClient.attached(port: port, user: "quick")
      slow = try ChatTestClient.attached(port: port, user: "slow", receiveBuffer: 4_096)
      for client in [quick, slow] {
        _ = try client.ask("\"type\":\"join\",\"chat\":\"room:all\"", expecting: "ok")
      }
      body = String(decoding: (0..<bytes).map { UInt8($0 % 26 + 97) }, as: UTF8.self)
    }

    /// Sends until the slow one's socket holds batches back for good.
    func fill(_ server: RunningServer) throws {
      for _ in 0..<1_000 {
        let ack = try sender.say(to: "room:all", body: "\"\(body)\"")
        let frame = try quick.take("message") { $0.seq == ack.seq }
        #expect(frame.body == "\"\(body)\"")
        guard server.shared.pins.bytes > 3 * body.utf8.count else { continue }
        usleep(100_000)
        if server.shared.pins.bytes > 3 * body.utf8.count { return }
      }
      throw TestFailure("the slow one took everything")
    }
  }

  @Test(arguments: [Configuration.Backend.epoll, .ioUring])
  func aSlowSocketHoldsBatchesBackUntilItEnds(_ backend: Configuration.Backend) throws {
    let directory = try TemporaryDirectory()
    let server = try server(backend, directory)
    defer { _ = server.end(quiesceMilliseconds: 5_000) }
    let room = try Room(server, bytes: 50_000)
    try room.fill(server)
    room.slow.drop()
    let deadline = Deadline.usual
    while server.shared.pins.bytes > 0, !deadline.hasPassed { usleep(2_000) }
    #expect(server.shared.pins.bytes == 0)
    // Whoever is left goes on.
    let ack = try room.sender.say(to: "room:all", body: "\"\(room.body)\"")
    try room.quick.take("message") { $0.seq == ack.seq }
  }

  @Test(arguments: [Configuration.Backend.epoll, .ioUring])
  func aServerEndsWhileBatchesAreHeldBack(_ backend: Configuration.Backend) throws {
    let directory = try TemporaryDirectory()
    let server = try server(backend, directory)
    let room = try Room(server, bytes: 50_000)
    try room.fill(server)
    _ = server.end(quiesceMilliseconds: 5_000)
    #expect(server.shared.pins.bytes == 0)
    room.slow.drop()
  }
}
