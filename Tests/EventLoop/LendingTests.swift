import EventLoop
import Testing

@Suite("Bytes that are lent")
struct LendingTests {
  /// Who keeps the bytes, and says when he goes.
  private final class Owner {
    let bytes: UnsafeRawBufferPointer
    let living: Living

    init(_ content: [UInt8], _ living: Living) {
      let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: content.count, alignment: 1)
      copy.copyBytes(from: content)
      bytes = UnsafeRawBufferPointer(copy)
      self.living = living
      living.count += 1
    }

    deinit {
      // What is read after this is seen as something else.
      UnsafeMutableRawBufferPointer(mutating: bytes).initializeMemory(as: UInt8.self, repeating: 0xEE)
      bytes.deallocate()
      living.count -= 1
    }
  }

  private final class Living { var count = 0 }

  /// Lends `content` to the connections, so that nobody but the loop holds it.
  private func lend(
    _ content: [UInt8], to ids: [ConnectionID], _ loop: EventLoop, _ living: Living
  ) throws {
    let owner = Owner(content, living)
    let shared = try #require(loop.lend(owner.bytes, keptBy: owner))
    #expect(
      UnsafeRawPointer(shared.bytes.baseAddress) == owner.bytes.baseAddress
        && shared.bytes.count == content.count)
    for id in ids { #expect(loop.send(id, shared: shared)) }
    loop.release(shared)
  }

  @Test("They arrive whole, and are let go after the last send", arguments: backends)
  func everybodyGetsThem(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let pairs = try (0..<20).map { _ in try driver.client() }
    let living = Living()
    for size in [1, 200, 5_000, 100_000] {
      // Alone, behind other output, and two of them in a row.
      for pair in pairs.prefix(10) { #expect(driver.send(pair.id, pattern(30, seed: 3))) }
      for seed in 1...2 {
        try lend(pattern(size, seed: seed), to: pairs.map(\.id), driver.loop, living)
      }
      for (index, pair) in pairs.enumerated() {
        let before = index < 10 ? pattern(30, seed: 3) : []
        let wanted = before + pattern(size, seed: 1) + pattern(size, seed: 2)
        #expect(driver.read(pair.peer, count: wanted.count) == wanted)
      }
      #expect(driver.pump { living.count == 0 && driver.loop.outputBytes == 0 })
    }
  }

  @Test("A slow socket holds them until it has them all", arguments: backends)
  func slowSocket(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) { $0.outputBytes = 32 << 20 }
    let fast = try driver.client()
    let slow = try driver.client(receiveBuffer: 4_096)
    let living = Living()
    let content = pattern(7 << 20)
    try lend(content, to: [fast.id, slow.id], driver.loop, living)
    // Of what is lent the loop holds no copy; a socket's queue counts it all the same.
    #expect(driver.loop.outputBytes < 4_096 && driver.loop.queuedBytes(slow.id) == content.count)
    #expect(driver.read(fast.peer, count: content.count) == content)
    driver.pump(milliseconds: 30)
    #expect(living.count == 1 && driver.loop.queuedBytes(slow.id) > 0)
    #expect(driver.read(slow.peer, count: content.count) == content)
    #expect(driver.pump { living.count == 0 })
  }

  @Test("The end of a slow socket lets them go", arguments: backends)
  func endOfASlowSocket(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) { $0.outputBytes = 32 << 20 }
    let slow = try driver.client(receiveBuffer: 4_096)
    let living = Living()
    for seed in 1...3 { try lend(pattern(5 << 20, seed: seed), to: [slow.id], driver.loop, living) }
    driver.pump(milliseconds: 30)
    #expect(living.count >= 2)
    slow.peer.close()
    #expect(driver.pump { living.count == 0 && driver.loop.outputBytes == 0 })
  }

  @Test("The end of the loop lets them go", arguments: backends)
  func endOfTheLoop(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) { $0.outputBytes = 32 << 20 }
    let slow = try driver.client(receiveBuffer: 4_096)
    let living = Living()
    for seed in 1...3 { try lend(pattern(5 << 20, seed: seed), to: [slow.id], driver.loop, living) }
    driver.pump(milliseconds: 30)
    #expect(living.count >= 2)
    driver.loop.shutdown()
    #expect(living.count == 0)
  }

  @Test("At the loop's bound nothing is lent, and nothing held", arguments: backends)
  func bound(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) {
      $0.outputBytes = 64 << 10
      $0.lowWaterBytes = 1_000
      $0.totalOutputBytes = 64 << 10
    }
    let living = Living()
    let all = try #require(driver.loop.makeShared(60_000))
    do {
      let owner = Owner(pattern(5_000), living)
      #expect(driver.loop.lend(owner.bytes, keptBy: owner) == nil)
    }
    #expect(living.count == 0)
    driver.loop.release(all)
  }
}
