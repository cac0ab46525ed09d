import EventLoop
import Testing

@Suite("Back-pressure and bounds")
struct FlowTests {
  @Test("Paused reading stops the peer; resumed, every byte comes in order", arguments: backends)
  func pauseAndResume(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let (peer, id) = try driver.client()
    driver.loop.pauseReading(id)
    driver.turn()
    driver.pump(milliseconds: 20)
    let sent = pattern(9 << 20)
    var rest = sent[...]
    // Until the kernel takes no more: what waits is in its buffers, none of it in ours.
    while true {
      let taken = peer.write(rest.prefix(1 << 16))
      rest = rest.dropFirst(taken)
      driver.pump(milliseconds: 2)
      if taken == 0 { break }
    }
    #expect(driver.receivedTotal == 0)
    #expect(!rest.isEmpty)
    driver.loop.resumeReading(id)
    #expect(driver.write(peer, Array(rest)))
    #expect(driver.pump { driver.receivedTotal == sent.count })
    #expect(driver.received[id] == sent)
  }

  @Test("Pausing and resuming again and again loses nothing", arguments: backends)
  func pauseResumeStorm(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let (peer, id) = try driver.client()
    let sent = pattern(200_000)
    var rest = sent[...]
    var step = 0
    #expect(
      driver.pump {
        rest = rest.dropFirst(peer.write(rest.prefix(3_000)))
        step += 1
        switch step % 5 {
        case 0: driver.loop.pauseReading(id)
        case 1, 3: driver.loop.resumeReading(id)
        case 2:
          driver.loop.pauseReading(id)
          driver.loop.resumeReading(id)
        default: break
        }
        return driver.receivedTotal == sent.count
      })
    #expect(driver.received[id] == sent)
  }

  @Test("A slow reader that catches up is told of once", arguments: backends)
  func drained(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) {
      $0.outputBytes = 32 << 20
      $0.lowWaterBytes = 64 << 10
    }
    let (peer, id) = try driver.client(receiveBuffer: 4_096)
    let sent = pattern(7 << 20)
    #expect(driver.send(id, sent))
    driver.pump(milliseconds: 30)
    #expect(driver.drained.isEmpty)
    #expect(driver.loop.queuedBytes(id) > 64 << 10)
    #expect(driver.read(peer, count: sent.count) == sent)
    #expect(driver.pump { driver.drained == [id] && driver.loop.queuedBytes(id) == 0 })
    // Below the mark there is nothing to tell.
    #expect(driver.send(id, pattern(1_000)))
    #expect(driver.read(peer, count: 1_000) == pattern(1_000))
    driver.pump(milliseconds: 20)
    #expect(driver.drained == [id])
  }

  @Test(
    "Beyond a connection's bound nothing is queued, and what was queued leaves whole", arguments: backends)
  func outputBound(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) {
      $0.outputBytes = 10_000
      $0.lowWaterBytes = 1_000
    }
    let (peer, id) = try driver.client()
    #expect(driver.send(id, pattern(9_000)))
    #expect(!driver.send(id, pattern(1_001)))
    #expect(driver.loop.reserve(id, 1_001) == nil)
    let shared = try #require(driver.loop.makeShared(2_000))
    #expect(!driver.loop.send(id, shared: shared))
    driver.loop.release(shared)
    #expect(driver.loop.queuedBytes(id) == 9_000)
    #expect(driver.send(id, pattern(1_000, seed: 9)))
    #expect(driver.loop.statistics.refusedOutputs == 3)
    #expect(driver.read(peer, count: 10_000) == pattern(9_000) + pattern(1_000, seed: 9))
    driver.pump(milliseconds: 5)
    #expect(driver.send(id, pattern(10_000)))
  }

  @Test("The bound of the whole loop holds over its connections", arguments: backends)
  func totalBound(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) {
      $0.outputBytes = 64 << 10
      $0.lowWaterBytes = 1_000
      $0.totalOutputBytes = 128 << 10
    }
    let pairs = try (0..<4).map { _ in try driver.client() }
    let taken = pairs.map { driver.send($0.id, pattern(50_000)) }
    #expect(taken.filter { $0 }.count == 2)
    #expect(driver.loop.makeShared(60_000) == nil)
    #expect(driver.loop.outputBytes <= 128 << 10)
    for (pair, was) in zip(pairs, taken) where was {
      #expect(driver.read(pair.peer, count: 50_000) == pattern(50_000))
    }
    #expect(driver.pump { driver.loop.outputBytes == 0 })
    #expect(driver.send(pairs[3].id, pattern(50_000)))
  }

  @Test("Pieces of output are bounded, and free again when they left", arguments: backends)
  func segmentBound(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) { $0.segments = 3 }
    let (peer, id) = try driver.client()
    let shared = try #require(driver.loop.makeShared(2_000))
    shared.bytes.copyBytes(from: pattern(2_000))
    #expect((0..<5).map { _ in driver.loop.send(id, shared: shared) } == [true, true, true, false, false])
    #expect(driver.read(peer, count: 6_000)?.count == 6_000)
    #expect(driver.pump { driver.loop.send(id, shared: shared) })
    driver.loop.release(shared)
    #expect(driver.pump { driver.loop.outputBytes == 0 })
  }

  @Test("Room that is reserved and not used is given back", arguments: backends)
  func reserveWithoutCommit(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let (peer, id) = try driver.client()
    let writes = driver.loop.statistics.writes
    #expect(driver.loop.reserve(id, 100)!.count >= 100)
    #expect(driver.loop.outputBytes > 0)
    driver.turn()
    #expect(driver.loop.outputBytes == 0 && driver.loop.statistics.writes == writes)
    driver.loop.reserve(id, 5)!.copyBytes(from: pattern(5))
    driver.loop.commit(id, 5)
    #expect(driver.read(peer, count: 5) == pattern(5))
  }

  @Test("A fan-out shares one buffer, free after the last of its sends", arguments: backends)
  func sharedBuffer(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let pairs = try (0..<20).map { _ in try driver.client() }
    for size in [200, 5_000] {
      let shared = try #require(driver.loop.makeShared(size))
      shared.bytes.copyBytes(from: pattern(size))
      let one = driver.loop.outputBytes
      for pair in pairs { #expect(driver.loop.send(pair.id, shared: shared)) }
      driver.loop.release(shared)
      #expect(driver.loop.outputBytes == one)
      for pair in pairs { #expect(driver.read(pair.peer, count: size) == pattern(size)) }
      #expect(driver.pump { driver.loop.outputBytes == 0 })
    }
  }

  @Test("A slow socket holds a shared buffer, and its end gives it back", arguments: backends)
  func sharedBufferHeld(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) { $0.outputBytes = 32 << 20 }
    let fast = try driver.client()
    let slow = try driver.client(receiveBuffer: 4_096)
    let size = 6 << 20
    let shared = try #require(driver.loop.makeShared(size))
    shared.bytes.copyBytes(from: pattern(size))
    #expect(driver.loop.send(fast.id, shared: shared) && driver.loop.send(slow.id, shared: shared))
    driver.loop.release(shared)
    #expect(driver.read(fast.peer, count: size) == pattern(size))
    #expect(driver.loop.outputBytes > size)
    slow.peer.close()
    #expect(driver.pump { driver.loop.outputBytes == 0 })
    #expect(driver.reason(slow.id) != nil)
  }
}
