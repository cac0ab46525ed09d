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
public final class EventLoop {
  public let configuration: LoopConfiguration
  /// What the loop runs on, and what was found missing: a line for the log.
  public let backend: BackendKind
  public let report: BackendReport

  /// Sets the loop up, on the thread that will run it.
  public init(_ configuration: LoopConfiguration = LoopConfiguration()) throws(LoopError) {
    fatalError()
  }

  // MARK: The turn

  /// Writes what is queued, waits until something happens (at most so long, 0: not at all, below 0: as long
  /// as it takes; a timer or words of the loop's own end it earlier), and collects what did.
  public func turn(waitAtMostMilliseconds: Int) { fatalError() }

  /// The next thing of this turn, nil when it is over.
  public func next() -> LoopEvent? { fatalError() }

  /// Milliseconds of the monotonic clock, read once a turn.
  public var tick: Int64 { fatalError() }

  /// Milliseconds since 1970, as of this turn: `tick` and a difference that is measured once a second.
  public var wallTime: Int64 { fatalError() }

  /// Connections that hold a slot: those that linger after `finish` or `close` are counted too.
  public var connectionCount: Int { fatalError() }

  public var statistics: LoopStatistics { fatalError() }

  // MARK: Where connections come from

  /// Accepts on a socket, which the loop owns from here on. Gives the index that `accepted` carries.
  public func add(listener: ListeningSocket) throws(LoopError) -> Int { fatalError() }

  /// Stops accepting on it, and closes it.
  public func remove(listener: Int) { fatalError() }

  /// Begins a connection; `connected` or `ended` tells how it went. What is sent meanwhile waits.
  public func connect(to address: SocketAddress) throws(LoopError) -> ConnectionID { fatalError() }

  /// Takes over a stream socket that is connected already; the loop closes it.
  public func adopt(descriptor: Int32) throws(LoopError) -> ConnectionID { fatalError() }

  /// The peer's address; nil if the connection is gone or is no TCP connection. One system call.
  public func peerAddress(of id: ConnectionID) -> SocketAddress? { fatalError() }

  // MARK: Output

  /// Queues a copy of the bytes. False, and nothing is queued: the connection is gone, or a bound
  /// (`outputBytes`, `totalOutputBytes`, `segments`) would be passed.
  @discardableResult
  public func send(_ id: ConnectionID, copying bytes: UnsafeRawBufferPointer) -> Bool { fatalError() }

  /// Room for at least `n` bytes at the end of the connection's output, to encode into; what is then
  /// `commit`ted leaves. Valid until the next call that queues for this connection. Nil where `send` is false.
  public func reserve(_ id: ConnectionID, _ n: Int) -> UnsafeMutableRawBufferPointer? { fatalError() }

  /// Queues the first `n` bytes of what `reserve` gave.
  public func commit(_ id: ConnectionID, _ n: Int) { fatalError() }

  /// Queues a use of a shared buffer. False as with `send(_:copying:)`.
  @discardableResult
  public func send(_ id: ConnectionID, shared: SharedBuffer) -> Bool { fatalError() }

  /// A buffer of `count` bytes for the caller to fill and share; he holds one count, and gives it back by
  /// `release`. Nil: `totalOutputBytes` would be passed.
  public func makeShared(_ count: Int) -> SharedBuffer? { fatalError() }

  /// Gives the caller's count back. The buffer is used again after the last of its sends.
  public func release(_ shared: SharedBuffer) { fatalError() }

  /// Bytes that wait for this connection, those that the kernel is just being given included.
  public func queuedBytes(_ id: ConnectionID) -> Int { fatalError() }

  // MARK: Input and its end

  /// Stops taking bytes from the socket, so that TCP slows the peer down. What had been received already
  /// still comes. While paused, the end of the connection may go unnoticed until something is written.
  public func pauseReading(_ id: ConnectionID) { fatalError() }
  public func resumeReading(_ id: ConnectionID) { fatalError() }

  /// Writes what is queued, closes our side, takes what the peer still sends (at most `lingerBytes`) so
  /// that no reset destroys our last words, and closes when he has closed or the time is up. The caller
  /// hears nothing of this connection any more, the id is dead at once.
  public func finish(_ id: ConnectionID, lingerMilliseconds: Int64 = 2_000) { fatalError() }

  /// Ends the connection now; what is queued is dropped. Nothing of it comes any more.
  public func close(_ id: ConnectionID) { fatalError() }

  // MARK: Timers

  /// Tells `timer(tag)` once, not before the time and at most a step of the wheel after it. Nil: `timers`
  /// are set already.
  @discardableResult
  public func schedule(afterMilliseconds: Int64, tag: UInt64) -> TimerID? { fatalError() }

  /// Takes a timer back, also one that is due and was not told yet. False: it is over.
  @discardableResult
  public func cancel(_ timer: TimerID) -> Bool { fatalError() }

  // MARK: Words from elsewhere

  /// Tells `mail` whenever this mailbox gets its first message. The loop keeps it alive.
  public func watch<Message>(_ mailbox: Mailbox<Message>) throws(LoopError) { fatalError() }

  /// Tells `readable(tag)` on each edge of a descriptor of another library (an eventfd of a client library,
  /// a signalfd, ...). The loop does not close it; it stays watched until the loop ends.
  public func watch(descriptor: Int32, tag: UInt64) throws(LoopError) { fatalError() }

  /// Closes every connection and listener at once and gives all memory back. Nothing may be called after.
  public func shutdown() { fatalError() }
}

/// A timer that was set; holding it after it fired is harmless.
public struct TimerID: Hashable, Sendable, BitwiseCopyable {
  let raw: UInt64
}
