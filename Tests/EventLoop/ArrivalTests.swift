import CLinuxIO
import EventLoop
import Glibc
import Testing

@Suite("Where connections come from")
struct ArrivalTests {
  @Test("Beyond the slots a newcomer is closed at once; the reserve is handed over", arguments: backends)
  func slotsExhausted(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) {
      $0.connections = 4
      $0.reserve = 2
    }
    let peers = try (0..<8).map { _ in try Peer(port: driver.listener.port) }
    defer { withExtendedLifetime(peers) {} }
    #expect(driver.pump { driver.accepted.count == 6 && driver.loop.statistics.refused == 2 })
    #expect(driver.loop.connectionCount == 6)
    // The reserve is told by the count: such a one is answered and finished.
    let extra = driver.accepted[5]
    #expect(driver.send(extra, pattern(30)))
    driver.loop.finish(extra)
    var answered = 0
    var closed = 0
    #expect(
      driver.pump {
        for peer in peers {
          guard let bytes = peer.readOnce() else { continue }
          if bytes.isEmpty { closed += 1 } else { answered += 1 }
          if bytes.isEmpty { peer.close() }
        }
        return answered == 1 && closed == 3
      })
    // Slots that became free serve again.
    #expect(driver.pump { driver.loop.connectionCount == 5 })
    _ = try driver.client()
    #expect(driver.loop.connectionCount == 6)
  }

  @Test("Small writes do not wait for each other: TCP_NODELAY", arguments: backends)
  func noDelay(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let (_, accepted) = try driver.client()
    let connected = try driver.loop.connect(to: SocketAddress("127.0.0.1", port: driver.listener.port))
    for id in [accepted, connected] {
      var value: Int32 = 0
      var length = socklen_t(4)
      let descriptor = try #require(driver.loop.descriptor(of: id))
      getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &value, &length)
      #expect(value != 0)
    }
  }

  @Test("A socket that was connected elsewhere is taken over", arguments: backends)
  func adoption(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    var pair: [Int32] = [0, 0]
    #expect(socketpair(AF_UNIX, linuxio_stream_socket, 0, &pair) == 0)
    let peer = Peer(descriptor: pair[1])
    let id = try driver.loop.adopt(descriptor: pair[0])
    peer.write(pattern(100))
    #expect(driver.pump { driver.received[id] == pattern(100) })
    #expect(driver.send(id, pattern(7)))
    #expect(driver.read(peer, count: 7) == pattern(7))
    #expect(driver.loop.peerAddress(of: id) == nil)
    peer.close()
    #expect(driver.pump { driver.reason(id) == .peerClosed })
  }

  @Test("A removed listener takes nobody, what it took lives on", arguments: backends)
  func removedListener(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    driver.onReceive = { loop, id, bytes in loop.send(id, copying: UnsafeRawBufferPointer(bytes)) }
    let (peer, _) = try driver.client()
    driver.loop.remove(listener: 0)
    driver.turn()
    let late = try Peer(port: driver.listener.port)
    driver.pump(milliseconds: 30)
    #expect(driver.accepted.count == 1)
    #expect(late.readError == ECONNREFUSED)
    peer.write(pattern(9))
    #expect(driver.read(peer, count: 9) == pattern(9))
    // Another may listen there now, beside it a loop may take a second listener.
    let second = try ListeningSocket.open(
      address: "127.0.0.1", port: driver.listener.port, reusePort: false)
    #expect(try driver.loop.add(listener: second) == 1)
    _ = try driver.client()
  }

  @Test("A port that somebody listens on is an error, even where it could be shared")
  func portInUse() throws {
    let other = try ListeningSocket.open(address: "127.0.0.1", port: 0, reusePort: true)
    defer { other.close() }
    #expect(throws: LoopError.portInUse("127.0.0.1:\(other.port)")) {
      try ListeningSocket.claim(address: "127.0.0.1", port: other.port)
    }
    // Shards of one process share it.
    let shard = try ListeningSocket.open(address: "127.0.0.1", port: other.port, reusePort: true)
    shard.close()
    let free = try ListeningSocket.claim(address: "127.0.0.1", port: 0)
    let shards = try (0..<2).map { _ in
      try ListeningSocket.open(address: "127.0.0.1", port: free, reusePort: true)
    }
    #expect(shards.map(\.port) == [free, free])
    for shard in shards { shard.close() }
  }

  @Test("Addresses are numeric, of both families")
  func addresses() throws {
    #expect(try SocketAddress("::1", port: 80).host == "::1")
    #expect(try SocketAddress("10.1.2.3", port: 65_535).port == 65_535)
    #expect(throws: LoopError.address("localhost")) { try SocketAddress("localhost", port: 1) }
  }

  @Test("Without descriptors accepting pauses, the rest is served, and it goes on when there are some")
  func descriptorsExhausted() async {
    await #expect(processExitsWith: .success) {
      for backend in backends { try exhaustDescriptors(backend) }
    }
  }
}

/// In a process of its own, since it takes all descriptors away.
private func exhaustDescriptors(_ backend: BackendKind) throws {
  func require(_ holds: Bool, _ line: Int32 = #line) {
    guard !holds else { return }
    let text = "descriptors, \(backend), line \(line)\n"
    _ = text.withCString { write(2, $0, strlen($0)) }
    exit(1)
  }
  var limit = rlimit(rlim_cur: 200, rlim_max: 200)
  getrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit)
  limit.rlim_cur = 200
  setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit)

  let driver = try LoopDriver(backend)
  driver.onReceive = { loop, id, bytes in loop.send(id, copying: UnsafeRawBufferPointer(bytes)) }
  let (first, _) = try driver.client()
  let waiting = try (0..<3).map { _ in try Peer(port: driver.listener.port) }
  var filling: [Int32] = []
  while true {
    let copy = dup(0)
    if copy < 0 { break }
    filling.append(copy)
  }
  close(filling.removeLast())

  // One descriptor: one of the three comes in.
  require(driver.pump { driver.acceptPaused == 1 })
  require(driver.accepted.count == 2)
  require(driver.acceptResumed == 0)
  // What is there is served, and the loop sleeps instead of asking over and over.
  let turns = driver.loop.statistics.turns
  let end = now() + 350
  while now() < end { driver.turn(waitAtMostMilliseconds: 1_000) }
  require(driver.loop.statistics.turns - turns < 20)
  first.write(pattern(20))
  require(driver.read(first, count: 20) == pattern(20))
  require(driver.accepted.count == 2 && driver.acceptPaused == 1)

  // A connection ends: its descriptor serves the next, at once.
  driver.loop.close(driver.accepted[1])
  require(driver.pump { driver.accepted.count == 3 })
  // There are enough again.
  for descriptor in filling { close(descriptor) }
  require(driver.pump { driver.accepted.count == 4 && driver.acceptResumed >= 1 })
  require(driver.acceptPaused == driver.acceptResumed)
  waiting[2].write(pattern(10))
  require(driver.read(waiting[2], count: 10) == pattern(10))
}
