import Chat
import JSON

/// The loop of one shard of a server that stands alone: the edge as it is, its mailbox and connections.
final class EmbeddedShard {
  enum Mail {
    case appended(Appended)
    case failed(Failed)
    case judged(Verdict)
    case batch(Batch)
    case answer(ViewAnswer)
    case ephemeral(Ephemeral)
    case replaced(SessionID)
  }

  enum SocketEvent {
    case opened
    case text([UInt8])
    case broken, drained
  }

  static let deadlineMilliseconds: Tick = 100

  let edge: Edge
  let thread = SimulatedThread()
  let engine: Engine
  unowned let process: EmbeddedProcess
  let index: Int
  private let mailboxMax: Int
  private var mailbox: [Mail] = []
  private var hasOverflowed = false
  private var sockets: [(link: EmbeddedLink, event: SocketEvent)] = []
  private var links: [EmbeddedLink?] = []
  private var freeSlots: [Int] = []
  private var generation: UInt32 = 0
  private var resumed: [SessionID] = []
  private var isScheduled = false
  private var lastTurn: Tick = 0

  init(_ process: EmbeddedProcess, index: Int, limits: Limits) {
    self.process = process
    self.index = index
    engine = process.engine
    mailboxMax = process.faults.contains(.mailboxFull) ? 4 + engine.random.below(20) : .max
    edge = Edge(
      Edge.Configuration(
        shard: index, epoch: process.epoch, log: "sim", server: "local", partitions: 1, limits: limits,
        hashSeed: process.epoch),
      view: EmbeddedStore.view, directory: EmbeddedStore.directory, applied: [process.store.applied])
    tick()
  }

  // MARK: What wakes it

  func post(_ mail: Mail) {
    if case .replaced = mail { return put(mail) }
    guard mailbox.count < mailboxMax || !process.faultsAreOn else {
      process.coverage.count(.mailboxFull)
      hasOverflowed = true
      return
    }
    put(mail)
  }

  private func put(_ mail: Mail) {
    mailbox.append(mail)
    wake()
  }

  func arrived(_ event: SocketEvent, on link: EmbeddedLink) {
    guard link.isOpen else { return }
    sockets.append((link, event))
    wake()
  }

  func accept(
    arrived: @escaping ([UInt8]) -> Void, ended: @escaping (_ code: UInt16, _ retry: Int32) -> Void
  ) -> EmbeddedLink {
    let slot = freeSlots.popLast() ?? links.count
    generation += 1
    let session = SessionID(shard: index, generation: generation, slot: slot)
    let link = EmbeddedLink(session, shard: self, arrived: arrived, ended: ended)
    if slot == links.count { links.append(link) } else { links[slot] = link }
    self.arrived(.opened, on: link)
    return link
  }

  private func wake() {
    guard !isScheduled else { return }
    isScheduled = true
    engine.after(engine.random.latency(0, 8)) { [self] in thread.run { [self] in turn() } }
  }

  private func tick() {
    engine.after(Self.deadlineMilliseconds) { [self] in
      guard !thread.isDead else { return }
      thread.run { [self] in
        turn(looksAtDeadlines: true)
        tick()
      }
    }
  }

  // MARK: The turn

  private func turn(looksAtDeadlines: Bool = false) {
    isScheduled = false
    edge.beginTurn(tick: engine.now, wall: engine.wall, appendRoom: 1 << 20)
    settle()
    if hasOverflowed {
      hasOverflowed = false
      edge.mailboxOverflowed()
      settle()
    }
    // As the real one does after it stood still.
    if engine.now - lastTurn >= Limits.leaseMilliseconds { takeMail() }
    lastTurn = engine.now
    let events = sockets
    sockets.removeAll(keepingCapacity: true)
    for (link, event) in events { take(event, link) }
    takeMail()
    if looksAtDeadlines {
      edge.checkDeadlines()
      settle()
    }
    while let id = resumed.popLast() { readOn(id) }
    edge.endTurn()
    settle()
    handOver()
  }

  private func takeMail() {
    let mail = mailbox
    mailbox.removeAll(keepingCapacity: true)
    for one in mail { take(one) }
  }

  private func take(_ event: SocketEvent, _ link: EmbeddedLink) {
    guard link.isOpen else { return }
    switch event {
    case .opened: edge.opened(link.session)
    case .text(let text):
      if link.isPaused || !link.unread.isEmpty { return link.unread.append(text) }
      text.withUnsafeBytes { edge.received(link.session, text: $0) }
    case .broken:
      edge.closed(link.session)
      forget(link)
    case .drained: edge.drained(link.session)
    }
    settle()
  }

  private func readOn(_ id: SessionID) {
    guard let link = links[id.slot], link.session == id else { return }
    while link.isOpen, !link.isPaused, !link.unread.isEmpty {
      let text = link.unread.removeFirst()
      text.withUnsafeBytes { edge.received(id, text: $0) }
      settle()
    }
  }

  private func take(_ mail: Mail) {
    switch mail {
    case .appended(let report): edge.appended(report)
    case .failed(let report): edge.failed(report)
    case .judged(let verdict): edge.judged(verdict)
    case .batch(let batch): edge.received(batch)
    case .answer(let answer): edge.received(answer)
    case .ephemeral(let event): edge.received(event)
    case .replaced(let session): edge.replaced(session)
    }
    settle()
  }

  // MARK: Actions

  private func settle() {
    var registered: [SessionID] = []
    while true {
      var lost: [(SessionID, Int32)] = []
      for i in 0..<edge.actionCount { perform(edge.action(i), &lost, &registered) }
      edge.actionsPerformed()
      if !lost.isEmpty {
        for (session, delivery) in lost { edge.lost(session, delivery: delivery) }
      } else if let session = registered.popLast() {
        edge.registered(session)
      } else if edge.hasMore {
        edge.continueBatch()
      } else if edge.actionCount == 0 {
        return
      }
    }
  }

  private func perform(
    _ action: EdgeAction, _ lost: inout [(SessionID, Int32)], _ registered: inout [SessionID]
  ) {
    switch action {
    case .send(let id, let start, let count):
      links[id.slot]!.toClient(Array(edge.output(start: start, count: count)))
    case .deliver(let id, let index):
      let link = links[id.slot]!
      if !link.isCongested, process.happens(.pullMode, 0.03) {
        link.congest(for: engine.random.between(10, 8_000))
      }
      if link.isCongested {
        lost.append((id, index))
      } else {
        link.toClient(Array(edge.delivery(index).json))
      }
    case .pause(let id): links[id.slot]!.isPaused = true
    case .resume(let id):
      links[id.slot]!.isPaused = false
      resumed.append(id)
    case .close(let id, let code, let retry, let reason):
      engine.note("shard \(index) closes \(id.slot): \(code) \(reason)")
      links[id.slot]!.close(code, retry: retry)
      forget(links[id.slot]!)
    case .attach(let id):
      process.attach(id, user: String(utf8: edge.user(of: id)), device: String(utf8: edge.device(of: id)))
      registered.append(id)
    case .detach(let id): process.detach(id)
    case .listen, .unlisten, .viewChanged, .askRegistration, .askLogEnd, .stop:
      preconditionFailure("asked of a server that stands alone")
    }
  }

  private func forget(_ link: EmbeddedLink) {
    link.forget()
    links[link.session.slot] = nil
    freeSlots.append(link.session.slot)
  }

  private func handOver() {
    if edge.appendCount > 0 {
      process.append(Array(edge.appends.bytes))
      edge.appends.removeAll()
      edge.appendCount = 0
    }
    for query in edge.queries { process.ask(query, shard: index) }
    edge.queries.removeAll()
    for event in edge.ephemerals { process.tell(event) }
    edge.ephemerals.removeAll()
    for mark in edge.reads { process.mark(mark) }
    edge.reads.removeAll()
  }

  /// The process is gone: the kernel closes its sockets.
  func die() {
    thread.die()
    process.coverage.doubts += Int(edge.counters.doubts)
    for link in links { link?.close(1006, retry: 0) }
    links = []
  }
}
