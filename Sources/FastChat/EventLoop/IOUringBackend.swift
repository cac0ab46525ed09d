import CLinuxIO
import Glibc

/// The loop's system calls by io_uring.
///
/// - accept: one multishot request a listener.
/// - receive: one multishot request a connection; the kernel takes a buffer from a ring that all share
///   when bytes come, and gets it back when the event was consumed. An idle connection holds none.
/// - send: one request in flight a connection (two could be reordered when the first is cut short).
/// - each turn: one `io_uring_enter` submits everything and waits.
struct IOUringBackend {
  /// The group of the receive buffers; a ring has only this one.
  private static let bufferGroup: UInt16 = 0

  private struct State {
    var ring = io_uring()
    /// Completions copied out of the ring, those taken, those there.
    var taken = 0
    var collected = 0
    /// The receive buffer that the caller has, given back at the next completion. -1: none.
    var lent: Int32 = -1
    /// iovecs and message headers used by entries that are not submitted yet.
    var vectorsUsed = 0
    var messagesUsed = 0
    /// More completions wait in the kernel than fitted.
    var overflowed = false
  }

  private let core: LoopCore
  private let state: UnsafeMutablePointer<State>
  private let ring: UnsafeMutablePointer<io_uring>
  private let completions: UnsafeMutablePointer<linuxio_completion>
  private let completionsMax: Int
  private let bufferRing: UnsafeMutablePointer<io_uring_buf_ring>
  private let buffers: UnsafeMutablePointer<UInt8>
  private let bufferCount: Int
  private let bufferBytes: Int
  /// Room for the gathered writes of one submission. The kernel copies both while it takes the entry
  /// (SUBMIT_STABLE), so the room is free after each submission.
  private let vectors: UnsafeMutablePointer<iovec>
  private let messages: UnsafeMutablePointer<msghdr>
  private let messagesMax: Int

  init(_ core: LoopCore, _ configuration: LoopConfiguration, _ report: BackendReport) throws(LoopError) {
    self.core = core
    completionsMax = Int(configuration.completionEntries)
    bufferCount = configuration.receiveBuffers
    bufferBytes = configuration.receiveBufferBytes
    messagesMax = Int(configuration.submissionEntries)

    state = .allocate(capacity: 1)
    state.initialize(to: State())
    let offset = MemoryLayout<State>.offset(of: \.ring)!
    ring = (UnsafeMutableRawPointer(state) + offset).assumingMemoryBound(to: io_uring.self)
    let setup = BackendProbe.setUp(
      ring, entries: configuration.submissionEntries, completions: configuration.completionEntries,
      flags: report.setupFlags)
    guard setup >= 0 else {
      state.deallocate()
      throw .system(call: "io_uring_setup", errno: -setup)
    }
    if report.present.contains(.registeredRing) { io_uring_register_ring_fd(ring) }

    completions = try mapTable(of: linuxio_completion.self, count: completionsMax)
    vectors = try mapTable(of: iovec.self, count: messagesMax * OutputQueue.iovecs)
    messages = try mapTable(of: msghdr.self, count: messagesMax)
    buffers = try mapTable(of: UInt8.self, count: bufferCount * bufferBytes)
    let entries = try mapTable(of: io_uring_buf.self, count: bufferCount)
    bufferRing = UnsafeMutableRawPointer(entries).assumingMemoryBound(to: io_uring_buf_ring.self)
    let registered = BackendProbe.register(
      ring, bufferRing, entries: bufferCount, group: Self.bufferGroup)
    guard registered >= 0 else {
      destroy()
      throw .system(call: "io_uring_register_buf_ring", errno: -registered)
    }
    for index in 0..<bufferCount { addBuffer(index, offset: index) }
    io_uring_buf_ring_advance(bufferRing, Int32(bufferCount))
  }

  func destroy() {
    io_uring_queue_exit(ring)
    unmapTable(completions, count: completionsMax)
    unmapTable(vectors, count: messagesMax * OutputQueue.iovecs)
    unmapTable(messages, count: messagesMax)
    unmapTable(buffers, count: bufferCount * bufferBytes)
    unmapTable(
      UnsafeMutableRawPointer(bufferRing).assumingMemoryBound(to: io_uring_buf.self), count: bufferCount)
    state.deallocate()
  }

  // MARK: Requests

  /// False: the queue is full, to be tried again next turn.
  func accept(listener: Int, descriptor: Int32) -> Bool {
    guard let entry = entry() else { return false }
    io_uring_prep_multishot_accept(
      entry, descriptor, nil, nil, linuxio_accept_flags)
    io_uring_sqe_set_data64(entry, CompletionTag(.accept, index: listener).raw)
    return true
  }

  /// Ends what `accept` began.
  func stopAccepting(listener: Int, descriptor: Int32) {
    guard let entry = entry() else { return }
    io_uring_prep_cancel64(entry, CompletionTag(.accept, index: listener).raw, 0)
    io_uring_sqe_set_data64(entry, CompletionTag(.cancel, index: 0).raw)
    submit()
  }

  /// Says once for each edge that a descriptor is readable. False: the queue is full.
  func watch(_ index: Int, descriptor: Int32) -> Bool {
    guard let entry = entry() else { return false }
    io_uring_prep_poll_multishot(entry, descriptor, linuxio_epoll_in)
    io_uring_sqe_set_data64(entry, CompletionTag(.watch, index: index).raw)
    return true
  }

  /// What the kernel says at the end of the request is passed by, and what follows it in the queue comes after
  /// it: the index may be used again at once.
  func unwatch(_ index: Int) {
    guard let entry = entry() else { return }
    io_uring_prep_cancel64(entry, CompletionTag(.watch, index: index).raw, 0)
    io_uring_sqe_set_data64(entry, CompletionTag(.cancel, index: 0).raw)
  }

  /// Hands the kernel what the connection's state asks for.
  func settle(_ slot: Int) -> Settled {
    let connection = core.connections[slot]
    let flags = connection.pointee.flags
    if connection.pointee.state == .closing { return release(slot, connection) }
    if connection.pointee.wantsInput {
      if !flags.contains(.receiveArmed), !receive(slot, connection) { return .again }
    } else if flags.contains(.receiveArmed), !flags.contains(.receiveCancelling) {
      guard cancelReceive(slot, connection) else { return .again }
    }
    if flags.contains(.sendArmed) { return .done }
    if connection.pointee.mayWrite { return send(slot, connection) ? .done : .again }
    if connection.pointee.state == .connecting { return awaitConnect(slot, connection) ? .done : .again }
    return .done
  }

  private func receive(_ slot: Int, _ connection: ConnectionPointer) -> Bool {
    guard let entry = entry() else { return false }
    io_uring_prep_recv_multishot(entry, connection.pointee.descriptor, nil, 0, 0)
    entry.pointee.flags |= linuxio_sqe_buffer_select
    entry.pointee.buf_group = Self.bufferGroup
    io_uring_sqe_set_data64(entry, CompletionTag(.receive, core.connections.id(slot)).raw)
    connection.pointee.flags.insert(.receiveArmed)
    return true
  }

  private func cancelReceive(_ slot: Int, _ connection: ConnectionPointer) -> Bool {
    guard let entry = entry() else { return false }
    io_uring_prep_cancel64(entry, CompletionTag(.receive, core.connections.id(slot)).raw, 0)
    io_uring_sqe_set_data64(entry, CompletionTag(.cancel, index: 0).raw)
    connection.pointee.flags.insert(.receiveCancelling)
    return true
  }

  private func send(_ slot: Int, _ connection: ConnectionPointer) -> Bool {
    guard let entry = entry() else { return false }
    if let piece = core.output.onlyPiece(connection) {
      io_uring_prep_send(
        entry, connection.pointee.descriptor, piece.baseAddress, piece.count, Int32(MSG_NOSIGNAL))
    } else {
      let message = messages + state.pointee.messagesUsed
      let first = vectors + state.pointee.vectorsUsed
      let pieces = core.output.gather(connection, into: first)
      state.pointee.messagesUsed += 1
      state.pointee.vectorsUsed += pieces
      message.pointee = msghdr()
      message.pointee.msg_iov = first
      message.pointee.msg_iovlen = pieces
      io_uring_prep_sendmsg(
        entry, connection.pointee.descriptor, message, UInt32(MSG_NOSIGNAL))
    }
    io_uring_sqe_set_data64(entry, CompletionTag(.send, core.connections.id(slot)).raw)
    connection.pointee.flags.insert(.sendArmed)
    core.statistics.pointee.writes &+= 1
    return true
  }

  private func awaitConnect(_ slot: Int, _ connection: ConnectionPointer) -> Bool {
    guard let entry = entry() else { return false }
    io_uring_prep_poll_add(entry, connection.pointee.descriptor, linuxio_epoll_out)
    io_uring_sqe_set_data64(entry, CompletionTag(.connect, core.connections.id(slot)).raw)
    connection.pointee.flags.insert(.sendArmed)
    return true
  }

  /// Cancels all that is with the kernel; the descriptor stays open until it is, since requests hold the
  /// socket itself and would live on.
  private func release(_ slot: Int, _ connection: ConnectionPointer) -> Settled {
    let flags = connection.pointee.flags
    if flags.isDisjoint(with: .withKernel) { return .released }
    if flags.contains(.cancelling) { return .done }
    guard let entry = entry() else { return .again }
    io_uring_prep_cancel_fd(
      entry, connection.pointee.descriptor, UInt32(IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD))
    io_uring_sqe_set_data64(entry, CompletionTag(.cancel, index: 0).raw)
    connection.pointee.flags.insert(.cancelling)
    return .done
  }

  /// A free submission entry. A full queue is submitted first; nil if the kernel takes none now (EAGAIN: no
  /// memory; EBUSY: its completions overflow and must be taken first).
  @inline(__always)
  private func entry() -> UnsafeMutablePointer<io_uring_sqe>? {
    if let entry = io_uring_get_sqe(ring) { return entry }
    submit()
    return io_uring_get_sqe(ring)
  }

  private func submit() {
    _ = io_uring_submit(ring)
    core.statistics.pointee.submits &+= 1
    submitted()
  }

  @inline(__always)
  private func submitted() {
    guard io_uring_sq_ready(ring) == 0 else { return }
    state.pointee.vectorsUsed = 0
    state.pointee.messagesUsed = 0
  }

  // MARK: Waiting

  /// Whether completions of the last wait were not taken yet.
  @inline(__always)
  var hasRest: Bool { state.pointee.taken < state.pointee.collected }

  /// Submits, waits for a completion (below 0: as long as it takes), and copies out what is there.
  func wait(milliseconds: Int64) {
    giveBack()
    core.statistics.pointee.submits &+= 1
    if milliseconds == 0 || hasRest || state.pointee.overflowed {
      // Enters even with nothing to submit: deferred task work runs only there.
      _ = io_uring_submit_and_get_events(ring)
    } else if milliseconds < 0 {
      _ = io_uring_submit_and_wait(ring, 1)
    } else {
      var time = __kernel_timespec(
        tv_sec: milliseconds / 1_000, tv_nsec: (milliseconds % 1_000) * 1_000_000)
      var first: UnsafeMutablePointer<io_uring_cqe>?
      // ETIME: the time is over. EINTR: a signal; the caller's turn, not ours, decides what then. EAGAIN
      // and EBUSY as in `entry`: what could not be submitted stays in the queue for the next turn.
      _ = io_uring_submit_and_wait_timeout(ring, &first, 1, &time, nil)
    }
    submitted()
    guard !hasRest else { return }
    state.pointee.taken = 0
    state.pointee.collected = Int(linuxio_collect(ring, completions, UInt32(completionsMax)))
    // The kernel keeps what did not fit (NODROP), and hands it over when the ring has room.
    state.pointee.overflowed = io_uring_cq_has_overflow(ring)
    if state.pointee.overflowed { core.statistics.pointee.completionOverflows &+= 1 }
  }

  // MARK: Completions

  /// The next completion of the last wait.
  func next() -> Completion? {
    giveBack()
    while hasRest {
      let completion = completions[state.pointee.taken]
      state.pointee.taken += 1
      let tag = CompletionTag(raw: completion.tag)
      let more = completion.flags & UInt32(IORING_CQE_F_MORE) != 0
      let result: Completion?
      switch tag.operation {
      case .receive: result = received(tag, completion, more)
      case .send: result = sent(tag, completion)
      case .connect: result = connected(tag, completion)
      case .accept: result = accepted(tag, completion, more)
      case .watch:
        // Negative: the descriptor is bad or the ring ends; asking again would spin.
        result = completion.result < 0 ? nil : .readable(watch: tag.slot, armed: more)
      case .cancel, nil: result = nil
      }
      if let result { return result }
    }
    return nil
  }

  private func received(_ tag: CompletionTag, _ completion: linuxio_completion, _ more: Bool) -> Completion? {
    let buffer =
      completion.flags & UInt32(IORING_CQE_F_BUFFER) != 0
      ? Int32(completion.flags >> UInt32(IORING_CQE_BUFFER_SHIFT)) : -1
    let slot = tag.slot
    let connection = core.connections[slot]
    guard connection.pointee.generation == tag.generation, connection.pointee.state != .free else {
      core.statistics.pointee.stale &+= 1
      if buffer >= 0 { recycle(buffer) }
      return nil
    }
    if !more { connection.pointee.flags.subtract([.receiveArmed, .receiveCancelling]) }
    switch connection.pointee.state {
    case .closing, .failed, .connecting, .free:
      if buffer >= 0 { recycle(buffer) }
      return more ? nil : ended(slot, connection)
    case .open, .flushing, .draining:
      // Unless it ended for good, the request is made again at the end of the turn.
      if !more { core.markDirty(slot) }
    }
    guard completion.result > 0 else {
      if buffer >= 0 { recycle(buffer) }
      return receiveEnded(slot, -completion.result)
    }
    let count = Int(completion.result)
    core.statistics.pointee.receives &+= 1
    core.statistics.pointee.bytesReceived &+= UInt64(count)
    if connection.pointee.state != .open {
      recycle(buffer)
      return .discarded(slot: slot, bytes: count)
    }
    state.pointee.lent = buffer
    return .received(
      slot: slot, UnsafeMutableRawBufferPointer(start: buffers + Int(buffer) * bufferBytes, count: count))
  }

  private func receiveEnded(_ slot: Int, _ code: Int32) -> Completion? {
    switch code {
    case ENOBUFS:
      // All receive buffers hold events that are not consumed yet: armed again when they are.
      core.statistics.pointee.receiveStarvations &+= 1
      return nil
    case ECANCELED, EINTR, EAGAIN:
      // Cancelled by pausing, or to be tried again: settled at the end of the turn.
      return nil
    default:
      return .receiveEnded(slot: slot, errno: code)
    }
  }

  private func sent(_ tag: CompletionTag, _ completion: linuxio_completion) -> Completion? {
    let slot = tag.slot
    let connection = core.connections[slot]
    guard connection.pointee.generation == tag.generation, connection.pointee.state != .free else {
      core.statistics.pointee.stale &+= 1
      return nil
    }
    connection.pointee.flags.remove(.sendArmed)
    if completion.result > 0 {
      core.statistics.pointee.bytesWritten &+= UInt64(completion.result)
      core.output.consume(connection, Int(completion.result), tick: core.clock.tick)
    }
    switch connection.pointee.state {
    case .closing, .failed, .connecting, .free: return ended(slot, connection)
    case .open, .flushing, .draining: break
    }
    switch completion.result {
    case 0...: break
    case -EAGAIN, -EINTR: break  // nothing was taken: once more
    default: return .sendFailed(slot: slot, errno: -completion.result)
    }
    if connection.pointee.queued > 0 { core.markDirty(slot) }
    return .sent(slot: slot)
  }

  private func connected(_ tag: CompletionTag, _ completion: linuxio_completion) -> Completion? {
    let slot = tag.slot
    let connection = core.connections[slot]
    guard connection.pointee.generation == tag.generation, connection.pointee.state != .free else {
      core.statistics.pointee.stale &+= 1
      return nil
    }
    connection.pointee.flags.remove(.sendArmed)
    guard connection.pointee.state == .connecting else { return ended(slot, connection) }
    return .connected(slot: slot, errno: pendingError(of: connection.pointee.descriptor))
  }

  /// A request of a connection that is over came back: whether it was the last. One that is on the dirty
  /// list is found there, so that no slot is freed while it is listed.
  private func ended(_ slot: Int, _ connection: ConnectionPointer) -> Completion? {
    let flags = connection.pointee.flags
    guard connection.pointee.state == .closing, flags.isDisjoint(with: .withKernel), !flags.contains(.dirty)
    else { return nil }
    return .released(slot: slot)
  }

  private func accepted(_ tag: CompletionTag, _ completion: linuxio_completion, _ more: Bool) -> Completion {
    if completion.result >= 0 {
      return .accepted(listener: tag.slot, descriptor: completion.result, armed: more)
    }
    return .acceptFailed(listener: tag.slot, errno: -completion.result)
  }

  // MARK: Receive buffers

  @inline(__always)
  private func giveBack() {
    guard state.pointee.lent >= 0 else { return }
    recycle(state.pointee.lent)
    state.pointee.lent = -1
  }

  @inline(__always)
  private func recycle(_ buffer: Int32) {
    addBuffer(Int(buffer), offset: 0)
    io_uring_buf_ring_advance(bufferRing, 1)
  }

  @inline(__always)
  private func addBuffer(_ index: Int, offset: Int) {
    io_uring_buf_ring_add(
      bufferRing, buffers + index * bufferBytes, UInt32(bufferBytes), UInt16(index),
      Int32(bufferCount - 1), Int32(offset))
  }
}

/// The error that waits on a socket; 0 if none.
func pendingError(of descriptor: Int32) -> Int32 {
  var code: Int32 = 0
  var length = socklen_t(MemoryLayout<Int32>.size)
  let result = syscall { getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) }
  return result < 0 ? Int32(-result) : code
}
