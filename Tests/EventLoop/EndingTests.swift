import EventLoop
import Testing

@Suite("How connections end")
struct EndingTests {
  @Test("A peer that closes is told of once, and its slot is free again", arguments: backends)
  func peerCloses(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let (peer, id) = try driver.client()
    peer.write(pattern(10))
    peer.close()
    #expect(driver.pump { driver.reason(id) == .peerClosed })
    #expect(driver.received[id] == pattern(10))
    driver.pump(milliseconds: 30)
    #expect(driver.ended.count == 1)
    #expect(driver.loop.connectionCount == 0)
    #expect(!driver.send(id, [1]))
    #expect(driver.loop.statistics.closed == 1)
  }

  @Test("A reset is told as one", arguments: backends)
  func peerResets(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let (peer, id) = try driver.client()
    peer.reset()
    #expect(driver.pump { driver.reason(id) == .reset })
    #expect(driver.pump { driver.loop.connectionCount == 0 })
  }

  @Test("A write after a reset, while reading is paused, ends the connection", arguments: backends)
  func resetNoticedByWriting(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let (peer, id) = try driver.client()
    driver.loop.pauseReading(id)
    driver.turn()
    peer.reset()
    #expect(
      driver.pump {
        _ = driver.send(id, [1])
        return driver.reason(id) == .reset
      })
    #expect(driver.ended.count == 1)
    #expect(driver.pump { driver.loop.connectionCount == 0 })
  }

  @Test("A peer that only closes its side still gets all that was queued", arguments: backends)
  func halfClose(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let answer = pattern(900_000)
    driver.onReceive = { loop, id, _ in
      answer.withUnsafeBytes { #expect(loop.send(id, copying: $0)) }
    }
    let (peer, id) = try driver.client(receiveBuffer: 4_096)
    peer.write([1])
    peer.shutWriting()
    #expect(driver.readToEnd(peer) == answer)
    #expect(driver.reason(id) == .peerClosed)
    #expect(driver.pump { driver.loop.connectionCount == 0 })
    #expect(driver.ended.count == 1)
  }

  @Test("A peer that closed its side and takes nothing is cut off in time", arguments: backends)
  func halfCloseBounded(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) {
      $0.lingerMilliseconds = 50
      $0.outputBytes = 16 << 20
    }
    let (peer, id) = try driver.client(receiveBuffer: 4_096)
    #expect(driver.send(id, pattern(6 << 20)))
    peer.shutWriting()
    #expect(driver.pump { driver.reason(id) == .peerClosed && driver.loop.connectionCount == 0 })
    #expect(driver.loop.outputBytes == 0)
  }

  @Test("After close nothing is told, and the id stays dead when its slot lives again", arguments: backends)
  func closeThenReuse(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let (first, old) = try driver.client()
    driver.loop.close(old)
    #expect(!driver.send(old, [1]))
    #expect(driver.loop.queuedBytes(old) == 0)
    first.write(pattern(100))
    #expect(driver.pump { driver.loop.connectionCount == 0 })
    let (second, new) = try driver.client()
    #expect(new.slot == old.slot && new.generation != old.generation)
    // Everything that can be done with the old id leaves the new connection alone.
    driver.loop.close(old)
    driver.loop.finish(old)
    driver.loop.pauseReading(old)
    #expect(!driver.send(old, [1]) && driver.loop.reserve(old, 1) == nil)
    second.write(pattern(50))
    #expect(driver.pump { driver.received[new] == pattern(50) })
    #expect(driver.ended.isEmpty && driver.received[old] == nil)
  }

  @Test("What had arrived for a connection that is closed in the same turn is not told", arguments: backends)
  func staleCompletions(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let pairs = try (0..<10).map { _ in try driver.client() }
    var heard: [ConnectionID] = []
    driver.onReceive = { loop, id, _ in
      // The first to speak closes all the others, whose bytes wait in the same turn.
      if heard.isEmpty { for pair in pairs where pair.id != id { loop.close(pair.id) } }
      heard.append(id)
    }
    for pair in pairs { pair.peer.write(pattern(10)) }
    #expect(driver.pump { driver.loop.connectionCount == 1 })
    driver.pump(milliseconds: 20)
    #expect(heard.count == 1)
    #expect(driver.ended.isEmpty)
    // Slots are used again while the closed ones' completions are on their way.
    let again = try (0..<9).map { _ in try driver.client() }
    #expect(Set(again.map(\.id)).isDisjoint(with: Set(pairs.map(\.id))))
    for pair in again { pair.peer.write([7]) }
    #expect(driver.pump { heard.count == 10 })
  }

  @Test("Closing with output under way frees its buffers", arguments: backends)
  func closeWhileSending(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) { $0.outputBytes = 16 << 20 }
    let (peer, id) = try driver.client(receiveBuffer: 4_096)
    #expect(driver.send(id, pattern(8 << 20)))
    driver.turn()
    driver.turn()
    #expect(driver.loop.outputBytes > 0)
    driver.loop.close(id)
    #expect(driver.pump { driver.loop.connectionCount == 0 })
    #expect(driver.loop.outputBytes == 0 && driver.ended.isEmpty)
    peer.close()
  }

  @Test("An aborted connection is reset, and what the kernel held of it does not follow", arguments: backends)
  func abort(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) { $0.outputBytes = 16 << 20 }
    let (peer, id) = try driver.client(receiveBuffer: 4_096)
    #expect(driver.send(id, pattern(6 << 20)))
    driver.pump(milliseconds: 20)
    let withKernel = 6 << 20 - driver.loop.queuedBytes(id)
    driver.loop.abort(id)
    #expect(!driver.send(id, [1]))
    #expect(driver.pump { driver.loop.connectionCount == 0 })
    #expect(driver.loop.outputBytes == 0 && driver.ended.isEmpty)
    // What had reached him before is his; the socket buffer's rest is gone.
    #expect(driver.readToReset(peer).map { $0 < withKernel } == true)
    driver.loop.abort(id)
  }

  @Test("What a peer that closed its side is still owed can be aborted too", arguments: backends)
  func abortAfterEnd(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) {
      $0.outputBytes = 16 << 20
      $0.lingerMilliseconds = 60_000
    }
    let (peer, id) = try driver.client(receiveBuffer: 4_096)
    #expect(driver.send(id, pattern(6 << 20)))
    peer.shutWriting()
    #expect(driver.pump { driver.reason(id) == .peerClosed })
    #expect(driver.loop.connectionCount == 1)
    driver.loop.abort(id)
    #expect(driver.pump { driver.loop.connectionCount == 0 })
    #expect(driver.readToReset(peer).map { $0 < 6 << 20 } == true)
    #expect(driver.ended.count == 1)
  }

  @Test("Last words reach a peer that still talks, and then the end of the stream", arguments: backends)
  func finishDeliversLastWords(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let words = pattern(300_000)
    driver.onReceive = { loop, id, _ in
      words.withUnsafeBytes { #expect(loop.send(id, copying: $0)) }
      loop.finish(id)
    }
    let (peer, id) = try driver.client()
    // A close with these bytes unread would be a reset, which destroys what the peer has not read.
    #expect(driver.write(peer, pattern(100_000)))
    #expect(driver.readToEnd(peer) == words)
    #expect(!driver.send(id, [1]))
    peer.close()
    #expect(driver.pump { driver.loop.connectionCount == 0 })
    #expect(driver.ended.isEmpty)
  }

  @Test("A finished peer that does not close is cut off in time", arguments: backends)
  func finishBoundedInTime(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let (peer, id) = try driver.client()
    driver.loop.finish(id, lingerMilliseconds: 50)
    #expect(driver.readToEnd(peer) == [])
    #expect(driver.loop.connectionCount == 1)
    #expect(driver.pump { driver.loop.connectionCount == 0 })
    #expect(driver.ended.isEmpty)
  }

  @Test("A finished peer that talks on and on is cut off", arguments: backends)
  func finishBoundedInBytes(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) { $0.lingerBytes = 10_000 }
    let (peer, id) = try driver.client()
    driver.loop.finish(id, lingerMilliseconds: 60_000)
    driver.turn()
    #expect(
      driver.pump {
        peer.write(pattern(1_000))
        return driver.loop.connectionCount == 0
      })
    #expect(driver.ended.isEmpty)
  }

  @Test("A peer that takes nothing ends by the write time-out", arguments: backends)
  func writeTimeout(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) {
      $0.writeTimeoutMilliseconds = 100
      $0.outputBytes = 16 << 20
    }
    let (peer, id) = try driver.client(receiveBuffer: 4_096)
    #expect(driver.send(id, pattern(6 << 20)))
    #expect(driver.pump { driver.reason(id) == .writeTimeout })
    #expect(driver.loop.statistics.writeTimeouts == 1)
    #expect(driver.pump { driver.loop.connectionCount == 0 })
    #expect(driver.loop.outputBytes == 0 && driver.ended.count == 1)
    peer.close()
  }

  @Test("A slow reader that goes on taking is not cut off", arguments: backends)
  func slowReaderLives(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) {
      $0.writeTimeoutMilliseconds = 200
      $0.outputBytes = 32 << 20
    }
    let (peer, id) = try driver.client(receiveBuffer: 16_384)
    #expect(driver.send(id, pattern(9 << 20)))
    let end = now() + 600
    while now() < end {
      driver.pump(milliseconds: 10)
      _ = peer.readOnce(8_192)
    }
    #expect(driver.loop.queuedBytes(id) > 0)
    #expect(driver.ended.isEmpty && driver.loop.statistics.writeTimeouts == 0)
  }

  @Test("A loop that is shut down closes what it has", arguments: backends)
  func shutdown(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let (peer, id) = try driver.client(receiveBuffer: 4_096)
    #expect(driver.send(id, pattern(900_000)))
    driver.turn()
    driver.loop.shutdown()
    let end = now() + 10_000
    var over = false
    while !over, now() < end {
      if let bytes = peer.readOnce() { over = bytes.isEmpty } else { over = peer.readError == 104 }
    }
    #expect(over)
    #expect(throws: LoopError.self) {
      try ListeningSocket.open(address: "999.0.0.1", port: 0, reusePort: false)
    }
    // The port is free again.
    _ = try ListeningSocket.claim(address: "127.0.0.1", port: driver.listener.port)
  }
}
