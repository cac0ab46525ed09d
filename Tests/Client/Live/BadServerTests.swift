import Glibc
import Support
import Synchronization
import Testing

@testable import Client

/// Servers that are none, break rules, or say no: each says what is wrong and what to do.
@Suite struct BadServerTests {
  private func client(_ server: FakeServer, _ change: (inout ClientConfiguration) -> Void = { _ in }) throws
    -> ChatClient
  {
    var configuration = ClientConfiguration(
      address: "ws://127.0.0.1:\(server.port)/ws", user: "alice", device: "d")
    configuration.firstBackOffMilliseconds = 5
    configuration.longestBackOffMilliseconds = 20
    change(&configuration)
    return try ChatClient(configuration)
  }

  /// The first error that the client tells, and whether it goes on.
  private func firstError(
    _ answer: @escaping @Sendable (Int32, Int) -> Void,
    _ change: (inout ClientConfiguration) -> Void = { _ in }
  ) async throws -> (error: ClientError?, isOver: Bool) {
    let server = try FakeServer(answer)
    defer { server.stop() }
    let client = try client(server, change)
    for await event in client.events {
      switch event {
      case .connection(.waiting(let error, _)):
        await client.stop()
        return (error, false)
      case .connection(.ended(let error)): return (error, true)
      default: break
      }
    }
    return (nil, true)
  }

  @Test(arguments: [
    ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>", "a web page"),
    ("<html>hello</html>", "does not speak HTTP"), ("\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}\u{46}", "speaks TLS"),
    ("HTTP/1.1 400 Bad Request\r\n\r\nThe plain HTTP request was sent to HTTPS port", "wants TLS"),
    ("HTTP/1.1 404 Not Found\r\n\r\n", "nothing of that path"),
    ("SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP"),
    ("HTTP/1.1 301 Moved\r\nLocation: /x\r\n\r\n", "elsewhere"),
    (
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
      "not valid"
    ),
  ])
  func whatIsNoFastChatServerEndsIt(answer: String, words: String) async throws {
    let (error, isOver) = try await firstError { socket, _ in
      _ = FakeServer.request(from: socket)
      FakeServer.write(Array(answer.utf8), to: socket)
      var byte: UInt8 = 0
      _ = recv(socket, &byte, 1, 0)
    }
    #expect(isOver && error?.kind == .notFastChat, "\(String(describing: error))")
    #expect(
      error?.message.contains(words) == true && error?.advice.isEmpty == false, "\(String(describing: error))"
    )
  }

  @Test(arguments: [nil, "other.v1"]) func anotherSubprotocolEndsIt(subprotocol: String?) async throws {
    let (error, isOver) = try await firstError { socket, _ in
      FakeServer.upgrade(socket, subprotocol: subprotocol)
    }
    #expect(isOver && error?.kind == .notFastChat, "\(String(describing: error))")
  }

  @Test(arguments: [
    FakeServer.text("hello"), FakeServer.text("[]"), FakeServer.text(#"{"type":"live"}"#),
    FakeServer.text(#"{"a":1}"#),
    FakeServer.frame(2, [1, 2]), FakeServer.frame(3, []), [0x81, 0x80, 0, 0, 0, 0], [0x81, 2, 0xFF, 0xFF],
    [0x81, 127, 0, 0, 0, 0, 0x7F, 0, 0, 0],
    FakeServer.welcome + FakeServer.text(#"{"type":"message","seq":"x"}"#),
    [0x80, 0], FakeServer.frame(8, [3]),
  ])
  func wrongFramesAreSaidAndTheConnectionIsMadeAnew(bytes: [UInt8]) async throws {
    let (error, isOver) = try await firstError { socket, _ in
      FakeServer.upgrade(socket)
      FakeServer.write(bytes, to: socket)
      var byte: UInt8 = 0
      while recv(socket, &byte, 1, 0) > 0 {}
    }
    #expect(!isOver && error?.kind == .brokenProtocol, "\(String(describing: error))")
  }

  @Test func silenceIsSaid() async throws {
    let waits: @Sendable (Int32, Int) -> Void = { socket, _ in
      var byte: UInt8 = 0
      while recv(socket, &byte, 1, 0) > 0 {}
    }
    let (error, isOver) = try await firstError(waits) { $0.connectMilliseconds = 50 }
    #expect(!isOver && error?.message.contains("says nothing") == true, "\(String(describing: error))")
    let (later, _) = try await firstError(
      { socket, _ in
        FakeServer.upgrade(socket)
        waits(socket, 0)
      }, { $0.welcomeMilliseconds = 50 })
    #expect(later?.message.contains("does not answer hello") == true, "\(String(describing: later))")
  }

  @Test func nobodyThereIsSaidAndTriedAgain() async throws {
    let server = try FakeServer { _, _ in }
    server.stop()
    let client = try client(server)
    var tries = 0
    for await event in client.events {
      guard case .connection(.waiting(let error, _)) = event else { continue }
      #expect(error.kind == .network && error.advice.contains("server"))
      tries += 1
      if tries == 3 { break }
    }
    #expect(tries == 3)
    await client.stop()
  }

  @Test(arguments: [4500, 4502, 4503, 4504, 4999] as [UInt16])
  func closeCodesFrom4500OnEndIt(code: UInt16) async throws {
    let (error, isOver) = try await firstError { socket, _ in
      FakeServer.upgrade(socket)
      FakeServer.write(FakeServer.welcome + FakeServer.close(code, "so it is"), to: socket)
    }
    #expect(isOver && error != nil)
  }

  @Test func retryOfAReasonIsHonoured() async throws {
    let server = try FakeServer { socket, _ in
      FakeServer.upgrade(socket)
      FakeServer.write(FakeServer.welcome + FakeServer.close(4000, "retry=12345 draining"), to: socket)
    }
    defer { server.stop() }
    let client = try client(server)
    for await event in client.events {
      guard case .connection(.waiting(_, let milliseconds)) = event else { continue }
      #expect(milliseconds == 12_345)
      break
    }
    await client.stop()
  }

  @Test(arguments: [4500, 4501] as [UInt16]) func anExpiredTokenIsAskedForAgain(code: UInt16) async throws {
    let asked = Mutex<[String?]>([])
    let server = try FakeServer { socket, count in
      FakeServer.upgrade(socket)
      guard count > 0 else {
        return FakeServer.write(
          (code == 4501
            ? FakeServer.welcome
            : FakeServer.text(#"{"type":"error","code":"unauthorized","message":"old"}"#))
            + FakeServer.close(code), to: socket)
      }
      FakeServer.write(FakeServer.welcome + FakeServer.text(#"{"type":"live"}"#), to: socket)
      var byte: UInt8 = 0
      while recv(socket, &byte, 1, 0) > 0 {}
    }
    defer { server.stop() }
    let client = try client(server) {
      $0.token = { refusal in
        asked.withLock { tokens in
          tokens.append(refusal?.reason)
          return "token-\(tokens.count)"
        }
      }
    }
    for await event in client.events {
      if case .connection(.live) = event { break }
      if case .connection(.ended(let error)) = event { Issue.record("ended: \(String(describing: error))") }
    }
    await client.stop()
    let reasons = asked.withLock { $0 }
    #expect(reasons.count == 2 && reasons[0] == nil && reasons[1] != nil, "\(reasons)")
  }

  @Test func aTokenThatIsRefusedTwiceEndsIt() async throws {
    let (error, isOver) = try await firstError(
      { socket, _ in
        FakeServer.upgrade(socket)
        FakeServer.write(
          FakeServer.text(#"{"type":"error","code":"unauthorized","message":"no"}"#) + FakeServer.close(4500),
          to: socket)
      }, { $0.token = { _ in "x" } })
    #expect(isOver && error?.kind == .unauthorized && error?.message.contains("no") == true)
  }

  @Test func storageThatFailsIsToldAndNothingIsDropped() async throws {
    final class Full: ClientStorage {
      let isFull = Mutex(true)
      func load() -> [UInt8]? { nil }
      func save(_ state: [UInt8]) throws(ClientError) {
        if isFull.withLock({ $0 }) {
          throw ClientError(.storage, "the disk is full", advice: "free some space")
        }
      }
    }
    let storage = Full()
    try await withKnownServer { port in
      var configuration = ClientConfiguration(address: "ws://127.0.0.1:\(port)/ws", user: "alice")
      configuration.storage = storage
      let client = try ChatClient(configuration)
      let consumer = Task {
        var told: [ClientError?] = []
        for await event in client.events { if case .storage(let error) = event { told.append(error) } }
        return told
      }
      let receipt = try await client.send(Body(text: "hi"), to: "user:bob")
      #expect(receipt.seq > 0)
      storage.isFull.withLock { $0 = false }
      await client.stop()
      let told = await consumer.value
      #expect(told.first??.kind == .storage)
    }
  }

  @Test func aFileThatIsForbiddenOrTakenOrForeignIsSaid() throws {
    let directory = try TemporaryDirectory()
    #expect(throws: ClientError.self) { try FileStorage(path: directory.path + "/no/such/file") }
    let path = directory.path + "/state"
    let first = try FileStorage(path: path)
    #expect { try FileStorage(path: path) } throws: { "\($0)".contains("another client uses") }
    try first.save(Array("not ours".utf8))
    var configuration = ClientConfiguration(address: "ws://127.0.0.1:1/ws", user: "alice")
    configuration.storage = first
    #expect { try ChatClient(configuration) } throws: { "\($0)".contains("move the file away") }
    try first.save(KeptState(user: "bob", device: "d").encoded())
    #expect { try ChatClient(configuration) } throws: { "\($0)".contains("belongs to bob") }
  }

  private func withKnownServer(_ body: (UInt16) async throws -> Void) async throws {
    let server = try ServerProcess()
    do {
      try await body(server.port)
      server.kill()
    } catch {
      server.kill()
      throw error
    }
  }
}
