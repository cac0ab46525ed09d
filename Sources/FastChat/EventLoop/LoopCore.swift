/// What the loop and its backend share: tables behind pointers. Copies of it are copies of the pointers.
struct LoopCore {
  let connections: ConnectionTable
  let output: OutputQueue
  let timers: TimerWheel
  let dirty: DirtyList
  let clock: LoopClock
  let statistics: UnsafeMutablePointer<LoopStatistics>

  init(_ configuration: LoopConfiguration) throws(LoopError) {
    let slots = configuration.connections + configuration.reserve
    clock = LoopClock()
    connections = try ConnectionTable(capacity: slots)
    output = try OutputQueue(configuration)
    timers = try TimerWheel(
      reserved: slots, capacity: configuration.timers,
      granularity: configuration.timerGranularityMilliseconds, tick: clock.tick)
    dirty = try DirtyList(capacity: slots)
    statistics = .allocate(capacity: 1)
    statistics.initialize(to: LoopStatistics())
  }

  func destroy() {
    connections.forEachLive { output.drop(connections[$0]) }
    connections.destroy()
    output.destroy()
    timers.destroy()
    dirty.destroy()
    clock.destroy()
    statistics.deallocate()
  }

  /// Puts a slot on the list of those that the end of the turn settles.
  @inline(__always)
  func markDirty(_ slot: Int) { dirty.insert(slot, connections[slot]) }
}

/// What a backend brought, in the same words for both. The loop makes events of it.
enum Completion {
  /// Not `armed`: the kernel ended the request (a full completion queue), it must be made again.
  case accepted(listener: Int, descriptor: Int32, armed: Bool)
  case acceptFailed(listener: Int, errno: Int32)
  /// The wait for a connect is over; 0 if it succeeded.
  case connected(slot: Int, errno: Int32)
  case received(slot: Int, UnsafeMutableRawBufferPointer)
  /// Bytes of a connection that is being finished: they were dropped.
  case discarded(slot: Int, bytes: Int)
  /// Nothing more will come: 0 at the end of the stream, else the error.
  case receiveEnded(slot: Int, errno: Int32)
  /// The kernel took some output; it is consumed already.
  case sent(slot: Int)
  case sendFailed(slot: Int, errno: Int32)
  /// The kernel holds nothing of a closing connection any more.
  case released(slot: Int)
  /// The watch of this index fired.
  case readable(watch: Int, armed: Bool)
}

/// How far a backend came with a dirty slot.
enum Settled {
  case done
  /// The kernel's queue is full: once more next turn.
  case again
  /// A closing connection of which the kernel holds nothing.
  case released
  /// The write failed.
  case failed(errno: Int32)
}

/// What the kernel carries for us and gives back with each completion; see `ConnectionID` for the layout.
struct CompletionTag {
  enum Operation: UInt8 {
    case receive = 1
    case send, connect, accept, watch
    /// Its completion says nothing.
    case cancel
  }

  let raw: UInt64

  @inline(__always)
  init(raw: UInt64) { self.raw = raw }

  @inline(__always)
  init(_ operation: Operation, _ id: ConnectionID) {
    raw = id.raw | UInt64(operation.rawValue) << 24
  }

  @inline(__always)
  init(_ operation: Operation, index: Int) {
    raw = UInt64(index) | UInt64(operation.rawValue) << 24
  }

  @inline(__always)
  var operation: Operation? { Operation(rawValue: UInt8(truncatingIfNeeded: raw >> 24)) }

  @inline(__always)
  var slot: Int { Int(raw & 0xFF_FFFF) }

  @inline(__always)
  var generation: UInt32 { UInt32(truncatingIfNeeded: raw >> 32) }
}
