import EventLoop
import Testing

@Suite("Bytes go both ways")
struct ExchangeTests {
  @Test("Every size comes back as it went, also beyond the buffers", arguments: backends)
  func echo(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    driver.onReceive = { loop, id, bytes in loop.send(id, copying: UnsafeRawBufferPointer(bytes)) }
    let (peer, _) = try driver.client()
    for size in [1, 2, 63, 64, 2_047, 2_048, 2_049, 4_064, 4_065, 65_536, 70_001, 700_000] {
      let sent = pattern(size, seed: size)
      var rest = sent[...]
      var got: [UInt8] = []
      let done = driver.pump {
        rest = rest.dropFirst(peer.write(rest.prefix(1 << 16)))
        while let more = peer.readOnce(), !more.isEmpty { got += more }
        return got.count >= sent.count
      }
      #expect(done && got == sent, "size \(size)")
    }
    #expect(driver.loop.queuedBytes(driver.accepted[0]) == 0)
  }

  @Test("The bytes handed over may be written into", arguments: backends)
  func inPlace(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    driver.onReceive = { loop, id, bytes in
      for index in bytes.indices { bytes[index] ^= 0xFF }
      loop.send(id, copying: UnsafeRawBufferPointer(bytes))
    }
    let (peer, _) = try driver.client()
    for round in 0..<200 {
      peer.write(pattern(100, seed: round))
      #expect(driver.read(peer, count: 100) == pattern(100, seed: round).map { $0 ^ 0xFF })
    }
  }

  @Test("Requests that come together are answered in order", arguments: backends)
  func pipelining(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    driver.onReceive = { loop, id, bytes in
      // Answered in pieces of every kind, so that their order is what is seen.
      for index in stride(from: 0, to: bytes.count, by: 3) {
        let piece = UnsafeRawBufferPointer(rebasing: bytes[index..<min(index + 3, bytes.count)])
        switch index % 2 {
        case 0: loop.send(id, copying: piece)
        default:
          loop.reserve(id, piece.count)!.copyMemory(from: piece)
          loop.commit(id, piece.count)
        }
      }
    }
    let (peer, _) = try driver.client()
    let sent = pattern(30_000)
    #expect(driver.write(peer, sent))
    #expect(driver.read(peer, count: sent.count) == sent)
  }

  @Test("Sixteen small sends of a turn leave in one write", arguments: backends)
  func coalescing(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let (peer, id) = try driver.client()
    let before = driver.loop.statistics.writes
    for index in 0..<16 { #expect(driver.send(id, pattern(64, seed: index))) }
    #expect(driver.loop.queuedBytes(id) == 1_024)
    driver.turn()
    let got = driver.read(peer, count: 1_024)
    #expect(got == (0..<16).flatMap { pattern(64, seed: $0) })
    #expect(driver.loop.statistics.writes == before + 1)
  }

  @Test("Private and shared pieces of a turn keep their order in one write", arguments: backends)
  func mixedOrder(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let (peer, id) = try driver.client()
    let before = driver.loop.statistics.writes
    var expected: [UInt8] = []
    for (index, size) in [10, 3_000, 10, 5_000, 200, 70_000, 1].enumerated() {
      let bytes = pattern(size, seed: index)
      expected += bytes
      if index % 2 == 0 {
        #expect(driver.send(id, bytes))
      } else {
        let shared = try #require(driver.loop.makeShared(size))
        shared.bytes.copyBytes(from: bytes)
        #expect(driver.loop.send(id, shared: shared))
        driver.loop.release(shared)
      }
    }
    driver.turn()
    #expect(driver.loop.statistics.writes == before + 1)
    #expect(driver.read(peer, count: expected.count) == expected)
  }

  @Test("A thousand connections are served", arguments: backends)
  func thousand(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) {
      $0.connections = 1_024
      $0.receiveBuffers = 256
    }
    driver.onReceive = { loop, id, bytes in loop.send(id, copying: UnsafeRawBufferPointer(bytes)) }
    var peers: [Peer] = []
    for _ in 0..<1_000 {
      peers.append(try Peer(port: driver.listener.port))
      if peers.count % 100 == 0 { driver.turn(waitAtMostMilliseconds: 1) }
    }
    try #require(driver.pump { driver.accepted.count == 1_000 })
    #expect(driver.loop.connectionCount == 1_000)
    #expect(Set(driver.accepted.map(\.slot)).count == 1_000)
    for round in 0..<3 {
      for (index, peer) in peers.enumerated() {
        #expect(peer.write(pattern(500, seed: index + round)) == 500)
      }
      for (index, peer) in peers.enumerated() {
        #expect(driver.read(peer, count: 500) == pattern(500, seed: index + round))
      }
    }
    peers = []
    #expect(driver.pump { driver.ended.count == 1_000 && driver.loop.connectionCount == 0 })
    #expect(driver.loop.outputBytes == 0)
  }

  @Test("More bytes than receive buffers come through in order", arguments: backends)
  func starvation(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) {
      $0.receiveBuffers = 4
      $0.receiveBufferBytes = 256
    }
    let first = try driver.client()
    let second = try driver.client()
    let sent = pattern(100_000)
    #expect(driver.write(first.peer, sent) && driver.write(second.peer, sent))
    #expect(driver.pump { driver.received[first.id]?.count == sent.count })
    #expect(driver.pump { driver.received[second.id]?.count == sent.count })
    #expect(driver.received[first.id] == sent && driver.received[second.id] == sent)
    if backend == .ioUring { #expect(driver.loop.statistics.receiveStarvations > 0) }
  }

  @Test("A full submission queue delays nothing for ever", arguments: backends)
  func fullSubmissionQueue(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) {
      $0.connections = 200
      $0.submissionEntries = 8
      $0.completionEntries = 16
    }
    driver.onReceive = { loop, id, bytes in loop.send(id, copying: UnsafeRawBufferPointer(bytes)) }
    let peers = try (0..<150).map { _ in try Peer(port: driver.listener.port) }
    try #require(driver.pump { driver.accepted.count == 150 })
    for round in 0..<5 {
      for (index, peer) in peers.enumerated() { peer.write(pattern(300, seed: index + round)) }
      for (index, peer) in peers.enumerated() {
        #expect(driver.read(peer, count: 300) == pattern(300, seed: index + round))
      }
    }
    if backend == .ioUring { #expect(driver.loop.statistics.completionOverflows > 0) }
  }

  @Test("What is not taken in a turn is told in the next", arguments: backends)
  func untakenEvents(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let pairs = try (0..<20).map { _ in try driver.client() }
    for (index, pair) in pairs.enumerated() { pair.peer.write([UInt8(index)]) }
    var got: Set<UInt8> = []
    let end = now() + 10_000
    while got.count < 20, now() < end {
      driver.loop.turn(waitAtMostMilliseconds: 5)
      // One only.
      if case .received(_, let bytes)? = driver.loop.next() { got.formUnion(bytes) }
    }
    #expect(got.count == 20)
  }

  @Test("A connection that the loop began carries bytes like an accepted one", arguments: backends)
  func connecting(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let address = try SocketAddress("127.0.0.1", port: driver.listener.port)
    let mine = try driver.loop.connect(to: address)
    // Said before it is established: waits.
    #expect(driver.send(mine, pattern(10)))
    try #require(driver.pump { driver.connected == [mine] && driver.accepted.count == 1 })
    let theirs = driver.accepted[0]
    #expect(driver.pump { driver.received[theirs] == pattern(10) })
    #expect(driver.send(theirs, pattern(20)))
    #expect(driver.pump { driver.received[mine] == pattern(20) })
    #expect(driver.loop.peerAddress(of: mine)?.port == driver.listener.port)
    #expect(driver.loop.peerAddress(of: theirs)?.host == "127.0.0.1")
  }

  @Test("A connection that nobody answers ends with the reason", arguments: backends)
  func connectRefused(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let unused = try ListeningSocket.claim(address: "127.0.0.1", port: 0)
    let id = try driver.loop.connect(to: SocketAddress("127.0.0.1", port: unused))
    #expect(driver.pump { driver.reason(id) != nil })
    #expect(driver.reason(id) == .failed(errno: 111))
    #expect(driver.connected.isEmpty)
    #expect(driver.pump { driver.loop.connectionCount == 0 })
  }
}
