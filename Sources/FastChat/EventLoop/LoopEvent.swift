/// What a turn of the loop brought. Plain values: taking one costs no reference count.
public enum LoopEvent {
  /// A connection came in. `listener` is the index that `add(listener:)` returned. If
  /// `loop.connectionCount` is above `configuration.connections`, this one sits in the reserve: answer it
  /// and `finish` it. When the reserve is used up too, the loop closes newcomers without an event.
  case accepted(ConnectionID, listener: Int)

  /// A connection that `connect(to:)` began is established. (A failed one comes as `ended`.)
  case connected(ConnectionID)

  /// Bytes of the peer, never none. They belong to the caller, who may write into them (a frame is
  /// unmasked in place), until the next call of `next()`.
  case received(ConnectionID, UnsafeMutableRawBufferPointer)

  /// The connection is over, for the reason given. Comes exactly once for each connection that the caller
  /// did not `close` or `finish` himself, and nothing of it comes after. The id is dead from here on; its slot
  /// may be used by a connection that is accepted in a later turn. What was queued when the peer merely
  /// closed its side is still written (within `LoopConfiguration.lingerMilliseconds`).
  case ended(ConnectionID, EndReason)

  /// Output that stood above the low-water mark at the end of a turn has fallen to it or below.
  case drained(ConnectionID)

  /// A timer that `schedule` set, by its tag.
  case timer(UInt64)

  /// A watched mailbox was posted to: take from all of yours.
  case mail

  /// A descriptor given to `watch(descriptor:tag:)` became readable. Edge-triggered: read it empty.
  case readable(UInt64)

  /// The process has no descriptors left (or the kernel no memory for a socket): new connections wait in
  /// the kernel's backlog. Connections that exist are served on.
  case acceptPaused

  /// Accepting goes on.
  case acceptResumed
}

/// Why a connection ended.
public enum EndReason: Hashable, Sendable, BitwiseCopyable {
  /// The peer closed, or closed its sending side.
  case peerClosed
  /// The peer, or something between, reset the connection (ECONNRESET, EPIPE).
  case reset
  /// Output waited for `LoopConfiguration.writeTimeoutMilliseconds` without the peer confirming a byte.
  case writeTimeout
  /// A system call failed: its errno (ETIMEDOUT, EHOSTUNREACH, ECONNREFUSED of `connect`, ...).
  case failed(errno: Int32)
}
