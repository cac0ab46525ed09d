import Chat

/// One simulated device and its connections.
final class ClientHost {
  let client: SimulatedClient
  private let index: Int
  private unowned let cluster: Cluster
  private let engine: Engine
  private var links: [Int: ClientLink] = [:]
  private var scheduledFor: Tick = .max
  /// Milliseconds for which a server does not notice that nobody answers any more.
  private static let unnoticedMilliseconds: Tick = 35_000

  init(_ client: SimulatedClient, index: Int, cluster: Cluster) {
    self.client = client
    self.index = index
    self.cluster = cluster
    engine = cluster.engine
    schedule()
  }

  /// The newest connection, where it is open.
  var link: ClientLink? { links[client.connection].flatMap { $0.isOpen ? $0 : nil } }

  func settle() {
    cluster.checks.tick(engine.now)
    client.settle(at: engine.now)
    perform()
  }

  private func input(_ body: (SimulatedClient) -> Void) {
    cluster.checks.tick(engine.now)
    body(client)
    perform()
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

  private func perform() {
    let outputs = client.outbox
    client.outbox.removeAll(keepingCapacity: true)
    for output in outputs {
      switch output {
      case .connect(let number, let instance): connect(number, to: instance)
      case .send(let number, let text):
        cluster.countOperation()
        engine.note("\(name) > \(String(decoding: text, as: UTF8.self))")
        links[number]?.toServer(text)
      case .close(let number):
        engine.note("\(name) closes \(number)")
        links.removeValue(forKey: number)?.closeByClient()
      case .abandon(let number):
        engine.note("\(name) abandons \(number)")
        links.removeValue(forKey: number)?.abandon(noticedAfter: Self.unnoticedMilliseconds)
      }
    }
    schedule()
  }

  private func connect(_ number: Int, to instance: Int?) {
    let server = cluster.servers[instance ?? engine.random.below(cluster.servers.count)]
    engine.note("\(name) connects to \(server.name) as \(number)")
    engine.after(engine.random.latency(1, 60)) { [self] in
      guard let process = server.process, process.isListening else { return refused(number) }
      let shard = process.shards[engine.random.below(process.shards.count)]
      shard.thread.run { [self] in accepted(number, shard) }
    }
  }

  private func refused(_ number: Int) {
    engine.after(engine.random.latency(1, 60)) { [self] in
      input { $0.closed(number, code: 1006, retry: 0, now: engine.now) }
    }
  }

  private func accepted(_ number: Int, _ shard: ShardHost) {
    let process = shard.process
    var hello = 0
    let link = shard.accept(
      client: index,
      arrived: { [self] bytes in
        engine.note("\(name) < \(String(decoding: bytes, as: UTF8.self))")
        engine.fold(Int64(index) << 32 | Int64(bytes.count))
        input { client in bytes.withUnsafeBytes { client.received(number, frame: $0, now: engine.now) } }
      },
      ended: { [self, unowned process] code in
        links[number] = nil
        engine.note("\(name) is closed with \(code)")
        engine.coverage.count(.closed)
        let isNewest = number == client.connection
        cluster.checks.tick(engine.now)
        if code != 1006 {
          cluster.checks.serverClosed(
            name, code: code, wasWelcomed: isNewest && (client.phase == .open || client.phase == .live),
            hasNewerSession: client.hellos > hello || client.mayBeOvertaken,
            trouble: cluster.trouble(of: process))
        }
        input { $0.closed(number, code: code, retry: 0, now: engine.now) }
      })
    links[number] = link
    engine.after(engine.random.latency(1, 60)) { [self] in
      guard number == client.connection else {
        // The client has gone elsewhere meanwhile.
        if links[number] === link { links[number] = nil }
        return link.closeByClient()
      }
      guard link.isOpen else { return refused(number) }
      input { $0.opened(number, now: engine.now) }
      hello = client.hellos
    }
  }

  /// The client says something in a chat, if it is online.
  func say(in chat: Int) { input { $0.say(in: chat, now: engine.now) } }

  /// The client leaves a room, if it is online.
  func leave(room: Int) { input { $0.leave(room: room, now: engine.now) } }

  /// The network breaks the connection: the client hears of it at once, the server a little later.
  func cut(comesBackAfter milliseconds: Tick? = nil) {
    guard let link, link === links[client.connection] else { return }
    let number = client.connection
    engine.coverage.count(.cut)
    engine.note("\(name) is cut off")
    links[number] = nil
    link.closeByClient()
    input {
      $0.closed(number, code: 1006, retry: 0, now: engine.now)
      if let milliseconds { $0.comeBack(after: milliseconds) }
    }
  }

  var name: String { "\(client.user)/\(client.device)" }

  func end() { links.removeAll() }
}
