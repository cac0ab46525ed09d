import CLinuxIO
import Glibc

/// The loop's system calls by epoll, level-triggered.
///
/// - Readiness is turned into completions one at a time, by the call that the caller's `next()` makes: so
///   one receive buffer serves the whole loop, and what became stale meanwhile is never read.
/// - One `recv` a readiness: what is left makes the socket ready again next turn, after the others.
/// - Writes go out directly at the end of the turn; EPOLLOUT is asked for only while a socket is full.
struct EpollBackend {
  private struct State {
    var taken = 0
    var collected = 0
    /// Connections still to be taken from the listener whose readiness is next.
    var acceptsLeft = 0
  }

  private let core: LoopCore
  private let state: UnsafeMutablePointer<State>
  private let descriptor: Int32
  private let events: UnsafeMutablePointer<epoll_event>
  private let eventsMax: Int
  private let buffer: UnsafeMutableRawBufferPointer
  private let vectors: UnsafeMutablePointer<iovec>
  private let acceptsPerTurn: Int
  /// What a listener's readiness needs: its descriptor by its index.
  private let listeners: UnsafeMutablePointer<Int32>

  init(_ core: LoopCore, _ configuration: LoopConfiguration) throws(LoopError) {
    self.core = core
    descriptor = try checked("epoll_create1") { epoll_create1(Int32(EPOLL_CLOEXEC)) }
    state = .allocate(capacity: 1)
    state.initialize(to: State())
    eventsMax = configuration.epollEvents
    events = .allocate(capacity: eventsMax)
    buffer = .allocate(byteCount: configuration.epollReceiveBytes, alignment: 64)
    vectors = .allocate(capacity: OutputQueue.iovecs)
    acceptsPerTurn = configuration.acceptsPerTurn
    listeners = .allocate(capacity: EventLoop.listenersMax)
    listeners.initialize(repeating: -1, count: EventLoop.listenersMax)
  }

  func destroy() {
    closeDescriptor(descriptor)
    state.deallocate()
    events.deallocate()
    buffer.deallocate()
    vectors.deallocate()
    listeners.deallocate()
  }

  // MARK: Requests

  func accept(listener: Int, descriptor: Int32) -> Bool {
    listeners[listener] = descriptor
    return control(EPOLL_CTL_ADD, descriptor, linuxio_epoll_in, CompletionTag(.accept, index: listener)) >= 0
  }

  /// A listener that is ready but cannot be served would wake every turn: it is taken out.
  func stopAccepting(listener: Int, descriptor: Int32) {
    _ = control(EPOLL_CTL_DEL, descriptor, 0, CompletionTag(.accept, index: listener))
    listeners[listener] = -1
  }

  /// Edge-triggered, so that an eventfd is never read: each write to it is an edge.
  func watch(_ index: Int, descriptor: Int32) -> Bool {
    control(
      EPOLL_CTL_ADD, descriptor, linuxio_epoll_in | linuxio_epoll_edge, CompletionTag(.watch, index: index))
      >= 0
  }

  func unwatch(_ index: Int, descriptor: Int32) {
    _ = control(EPOLL_CTL_DEL, descriptor, 0, CompletionTag(.watch, index: index))
  }

  /// Writes what waits, and tells the kernel which readiness matters now.
  func settle(_ slot: Int) -> Settled {
    let connection = core.connections[slot]
    if connection.pointee.state == .closing { return .released }
    if connection.pointee.mayWrite, !connection.pointee.flags.contains(.sendBlocked) {
      let code = write(connection)
      if code != 0 { return .failed(errno: code) }
    }
    return register(slot, connection)
  }

  /// Brings the registered interests in line with the wished ones; no call where they are.
  private func register(_ slot: Int, _ connection: ConnectionPointer) -> Settled {
    let wantsIn = connection.pointee.wantsInput
    let wantsOut =
      connection.pointee.flags.contains(.sendBlocked) || connection.pointee.state == .connecting
    let flags = connection.pointee.flags
    if flags.contains(.registered), flags.contains(.registeredIn) == wantsIn,
      flags.contains(.registeredOut) == wantsOut
    {
      return .done
    }
    let result = control(
      flags.contains(.registered) ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, connection.pointee.descriptor,
      (wantsIn ? linuxio_epoll_in : 0) | (wantsOut ? linuxio_epoll_out : 0),
      CompletionTag(.receive, core.connections.id(slot)))
    // ENOMEM, or ENOSPC: the user's `max_user_watches` is reached. A connection that is never told of
    // cannot be served.
    if result < 0 { return .failed(errno: Int32(-result)) }
    var registered = flags.subtracting([.registeredIn, .registeredOut]).union(.registered)
    if wantsIn { registered.insert(.registeredIn) }
    if wantsOut { registered.insert(.registeredOut) }
    connection.pointee.flags = registered
    return .done
  }

  private func control(
    _ operation: Int32, _ target: Int32, _ interests: UInt32, _ tag: CompletionTag
  ) -> Int {
    var event = epoll_event(events: interests, data: epoll_data_t(u64: tag.raw))
    return syscall { epoll_ctl(descriptor, operation, target, &event) }
  }

  /// Writes until all is gone or the socket is full; an errno or 0.
  private func write(_ connection: ConnectionPointer) -> Int32 {
    let flags = Int32(MSG_NOSIGNAL | MSG_DONTWAIT)
    while connection.pointee.queued > 0 {
      let asked: Int
      let taken: Int
      if let piece = core.output.onlyPiece(connection) {
        asked = piece.count
        taken = syscall { send(connection.pointee.descriptor, piece.baseAddress, piece.count, flags) }
      } else {
        var message = msghdr()
        message.msg_iov = vectors
        message.msg_iovlen = core.output.gather(connection, into: vectors)
        var sum = 0
        for index in 0..<message.msg_iovlen { sum += vectors[index].iov_len }
        asked = sum
        taken = syscall { sendmsg(connection.pointee.descriptor, &message, flags) }
      }
      core.statistics.pointee.writes &+= 1
      if taken < 0 {
        guard taken == -Int(EAGAIN) else { return Int32(-taken) }
        connection.pointee.flags.insert(.sendBlocked)
        return 0
      }
      core.statistics.pointee.bytesWritten &+= UInt64(taken)
      core.output.consume(connection, taken, tick: core.clock.tick)
      if taken < asked {
        connection.pointee.flags.insert(.sendBlocked)
        return 0
      }
    }
    return 0
  }

  // MARK: Waiting

  @inline(__always)
  var hasRest: Bool { state.pointee.taken < state.pointee.collected }

  /// Waits for readiness (below 0: as long as it takes).
  func wait(milliseconds: Int64) {
    guard !hasRest else { return }
    core.statistics.pointee.submits &+= 1
    let count = epoll_wait(descriptor, events, Int32(eventsMax), Int32(clamping: milliseconds))
    // EINTR: a signal; the caller's turn, not ours, decides what then. Nothing is lost: readiness stays.
    state.pointee.taken = 0
    state.pointee.collected = max(0, Int(count))
    state.pointee.acceptsLeft = acceptsPerTurn
  }

  // MARK: Completions

  /// The next completion of the last wait; makes the system call that it tells of.
  func next() -> Completion? {
    while hasRest {
      let tag = CompletionTag(raw: events[state.pointee.taken].data.u64)
      switch tag.operation {
      case .accept:
        if let completion = accept(tag.slot) { return completion }
      case .watch:
        state.pointee.taken += 1
        return .readable(watch: tag.slot, armed: true)
      case .receive:
        if let completion = ready(tag) { return completion }
      case .send, .connect, .cancel, nil: state.pointee.taken += 1
      }
    }
    return nil
  }

  private func accept(_ listener: Int) -> Completion? {
    guard state.pointee.acceptsLeft > 0, listeners[listener] >= 0 else {
      state.pointee.taken += 1
      state.pointee.acceptsLeft = acceptsPerTurn
      return nil
    }
    state.pointee.acceptsLeft -= 1
    let accepted = syscall { linuxio_accept(listeners[listener]) }
    if accepted >= 0 {
      return .accepted(listener: listener, descriptor: Int32(accepted), armed: true)
    }
    state.pointee.taken += 1
    state.pointee.acceptsLeft = acceptsPerTurn
    // EAGAIN: all taken, or another process or thread was quicker.
    return accepted == -Int(EAGAIN) ? nil : .acceptFailed(listener: listener, errno: Int32(-accepted))
  }

  /// One readiness may hold two completions, input first: what was seen is cleared in the event, which stays
  /// next until nothing is left of it.
  private func ready(_ tag: CompletionTag) -> Completion? {
    let event = events + state.pointee.taken
    let slot = tag.slot
    let connection = core.connections[slot]
    guard connection.pointee.generation == tag.generation, connection.pointee.state != .free,
      connection.pointee.state != .closing, connection.pointee.state != .failed
    else {
      core.statistics.pointee.stale &+= 1
      state.pointee.taken += 1
      return nil
    }
    let trouble = linuxio_epoll_error | linuxio_epoll_hangup
    let bits = event.pointee.events
    if bits & linuxio_epoll_out != 0, connection.pointee.state == .connecting {
      state.pointee.taken += 1
      return .connected(slot: slot, errno: pendingError(of: connection.pointee.descriptor))
    }
    if bits & (linuxio_epoll_in | trouble) != 0, connection.pointee.wantsInput {
      event.pointee.events = bits & linuxio_epoll_out
      if event.pointee.events == 0 { state.pointee.taken += 1 }
      return receive(slot, connection)
    }
    state.pointee.taken += 1
    if bits & linuxio_epoll_out != 0, connection.pointee.flags.contains(.sendBlocked) {
      connection.pointee.flags.remove(.sendBlocked)
      // The interest in EPOLLOUT is taken back when the turn is settled, if it is over.
      core.markDirty(slot)
      let code = write(connection)
      return code == 0 ? .sent(slot: slot) : .sendFailed(slot: slot, errno: code)
    }
    if bits & trouble != 0, !connection.pointee.wantsInput {
      // Always reported, wanted or not: left alone it would wake every turn.
      let code = pendingError(of: connection.pointee.descriptor)
      return .receiveEnded(slot: slot, errno: code == 0 ? ECONNRESET : code)
    }
    return nil
  }

  private func receive(_ slot: Int, _ connection: ConnectionPointer) -> Completion? {
    let taken = syscall {
      recv(connection.pointee.descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
    }
    if taken > 0 {
      core.statistics.pointee.receives &+= 1
      core.statistics.pointee.bytesReceived &+= UInt64(taken)
      guard connection.pointee.state == .open else { return .discarded(slot: slot, bytes: taken) }
      return .received(slot: slot, UnsafeMutableRawBufferPointer(rebasing: buffer[..<taken]))
    }
    if taken == 0 { return .receiveEnded(slot: slot, errno: 0) }
    // EAGAIN: the kernel dropped what it announced (a bad checksum).
    return taken == -Int(EAGAIN) ? nil : .receiveEnded(slot: slot, errno: Int32(-taken))
  }
}
