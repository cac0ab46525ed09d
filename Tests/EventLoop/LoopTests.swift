import EventLoop
import Glibc
import Testing

@Suite("The loop itself")
struct LoopTests {
  @Test("The hot part of a connection is one cache line")
  func connectionSize() { #expect(ConnectionTable.connectionBytes == 64) }

  @Test("An id keeps its slot and generation, also through its raw form")
  func identity() {
    let id = ConnectionID(slot: 0xFF_FFFF, generation: .max)
    #expect(id.slot == 0xFF_FFFF && id.generation == .max)
    #expect(ConnectionID(raw: id.raw) == id)
    #expect(ConnectionID(slot: 1, generation: 2) != ConnectionID(slot: 1, generation: 3))
  }

  @Test("Time is read once a turn: it stands within one, and never goes back", arguments: backends)
  func clock(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let before = driver.loop.tick
    usleep(5_000)
    #expect(driver.loop.tick == before)
    driver.turn(waitAtMostMilliseconds: 0)
    #expect(driver.loop.tick >= before + 5)
    let difference = driver.loop.wallTime - Int64(time(nil)) * 1_000
    #expect((-1_500...2_500).contains(difference))
    let offset = driver.loop.wallTime - driver.loop.tick
    driver.turn(waitAtMostMilliseconds: 0)
    #expect(abs(driver.loop.wallTime - driver.loop.tick - offset) <= 1)
  }

  @Test("A wait ends when its time is over, and zero does not wait", arguments: backends)
  func waits(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let start = now()
    // A signal may cut one short.
    var waits = 0
    while now() - start < 39 {
      driver.turn(waitAtMostMilliseconds: Int(start + 40 - now()))
      waits += 1
    }
    #expect(waits < 10)
    let turns = driver.loop.statistics.turns
    driver.turn(waitAtMostMilliseconds: 0)
    #expect(driver.loop.statistics.turns == turns + 1)
  }

  @Test("An idle turn costs one system call, a busy one of io_uring too", arguments: backends)
  func callsOfATurn(_ backend: BackendKind) throws {
    let driver = try LoopDriver(backend)
    let pairs = try (0..<10).map { _ in try driver.client() }
    driver.turn()
    let before = driver.loop.statistics
    driver.turn(waitAtMostMilliseconds: 1)
    for pair in pairs { #expect(driver.send(pair.id, pattern(10))) }
    driver.turn(waitAtMostMilliseconds: 1)
    let after = driver.loop.statistics
    #expect(after.submits - before.submits == 2)
    #expect(after.writes - before.writes == 10)
    #expect(after.bytesWritten - before.bytesWritten == 100)
  }

  @Test("Bounds that contradict each other are refused, by name")
  func configuration() {
    func refused(_ adjust: (inout LoopConfiguration) -> Void) -> String? {
      var configuration = LoopConfiguration()
      configuration.backend = .epoll
      adjust(&configuration)
      do {
        try EventLoop(configuration, report: report).shutdown()
        return nil
      } catch { return error.description }
    }
    #expect(refused { _ in } == nil)
    #expect(refused { $0.connections = 1 << 24 }?.contains("connections") == true)
    #expect(refused { $0.lowWaterBytes = $0.outputBytes }?.contains("lowWaterBytes") == true)
    #expect(refused { $0.totalOutputBytes = 10 }?.contains("totalOutputBytes") == true)
    #expect(refused { $0.receiveBuffers = 100 }?.contains("receiveBuffers") == true)
    #expect(refused { $0.timerGranularityMilliseconds = 11 }?.contains("timerGranularity") == true)
    #expect(refused { $0.completionEntries = 100 }?.contains("completionEntries") == true)
  }
}

@Suite("Which backend")
struct BackendChoiceTests {
  private func complete(without missing: BackendReport.Feature? = nil) -> BackendReport {
    var report = BackendReport()
    for feature in BackendReport.Feature.allCases { report.note(feature, feature == missing ? -ENOSYS : 0) }
    return report
  }

  @Test("With everything there io_uring is taken; a missing saving is only told")
  func present() throws {
    #expect(try complete().backend(for: .automatic) == .ioUring)
    #expect(try complete().backend(for: .epoll) == .epoll)
    let plain = complete(without: .deferredTaskRun)
    #expect(try plain.backend(for: .automatic) == .ioUring)
    #expect(plain.description.contains("without DEFER_TASKRUN"))
  }

  @Test(
    "Without a required feature epoll is taken, and forcing io_uring is an error that names it",
    arguments: BackendReport.Feature.allCases.filter(\.isRequired))
  func missing(_ feature: BackendReport.Feature) throws {
    let report = complete(without: feature)
    #expect(try report.backend(for: .automatic) == .epoll)
    #expect(report.backends == [.epoll])
    #expect(report.description.contains(feature.rawValue))
    let error = #expect(throws: LoopError.self) { try report.backend(for: .ioUring) }
    #expect(error?.description.contains(feature.rawValue) == true)
    var configuration = LoopConfiguration()
    configuration.connections = 8
    let loop = try EventLoop(configuration, report: report)
    #expect(loop.backend == .epoll)
    loop.shutdown()
  }

  @Test("io_uring serves without the features that only save time")
  func withoutSavings() throws {
    try #require(report.supportsIOUring)
    var bare = BackendReport()
    for feature in BackendReport.Feature.allCases { bare.note(feature, feature.isRequired ? 0 : -EINVAL) }
    var configuration = LoopConfiguration()
    configuration.backend = .ioUring
    let loop = try EventLoop(configuration, report: bare)
    let listener = try ListeningSocket.open(address: "127.0.0.1", port: 0, reusePort: false)
    try loop.add(listener: listener)
    let peer = try Peer(port: listener.port)
    peer.write([5])
    var got: [UInt8] = []
    let end = now() + 10_000
    while got.isEmpty, now() < end {
      loop.turn(waitAtMostMilliseconds: 10)
      while let event = loop.next() { if case .received(_, let bytes) = event { got += bytes } }
    }
    #expect(got == [5])
    loop.shutdown()
  }

  @Test("Every required feature that the kernel has is found by trying it")
  func probe() {
    #expect(
      report.present.count + report.missing.count == BackendReport.Feature.allCases.count
        || !report.present.contains(.ring))
    #expect(report.backends.contains(.epoll))
  }
}
