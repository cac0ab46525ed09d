import Chat
import JSON

/// The loop of one shard: the edge as it is, a mailbox with a bound, and its connections.
final class ShardHost {
  static let deadlineMilliseconds: Tick = 100
  static let idleMilliseconds: Tick = 1_000
  /// The server's bound on bytes that wait for the log.
  static let appendBytes = 1 << 20

  let index: Int
  let edge: Edge
  let thread = SimulatedThread()
  unowned let process: ServerProcess
  let engine: Engine
  private var mailbox: [Mail] = []
  private let mailboxMax: Int
  private var hasOverflowed = false
  private var replacedAtOverflow: [SessionID] = []
  private var sockets: [(link: ClientLink, event: SocketEvent)] = []
  private var resumed: [SessionID] = []
  private(set) var links: [ClientLink?] = []
  private var freeSlots: [Int] = []
  private var generation: UInt32 = 0
  private var isScheduled = false
  private var lastDeadlines: Tick = 0
  private var lastWork: Tick = 0
  private var counters = EdgeCounters()

  private enum SocketEvent {
    case opened
    case text([UInt8])
    case broken, drained
  }

  init(_ process: ServerProcess, index: Int, configuration: Edge.Configuration, mailboxMax: Int) {
    self.process = process
    self.index = index
    self.mailboxMax = mailboxMax
    engine = process.engine
    edge = Edge(configuration)
    tick()
  }

  // MARK: What wakes it

  func post(_ mail: Mail) {
    if mailbox.count >= mailboxMax, !mail.alwaysFits {
      hasOverflowed = true
    } else {
      mailbox.append(mail)
    }
    wake()
  }

  func arrived(_ bytes: [UInt8], on link: ClientLink) {
    guard link.isOpen else { return }
    sockets.append((link, .text(bytes)))
    wake()
  }

  func broken(_ link: ClientLink) {
    guard link.isOpen else { return }
    sockets.append((link, .broken))
    wake()
  }

  func drained(_ link: ClientLink) {
    guard link.isOpen else { return }
    sockets.append((link, .drained))
    wake()
  }

  /// A new connection; nil where there is no room.
  func accept(client: Int, arrived: @escaping ([UInt8]) -> Void, ended: @escaping (UInt16) -> Void)
    -> ClientLink
  {
    let slot = freeSlots.popLast() ?? links.count
    generation += 1
    let link = ClientLink(
      client: client, session: SessionID(shard: index, generation: generation, slot: slot), shard: self,
      engine: engine, arrived: arrived, ended: ended)
    if slot == links.count { links.append(link) } else { links[slot] = link }
    sockets.append((link, .opened))
    wake()
    return link
  }

  private func wake() {
    guard !isScheduled else { return }
    isScheduled = true
    engine.after(engine.random.between(0, 1)) { [self] in thread.run { [self] in turn() } }
  }

  /// Deadlines are looked at ten times a second while something is under way.
  private func tick() {
    let isBusy = engine.now - lastWork < 2_000
    engine.after(isBusy ? ShardHost.deadlineMilliseconds : ShardHost.idleMilliseconds) { [self] in
      guard !thread.isDead else { return }
      thread.run { [self] in
        turn()
        tick()
      }
    }
  }

  // MARK: The turn

  private func turn() {
    isScheduled = false
    edge.beginTurn(
      tick: process.tick, wall: process.wall,
      appendRoom: max(ShardHost.appendBytes - process.producer.waitingBytes, 0))
    settle()
    if hasOverflowed {
      hasOverflowed = false
      engine.coverage.count(.mailboxOverflows)
      if process.cluster.faults.contains(.mailboxFull) { engine.coverage.count(.mailboxFull) }
      edge.mailboxOverflowed()
      settle()
    }
    if !sockets.isEmpty || !mailbox.isEmpty { lastWork = engine.now }
    let events = sockets
    sockets.removeAll(keepingCapacity: true)
    for (link, event) in events { take(event, link) }
    let mail = mailbox
    mailbox.removeAll(keepingCapacity: true)
    for one in mail { take(one) }
    if engine.now - lastDeadlines >= ShardHost.deadlineMilliseconds {
      lastDeadlines = engine.now
      edge.checkDeadlines()
      settle()
      checkBounds()
    }
    readOn()
    edge.endTurn()
    settle()
    handOver()
    count()
  }

  /// I8
  private func checkBounds() {
    let checks = process.cluster.checks
    for (name, value, bound) in edge.occupancy {
      checks.bound("\(process.name)/\(index): \(name)", value, atMost: bound)
    }
    checks.bound(
      "\(process.name): bytes of appends", process.producer.waitingBytes, atMost: ShardHost.appendBytes)
  }

  private func take(_ event: SocketEvent, _ link: ClientLink) {
    guard link.isOpen else { return }
    switch event {
    case .opened: edge.opened(link.session)
    case .text(let bytes):
      if link.isPaused { return link.unread.append(bytes) }
      read(bytes, link)
    case .broken:
      edge.closed(link.session)
      forget(link)
    case .drained: edge.drained(link.session)
    }
    settle()
  }

  private func read(_ bytes: [UInt8], _ link: ClientLink) {
    bytes.withUnsafeBytes { edge.received(link.session, text: $0) }
    settle()
  }

  private func readOn() {
    while let id = resumed.popLast() {
      guard let link = links[id.slot], link.session == id else { continue }
      while link.isOpen, !link.isPaused, !link.unread.isEmpty { read(link.unread.removeFirst(), link) }
    }
  }

  private func take(_ mail: Mail) {
    switch mail {
    case .appended(let report): edge.appended(report)
    case .failed(let report): edge.failed(report)
    case .judged(let verdict): edge.judged(verdict)
    case .batch(let batch): edge.received(batch)
    case .ephemeral(let event): edge.received(event)
    case .answer(let answer): edge.received(answer)
    case .logEnded(let partition, let end): edge.logEnded(partition: partition, at: end)
    case .word(let word): take(word)
    }
    settle()
  }

  private func take(_ word: ShardWord) {
    switch word {
    case .registered(let session): edge.registered(session)
    case .replaced(let session):
      engine.coverage.count(.replaced)
      edge.replaced(session)
    case .roomRegistered(let chat): chat.withUnsafeBytes { edge.roomRegistered($0) }
    case .registrationDoubted: edge.registrationDoubted()
    case .registeredAgain(let epoch, let directories):
      edge.registeredAgain(epoch: epoch, directories: directories)
    case .inboxDoubted: edge.inboxDoubted()
    case .leaseHolds(let tick): edge.leaseHolds(until: tick)
    }
  }

  // MARK: Actions

  private func settle() {
    while true {
      var lost: [(SessionID, Int32)] = []
      for i in 0..<edge.actionCount { perform(edge.action(i), &lost) }
      edge.actionsPerformed()
      if !lost.isEmpty {
        for (session, delivery) in lost { edge.lost(session, delivery: delivery) }
      } else if edge.hasMore {
        edge.continueBatch()
      } else if edge.actionCount == 0 {
        return
      }
    }
  }

  private func perform(_ action: EdgeAction, _ lost: inout [(SessionID, Int32)]) {
    switch action {
    case .send(let id, let start, let count):
      links[id.slot]!.toClient(Array(edge.output(start: start, count: count)))
    case .deliver(let id, let index):
      let link = links[id.slot]!
      if link.isCongested {
        engine.coverage.count(.pullModes)
        lost.append((id, index))
      } else {
        link.toClient(Array(edge.delivery(index).json))
      }
    case .pause(let id): links[id.slot]!.isPaused = true
    case .resume(let id):
      links[id.slot]!.isPaused = false
      resumed.append(id)
    case .close(let id, let code, _, let reason):
      let link = links[id.slot]!
      engine.note("\(name): closes \(id.raw & 0xFF_FFFF) of client \(link.client): \(code) \(reason)")
      link.closeByServer(code)
      forget(link)
    case .attach(let id):
      let entry = SessionEntry(
        session: id, user: Array(edge.user(of: id)), device: Array(edge.device(of: id)))
      process.attach(entry)
    case .detach(let id): process.detach(id)
    case .listen(let start, let count):
      process.listen(Array(edge.output(start: start, count: count)), shard: index)
    case .viewChanged(let partition, let view): process.viewChanged(partition, view)
    case .unlisten(let start, let count):
      process.unlisten(Array(edge.output(start: start, count: count)), shard: index)
    case .askRegistration: process.registrationDoubted(shard: index)
    case .askLogEnd(let partition): process.askLogEnd(partition, shard: index)
    case .stop(let partition, let reason): process.stop(partition, reason)
    }
  }

  private func forget(_ link: ClientLink) {
    link.forget()
    links[link.session.slot] = nil
    freeSlots.append(link.session.slot)
  }

  private func handOver() {
    if edge.appendCount > 0 {
      process.producer.append(edge.appends.bytes)
      edge.appends.removeAll()
      edge.appendCount = 0
    }
    if !edge.queries.isEmpty {
      let queries = edge.queries
      edge.queries.removeAll()
      for query in queries { process.ask(query, shard: index) }
    }
    for event in edge.ephemerals { process.tell(event) }
    edge.ephemerals.removeAll()
    for mark in edge.reads { process.mark(mark) }
    edge.reads.removeAll()
  }

  private func count() {
    engine.coverage.count(.doubts, Int(edge.counters.doubts - counters.doubts))
    counters = edge.counters
  }

  var name: String { "\(process.name)/\(index)" }

  // MARK: The end

  func drain() {
    thread.run { [self] in
      edge.beginTurn(tick: process.tick, wall: process.wall, appendRoom: 0)
      settle()
      edge.drain(spreadMilliseconds: 1_000, seed: 1)
      settle()
    }
  }

  /// The process is gone: its sockets are closed by the kernel.
  func die() {
    thread.die()
    for link in links { link?.closeByServer(1006) }
    links.removeAll()
    sockets.removeAll()
  }
}
