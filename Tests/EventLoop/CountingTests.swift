import CAllocations
import EventLoop
import Glibc
import Testing

#if DEBUG
  private let isOptimised = false
#else
  private let isOptimised = true
#endif

/// In the steady state a frame costs no allocation and no reference count (DESIGN, section 10). Only the
/// optimised code is held to that: `swift test -c release -Xswiftc -enable-testing --filter CountingTests`
/// (`-enable-testing` for what other tests of the package import).
@Suite(
  "A frame costs no allocation and no reference count",
  .enabled(if: isOptimised && fc_counting_works(), "counted in release builds without sanitizers"),
  .serialized)
struct CountingTests {
  static let rounds = 500

  @Test("The counters count", arguments: [1, 7])
  func counters(_ objects: Int) {
    final class Thing { var number = 0 }
    let before = Counts.now
    var things: [Thing] = []
    for _ in 0..<objects { things.append(Thing()) }
    #expect(things.count == objects)
    #expect((Counts.now - before).allocations >= objects)
    let middle = Counts.now
    keep(things[0])
    #expect((Counts.now - middle).references > 0)
  }

  @Test("An echo of small and of large frames", arguments: backends)
  func echo(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let (peer, id) = try driver.client()
    let descriptor = peer.descriptor
    let bench = Bench(bytes: 20_000)
    for size in [64, 1_500, 20_000] {
      let cost = bench.cost(driver.loop) { bench.echo($0, id, descriptor, size) }
      #expect(cost == Counts(), "\(size) bytes")
    }
    bench.end()
  }

  @Test("A hundred connections that speak in the same turn", arguments: backends)
  func manyConnections(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) { $0.connections = 200 }
    let pairs = try (0..<100).map { _ in try driver.client() }
    let bench = Bench(bytes: 1_000)
    bench.take(pairs.map { ($0.id, $0.peer.descriptor) })
    #expect(bench.cost(driver.loop, rounds: 50) { bench.echoAll($0, 200) } == Counts())
    bench.end()
  }

  @Test("A shared buffer that is fanned out, alone and behind other output", arguments: backends)
  func fanOut(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let pairs = try (0..<50).map { _ in try driver.client() }
    let bench = Bench(bytes: 100_000)
    bench.take(pairs.map { ($0.id, $0.peer.descriptor) })
    for size in [200, 4_000] {
      #expect(
        bench.cost(driver.loop, rounds: 50) { bench.fanOut($0, size, behind: 0) } == Counts(), "\(size) bytes"
      )
      #expect(
        bench.cost(driver.loop, rounds: 50) { bench.fanOut($0, size, behind: 10) } == Counts(),
        "\(size) behind 10")
    }
    bench.end()
  }

  @Test("What is lent counts its owner once, and no copy", arguments: backends)
  func lending(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let pairs = try (0..<50).map { _ in try driver.client() }
    let bench = Bench(bytes: 100_000)
    bench.take(pairs.map { ($0.id, $0.peer.descriptor) })
    final class Owner {}
    let owner = Owner()
    let rounds = 50
    for behind in [0, 10] {
      let cost = bench.cost(driver.loop, rounds: rounds) { bench.lend($0, 4_000, behind: behind, owner) }
      #expect(cost.allocations == 0 && cost.frees == 0)
      // One of each for an event that 50 get, and as many again for its way through this test.
      #expect(cost.references >= 2 * rounds && cost.references <= 4 * rounds, "\(cost) behind \(behind)")
    }
    bench.end()
  }

  @Test("Timers that are set, taken back and told", arguments: backends)
  func timers(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend) { $0.timerGranularityMilliseconds = 1 }
    let bench = Bench(bytes: 1)
    #expect(bench.cost(driver.loop) { bench.timers($0) } == Counts())
    bench.end()
  }

  @Test("Messages through a mailbox allocate nothing", arguments: backends)
  func mailbox(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let mailbox = try Mailbox<UInt64>(capacity: 100)
    try driver.loop.watch(mailbox)
    var messages: [UInt64] = []
    let bench = Bench(bytes: 1)
    let cost = bench.cost(driver.loop) { loop in
      for number in 0..<UInt64(50) { _ = mailbox.post(number) }
      bench.mail(loop)
      mailbox.drain(into: &messages)
    }
    #expect(cost.allocations == 0)
    #expect(messages.count == 50)
    bench.end()
  }
}

/// What a thread has cost so far.
private struct Counts: Equatable, CustomStringConvertible {
  var allocations = 0
  var frees = 0
  var references = 0

  @inline(never)
  static var now: Counts {
    Counts(
      allocations: Int(fc_allocations()), frees: Int(fc_frees()),
      references: Int(fc_retains() + fc_releases()))
  }

  static func - (a: Counts, b: Counts) -> Counts {
    Counts(
      allocations: a.allocations - b.allocations, frees: a.frees - b.frees,
      references: a.references - b.references)
  }

  var description: String {
    "\(allocations) allocations, \(frees) frees, \(references) retains and releases"
  }
}

@inline(never)
private func keep(_ object: AnyObject) { kept = object }
private nonisolated(unsafe) var kept: AnyObject?

/// Exchanges over plain sockets that themselves cost neither allocation nor reference count, driven by the
/// thread of the loop.
private struct Bench {
  let buffer: UnsafeMutableRawBufferPointer
  let ids: UnsafeMutableBufferPointer<(ConnectionID, Int32)>
  let used: UnsafeMutablePointer<Int>

  init(bytes: Int) {
    buffer = .allocate(byteCount: bytes, alignment: 16)
    buffer.initializeMemory(as: UInt8.self, repeating: 7)
    ids = .allocate(capacity: 200)
    used = .allocate(capacity: 1)
    used.initialize(to: 0)
  }

  func end() {
    buffer.deallocate()
    ids.deallocate()
    used.deallocate()
  }

  func take(_ pairs: [(ConnectionID, Int32)]) {
    for (index, pair) in pairs.enumerated() { ids[index] = pair }
    used.pointee = pairs.count
  }

  /// What `rounds` of `body` cost, when it ran often enough that pools are full.
  func cost(
    _ loop: EventLoop, rounds: Int = CountingTests.rounds, _ body: (EventLoop) -> Void
  ) -> Counts {
    for _ in 0..<50 { body(loop) }
    let before = Counts.now
    for _ in 0..<rounds { body(loop) }
    return Counts.now - before
  }

  /// Turns once and answers all that came with the same.
  @inline(never)
  private func turn(_ loop: EventLoop) {
    loop.turn(waitAtMostMilliseconds: 1)
    while let event = loop.next() {
      if case .received(let id, let bytes) = event {
        loop.send(id, copying: UnsafeRawBufferPointer(bytes))
      }
    }
  }

  private func write(_ loop: EventLoop, _ descriptor: Int32, _ size: Int) {
    var written = 0
    while written < size {
      let count = Glibc.send(descriptor, buffer.baseAddress! + written, size - written, 0)
      if count > 0 { written += count } else { turn(loop) }
    }
  }

  private func read(_ loop: EventLoop, _ descriptor: Int32, _ size: Int) {
    var got = 0
    while got < size {
      let count = recv(descriptor, buffer.baseAddress!, min(buffer.count, size - got), 0)
      if count > 0 { got += count } else { turn(loop) }
    }
  }

  func echo(_ loop: EventLoop, _ id: ConnectionID, _ descriptor: Int32, _ size: Int) {
    write(loop, descriptor, size)
    read(loop, descriptor, size)
  }

  func echoAll(_ loop: EventLoop, _ size: Int) {
    for index in 0..<used.pointee { write(loop, ids[index].1, size) }
    for index in 0..<used.pointee { read(loop, ids[index].1, size) }
  }

  func fanOut(_ loop: EventLoop, _ size: Int, behind: Int) {
    guard let shared = loop.makeShared(size) else { preconditionFailure("the bound is far") }
    shared.bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[..<size]))
    fanOut(loop, shared, behind: behind)
  }

  /// As `fanOut`, right out of the end of the buffer, which nothing is read into.
  func lend(_ loop: EventLoop, _ size: Int, behind: Int, _ owner: AnyObject) {
    let lent = UnsafeRawBufferPointer(rebasing: buffer[(buffer.count - size)...])
    guard let shared = loop.lend(lent, keptBy: owner) else { preconditionFailure("the bound is far") }
    fanOut(loop, shared, behind: behind)
  }

  private func fanOut(_ loop: EventLoop, _ shared: SharedBuffer, behind: Int) {
    let size = shared.bytes.count
    for index in 0..<used.pointee {
      if behind > 0, let room = loop.reserve(ids[index].0, behind) {
        room.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[..<behind]))
        loop.commit(ids[index].0, behind)
      }
      loop.send(ids[index].0, shared: shared)
    }
    loop.release(shared)
    for index in 0..<used.pointee { read(loop, ids[index].1, size + behind) }
  }

  func timers(_ loop: EventLoop) {
    for delay in 0..<Int64(8) {
      let timer = loop.schedule(afterMilliseconds: delay * 1_000, tag: 1)
      if delay > 0, let timer { loop.cancel(timer) }
    }
    var told = false
    while !told {
      loop.turn(waitAtMostMilliseconds: 1)
      while let event = loop.next() { if case .timer = event { told = true } }
    }
  }

  func mail(_ loop: EventLoop) {
    var told = false
    while !told {
      loop.turn(waitAtMostMilliseconds: 1)
      while let event = loop.next() { if case .mail = event { told = true } }
    }
  }
}
