import Chat
import EventLoop
import JSON
import Kafka
import WebSocket

/// One event-loop thread with all that is its own: sockets, the edge machine, buffers, timers, mailbox.
///
/// A turn, in this order:
/// ```
/// loop.turn      what the last turn queued is written, one write a socket; then it waits
/// events         sockets -> the edge -> its actions
/// mail           reports, then the batch that they belong to; the view's answers
/// deadlines      ten times a second
/// hand over      records, questions, and words about sessions to the backbone; typing to every shard: once
/// ```
/// Made and used on its own thread. What a frame passes holds everything by `let` or unowned pointer, and
/// counts no reference.
final class Shard {
  /// Milliseconds between two looks at deadlines, so the longest wait of the loop too.
  static let deadlineMilliseconds: Int64 = 100
  /// Milliseconds in which what was said at the end must leave.
  static let leavingMilliseconds: Int64 = 3_000

  let index: Int
  let server: ServerContext
  let loop: EventLoop
  let edge: Edge
  let limits: Limits
  let backbone: Backbone
  let ports: [ShardPort]
  /// This shard's own, held beside the list: an element of a list is counted when it is used.
  private let port: ShardPort
  private let mailbox: Mailbox<Mail>
  private let pulse: Pulse
  let metrics: MetricsBlock
  let compressor = Compressor()
  /// Where messages of sessions are gathered, and where those of connections without `welcome`.
  let sessionPool: GatherPool
  let newcomerPool: GatherPool
  /// Bytes that may wait for a connection before it is not read any more, or loses copies.
  let outputMax: Int

  var connections: ConnectionTable
  var fanOut = FanOut()
  var heartbeat: Heartbeat
  /// What performing actions left to be told to the edge.
  var losses: [Loss] = []
  var registered: [SessionID] = []
  /// What the router is to hear at the end of the turn.
  var words: [RouterWord] = []
  var overfull: [ConnectionID] = []
  /// Connections that are to be read on, from what was kept.
  var resumed: [ConnectionID] = []
  /// Connections that came to the output bound in this turn: what the next one writes may empty them
  /// before the loop would tell.
  var filled: [ConnectionID] = []
  var goodbye = ByteBuffer(capacity: 128)
  var page = ByteBuffer(capacity: 4 << 10)
  /// Bytes kept of connections without `welcome`.
  var keptOfNewcomers = 0
  /// What was told of them to the server's sum.
  var toldNewcomerBytes = 0

  let mainListener: Int
  let adminListener: Int?
  private var mail: [Mail] = []
  private var reports: [DeliveryReport] = []
  private var hasMail = false
  private var lastDeadlines: Int64 = 0
  private var isProven = false
  private var stage = ShardPort.Stage.serving

  /// Sets the shard up, on the thread that will run it.
  init(_ server: ServerContext, index: Int) throws(LoopError) {
    self.index = index
    self.server = server
    limits = server.configuration.limits
    backbone = server.backbone
    ports = server.ports
    port = server.ports[index]
    mailbox = port.mailbox
    pulse = port.pulse
    metrics = server.metrics.block(index)
    outputMax = limits.outputBytes
    loop = try EventLoop(server.loopConfiguration)
    edge = backbone.makeEdge(server.configuration, shard: index)
    sessionPool = GatherPool(keeping: Bounds.pooledBytes, lending: server.bounds.gatheredBytes)
    newcomerPool = GatherPool(keeping: Bounds.pooledBytes, lending: server.bounds.newcomerBytes)
    connections = ConnectionTable(
      capacity: server.loopConfiguration.connections + server.loopConfiguration.reserve)
    heartbeat = Heartbeat(seconds: limits.heartbeatSeconds)
    try loop.watch(mailbox)
    try loop.watch(port.reports)
    mainListener = try loop.add(listener: server.listeners.main[index])
    adminListener = index == 0 ? try loop.add(listener: server.listeners.admin) : nil
    lastDeadlines = Clock.tick()
    pulse.turn(at: lastDeadlines)
  }

  /// Serves until the server ends.
  func run() {
    while stage != .leaving { turn() }
    leave()
    loop.shutdown()
  }

  // MARK: The turn

  private func turn() {
    // A connection that came to its bound may be empty once this turn has written: then it goes on at once,
    // as one does that the end of the last turn let read on.
    let mayWait = filled.isEmpty && resumed.isEmpty
    let last = loop.tick
    loop.turn(waitAtMostMilliseconds: mayWait ? Int(Shard.deadlineMilliseconds) : 0)
    let started = Clock.nanoseconds()
    pulse.turn(at: loop.tick)
    let newStage = port.stage

    edge.beginTurn(
      tick: loop.tick, wall: loop.wallTime, appendRoom: backbone.room / ports.count)
    settle()
    lookAtFilled()
    // After standing still: who was removed meanwhile is not authorised by what this shard remembers.
    if loop.tick - last >= Limits.leaseMilliseconds { takeMail() }
    while let event = loop.next() { take(event) }
    // At the end also what was posted and is not announced yet.
    if hasMail || newStage != stage { takeMail() }
    if !isProven { prove() }
    takeDeadlines()
    readOn()
    edge.endTurn()
    settle()
    handOver()
    tellNewcomerBytes()
    advance(to: newStage)
    metrics.record(.turn, nanoseconds: Clock.nanoseconds() - started)
  }

  @inline(__always)
  private func take(_ event: LoopEvent) {
    switch event {
    case .received(let id, let bytes): received(id, bytes)
    case .accepted(let id, let listener): accepted(id, listener: listener)
    case .ended(let id, _): ended(id)
    case .drained(let id): drained(id)
    case .timer(let tag): requestTookTooLong(ConnectionID(raw: tag))
    case .acceptPaused: Log.warning("no descriptors left; new connections wait")
    case .acceptResumed: Log.info("descriptors are there again; accepting goes on")
    case .mail: hasMail = true
    case .connected, .readable: break
    }
  }

  private func takeMail() {
    hasMail = false
    if let overflow = port.takeOverflow() {
      metrics.add(.mailboxOverflows)
      if overflow.isDoubt {
        Log.warning("a mailbox was full; its shard catches up", ["shard": "\(index)"])
        edge.mailboxOverflowed()
        settle()
      }
      for session in overflow.replaced { replaced(session) }
    }
    takeReports()
    mailbox.drain(into: &mail)
    for i in 0..<mail.count {
      switch mail[i] {
      case .news(let news): take(news)
      case .answer(let news):
        edge.received(news.answer)
        settle()
        port.taken(bytes: news.bytes)
      case .ephemerals(let events):
        for event in events {
          edge.received(event)
          settle()
        }
      case .replaced(let session): replaced(session)
      case .word(let word): take(word)
      case .logEnded(let partition, let end):
        edge.logEnded(partition: partition, at: end)
        settle()
      }
    }
    mail.removeAll(keepingCapacity: true)
  }

  /// Before the mail: as a rule a sender has its `ack` before anybody has the message.
  private func takeReports() {
    port.reports.drain(into: &reports)
    guard !reports.isEmpty else { return }
    let now = Clock.nanoseconds()
    for report in reports {
      if case .fail(let mayHavePersisted) = report.decision {
        edge.failed(Failed(origin: report.origin, mayHavePersisted: mayHavePersisted))
        metrics.add(.storeFailures)
      } else {
        if case .acknowledge(let seq) = report.decision {
          edge.appended(Appended(origin: report.origin, seq: seq, time: report.time))
          metrics.add(.messagesAccepted)
        }
        metrics.add(.storedRecords)
        // What was appended once more has none.
        if report.stamp > 0 { metrics.record(.append, nanoseconds: now &- report.stamp) }
      }
      settle()
    }
  }

  private func take(_ news: LogNews) {
    for report in news.appended {
      edge.appended(report)
      settle()
    }
    metrics.add(.messagesAccepted, news.appended.count)
    for report in news.failed {
      edge.failed(report)
      settle()
    }
    for verdict in news.verdicts {
      edge.judged(verdict)
      settle()
    }
    if let batch = news.batch {
      edge.received(batch)
      settle()
    }
    if news.provesBackbone { pulse.batch(at: loop.tick) }
    port.taken(bytes: news.bytes)
  }

  private func replaced(_ session: SessionID) {
    edge.replaced(session)
    settle()
  }

  private func takeDeadlines() {
    let elapsed = loop.tick - lastDeadlines
    guard elapsed >= Shard.deadlineMilliseconds else { return }
    lastDeadlines = loop.tick
    edge.checkDeadlines()
    settle()
    beat(Int(elapsed))
    reportFigures()
  }

  /// The first time that a batch has come and nothing is in doubt, this shard is as good as any.
  private func prove() {
    guard !isProven, pulse.batchTick > 0, edge.isSettled else { return }
    isProven = true
    server.proven.arrive(index)
  }

  // MARK: The end

  /// `newStage` was read before the turn's mail, so all that was posted before it has been taken.
  private func advance(to newStage: ShardPort.Stage) {
    guard newStage != stage else { return }
    if stage == .serving { stopTaking() }
    stage = newStage
    server.quiesced.arrive(index)
  }

  private func stopTaking() {
    loop.remove(listener: mainListener)
    isTakingNothing = true
  }

  /// No connection and no byte is taken any more.
  private(set) var isTakingNothing = false

  private func leave() {
    edge.beginTurn(tick: loop.tick, wall: loop.wallTime, appendRoom: 0)
    settle()
    edge.drain(
      spreadMilliseconds: ServerContext.drainSpreadMilliseconds, seed: backbone.epoch ^ UInt64(index))
    settle()
    sayGoodbyeToTheRest()
    handOver()
    let end = loop.tick + Shard.leavingMilliseconds
    while loop.connectionCount > 0, loop.tick < end {
      loop.turn(waitAtMostMilliseconds: 50)
      while loop.next() != nil {}
    }
  }
}
