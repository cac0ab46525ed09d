import Chat

/// A simulated device and its connections to a server that stands alone.
final class EmbeddedClient {
  let client: SimulatedClient
  private unowned let run: EmbeddedRun
  private let engine: Engine
  private var links: [Int: EmbeddedLink] = [:]
  private var scheduledFor: Tick = .max

  static let unnoticedMilliseconds: Tick = 35_000

  init(_ client: SimulatedClient, run: EmbeddedRun) {
    self.client = client
    self.run = run
    engine = run.engine
    schedule()
  }

  private var name: String { "\(client.user)/\(client.device)" }

  func settle() { input { $0.settle(at: engine.now) } }

  func end() { links = [:] }

  private func input(_ body: (SimulatedClient) -> Void) {
    run.checks.tick(engine.now)
    body(client)
    let outputs = client.outbox
    client.outbox.removeAll(keepingCapacity: true)
    for output in outputs { perform(output) }
    schedule()
  }

  private func schedule() {
    let at = max(client.wakeAt, engine.now + 1)
    guard at < scheduledFor else { return }
    scheduledFor = at
    engine.after(at - engine.now) { [self] in
      guard scheduledFor == at else { return }
      scheduledFor = .max
      if client.wakeAt <= engine.now { input { $0.step(now: engine.now) } } else { schedule() }
    }
  }

  private func perform(_ output: SimulatedClient.Output) {
    switch output {
    case .connect(let number, _):
      engine.note("\(name) connects as \(number)")
      engine.after(engine.random.latency(1, 60)) { [self] in accepted(number) }
    case .send(let number, let text):
      engine.note("\(name) > \(String(decoding: text, as: UTF8.self))")
      links[number]?.toServer(text)
    case .close(let number):
      engine.note("\(name) closes \(number)")
      links.removeValue(forKey: number)?.cut(unnoticedFor: 0)
    case .abandon(let number):
      engine.note("\(name) abandons \(number)")
      run.coverage.count(.cut)
      links.removeValue(forKey: number)?.cut(unnoticedFor: Self.unnoticedMilliseconds)
    }
  }

  private func accepted(_ number: Int) {
    guard let shard = run.listeningShard else {
      return engine.after(engine.random.latency(1, 60)) { [self] in
        input { $0.closed(number, code: 1006, retry: 0, now: engine.now) }
      }
    }
    var hello = 0
    let link = shard.accept(
      arrived: { [self] bytes in
        engine.note("\(name) < \(String(decoding: bytes, as: UTF8.self))")
        engine.fold(Int64(bytes.count))
        input { client in bytes.withUnsafeBytes { client.received(number, frame: $0, now: engine.now) } }
      },
      ended: { [self] code, retry in
        links[number] = nil
        engine.note("\(name) is closed with \(code)")
        check(code, of: number, hasNewerSession: client.hellos > hello || client.mayBeOvertaken)
        input { $0.closed(number, code: code, retry: Int64(retry), now: engine.now) }
      })
    links[number] = link
    engine.after(engine.random.latency(1, 60)) { [self] in
      guard number == client.connection, client.phase == .connecting else {
        // The device has gone elsewhere meanwhile.
        links.removeValue(forKey: number)?.cut(unnoticedFor: 0)
        return
      }
      guard link.isOpen else { return input { $0.closed(number, code: 1006, retry: 0, now: engine.now) } }
      input { $0.opened(number, now: engine.now) }
      hello = client.hellos
    }
  }

  private func check(_ code: UInt16, of number: Int, hasNewerSession: Bool) {
    guard code != 1006, number == client.connection else { return }
    let ails =
      run.faults.contains(.shardStall) || run.faults.contains(.failedRead) || run.faults.contains(.slowReader)
    run.checks.serverClosed(
      name, code: code, wasWelcomed: client.phase == .open || client.phase == .live,
      hasNewerSession: hasNewerSession, trouble: ails ? .frozen : [])
  }
}
