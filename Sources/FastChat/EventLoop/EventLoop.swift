/// The loop of one shard: its sockets, their buffers, its timers and mailboxes.
///
/// Made and used on one thread only. Nothing calls back: the caller owns the turn.
///
/// ```
/// while running {
///   loop.turn(waitAtMostMilliseconds: 1_000)
///   while let event = loop.next() { ... }     // answers are queued by send, reserve, commit
///   ...                                       // flush what leaves by other ways (database, Kafka)
/// }                                           // the next turn writes each dirty socket once
/// ```
///
/// A turn writes what was queued, submits and waits with one system call (io_uring; epoll needs one for
/// each socket), and copies the completions out. `next()` tells them one by one. What a caller does not
/// take before the next turn is told then.
///
/// Ids of connections that are gone are harmless: calls with them do nothing and answer false, nil or 0.
///
/// Hot state lives in tables behind `let` pointers: a frame costs no allocation and no reference count.
public final class EventLoop {
  /// Listeners that a loop takes in its life, and watches at one time.
  public static let listenersMax = 16
  public static let watchesMax = 64

  struct Listener {
    let descriptor: Int32
    var isOpen = true
    var isArmed = false
  }

  struct Watch {
    /// Negative: nobody's, to be used again.
    let descriptor: Int32
    let tag: UInt64
    let isMail: Bool
    var isArmed = false
  }

  public let configuration: LoopConfiguration
  /// What the loop runs on.
  public let backend: BackendKind
  /// What was found of io_uring: a line for the log.
  public let report: BackendReport

  let core: LoopCore
  let kernel: Kernel
  /// Slots whose `ended` is to be told: a write failed at the end of a turn.
  private let failures: UnsafeMutablePointer<UInt32>
  private var failureCount = 0

  // Cold: listeners and what is watched.
  var listeners: [Listener] = []
  var watches: [Watch] = []
  var mailboxes: [AnyObject] = []
  /// A listener or a watch is to be handed to the kernel.
  var needsArming = false
  var accepting = Accepting.running
  var isShutDown = false

  /// What the loop does where descriptors ran out. Asking again at once would spin: accept(2) fails before
  /// it looks whether anybody waits.
  enum Accepting: Equatable {
    case running
    case paused(retryTick: Int64)
    /// Asked again; if this turn brings no refusal, accepting goes on.
    case retrying
  }

  /// Sets the loop up, on the thread that will run it. `report`: what `BackendProbe.run` found, if it ran
  /// before. Where io_uring cannot be had and is not forced, takes epoll; `report` says why.
  public init(
    _ configuration: LoopConfiguration = LoopConfiguration(), report given: BackendReport? = nil
  ) throws(LoopError) {
    try configuration.validate()
    var report = given ?? BackendProbe.run()
    self.configuration = configuration
    core = try LoopCore(configuration)
    failures = try mapTable(of: UInt32.self, count: core.connections.capacity)
    switch try report.backend(for: configuration.backend) {
    case .epoll:
      kernel = .epoll(try EpollBackend(core, configuration))
      backend = .epoll
    case .ioUring:
      do throws(LoopError) {
        kernel = .ioUring(try IOUringBackend(core, configuration, report))
        backend = .ioUring
      } catch {
        // ENOMEM: RLIMIT_MEMLOCK is too small for rings of this size.
        guard configuration.backend == .automatic else { throw error }
        report.fail(.ring, error.description)
        kernel = .epoll(try EpollBackend(core, configuration))
        backend = .epoll
      }
    }
    self.report = report
  }

  deinit { shutdown() }

  // MARK: The turn

  /// Writes what is queued, waits until something happens (at most so long, 0: not at all, below 0: as long
  /// as it takes; timers end it earlier), and collects what did. A signal ends it without an event.
  public func turn(waitAtMostMilliseconds limit: Int) {
    core.statistics.pointee.turns &+= 1
    if needsArming || accepting != .running { arm() }
    settleDirty()
    kernel.wait(milliseconds: waitTime(Int64(limit)))
    core.clock.read()
    core.timers.advance(to: core.clock.tick)
  }

  /// The next thing of this turn, nil when it is over.
  public func next() -> LoopEvent? {
    if failureCount > 0 { return takeFailure() }
    while let due = core.timers.takeDue() {
      switch due {
      case .tag(let tag): return .timer(tag)
      case .slot(let slot): if let event = slotTimer(slot) { return event }
      }
    }
    while let completion = kernel.next() {
      if let event = handle(completion) { return event }
    }
    if accepting == .retrying {
      accepting = .running
      return .acceptResumed
    }
    return nil
  }

  /// How long there is nothing to do by itself.
  private func waitTime(_ limit: Int64) -> Int64 {
    if failureCount > 0 || core.dirty.count > 0 || needsArming || accepting == .retrying { return 0 }
    var wait = limit
    func atMost(_ tick: Int64) {
      let left = max(0, tick - core.clock.tick)
      if wait < 0 || left < wait { wait = left }
    }
    if let tick = core.timers.nextTick() { atMost(tick) }
    if case .paused(let tick) = accepting { atMost(tick) }
    return wait
  }

  /// Hands what the dirty connections want to the kernel.
  private func settleDirty() {
    let count = core.dirty.count
    guard count > 0 else { return }
    var kept = 0
    for index in 0..<count {
      let slot = core.dirty[index]
      if settle(slot) {
        core.connections[slot].pointee.flags.remove(.dirty)
      } else {
        core.dirty.keep(slot, at: kept)
        kept += 1
      }
    }
    core.dirty.truncate(to: kept)
  }

  /// False: once more next turn.
  private func settle(_ slot: Int) -> Bool {
    let connection = core.connections[slot]
    switch kernel.settle(slot) {
    case .again: return false
    case .released:
      bury(slot)
      return true
    case .failed(let code):
      failed(slot, connection, code)
      return connection.pointee.state == .failed
    case .done: break
    }
    if connection.pointee.queued == 0 {
      // What was reserved and never committed.
      if connection.pointee.firstSegment != none { core.output.drop(connection) }
      if connection.pointee.state == .flushing {
        shutWriting(connection)
        // All that is left is to be let go.
        if connection.pointee.state == .closing { return settle(slot) }
      }
      return true
    }
    if connection.pointee.queued > configuration.lowWaterBytes {
      connection.pointee.flags.insert(.aboveLowWater)
    }
    if !connection.pointee.flags.contains(.watched), connection.pointee.state == .open {
      connection.pointee.flags.insert(.watched)
      core.timers.set(slot: slot, at: core.clock.tick + writeCheckMilliseconds)
    }
    return true
  }

  /// A write failed while the turn was settled, or the descriptor cannot be watched.
  private func failed(_ slot: Int, _ connection: ConnectionPointer, _ code: Int32) {
    guard connection.pointee.state == .open || connection.pointee.state == .connecting else {
      connection.pointee.state = .closing
      return
    }
    connection.pointee.state = .failed
    connection.pointee.failure = code
    failures[failureCount] = UInt32(slot)
    failureCount += 1
  }

  private func takeFailure() -> LoopEvent {
    failureCount -= 1
    let slot = Int(failures[failureCount])
    let connection = core.connections[slot]
    let event = LoopEvent.ended(core.connections.id(slot), reason(of: connection.pointee.failure))
    connection.pointee.state = .closing
    core.markDirty(slot)
    return event
  }

  /// How often output that waits is looked after.
  var writeCheckMilliseconds: Int64 { (configuration.writeTimeoutMilliseconds + 3) / 4 }

  // MARK: Time and figures

  /// `TickClock`, read once a turn.
  public var tick: Int64 { core.clock.tick }

  /// Milliseconds since 1970, as of this turn: `tick` and a difference that is measured once a second.
  public var wallTime: Int64 { core.clock.wallTime }

  /// Connections that hold a slot: those that linger after `finish` or `close` are counted too.
  public var connectionCount: Int { core.connections.live }

  public var statistics: LoopStatistics { core.statistics.pointee }

  // MARK: Timers

  /// Tells `timer(tag)` once, not before the time and at most a step of the wheel after it (and what the
  /// caller's own turn takes). Nil: `configuration.timers` are set already.
  @discardableResult
  public func schedule(afterMilliseconds delay: Int64, tag: UInt64) -> TimerID? {
    core.timers.set(at: core.clock.tick + max(0, delay), tag: tag)
  }

  /// Takes a timer back, also one that is due and was not told yet. False: it is over.
  @discardableResult
  public func cancel(_ timer: TimerID) -> Bool { core.timers.clear(timer) }

  // MARK: The end

  /// Closes every connection and listener at once and gives all memory back. Nothing may be called after.
  public func shutdown() {
    guard !isShutDown else { return }
    isShutDown = true
    // A request that the kernel still holds must find its socket dead before its buffers are gone.
    // (The kernel lets go of them some time after the ring is closed.)
    core.connections.forEachLive { shutDownBothWays(core.connections[$0].pointee.descriptor) }
    for listener in listeners where listener.isOpen { shutDownBothWays(listener.descriptor) }
    kernel.destroy()
    core.connections.forEachLive { closeDescriptor(core.connections[$0].pointee.descriptor) }
    for listener in listeners where listener.isOpen { closeDescriptor(listener.descriptor) }
    mailboxes = []
    unmapTable(failures, count: core.connections.capacity)
    core.destroy()
  }
}
