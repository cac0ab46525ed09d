import CLinuxIO
import Glibc

/// Where connections and words from elsewhere come from.
extension EventLoop {
  /// Accepts on a socket, which the loop owns from here on. Gives the index that `accepted` carries.
  /// Throws `exhausted` beyond `listenersMax` in the life of a loop.
  @discardableResult
  public func add(listener: ListeningSocket) throws(LoopError) -> Int {
    guard listeners.count < Self.listenersMax else { throw .exhausted("listeners") }
    listeners.append(Listener(descriptor: listener.descriptor))
    needsArming = true
    return listeners.count - 1
  }

  /// Stops accepting on it, and closes it. Connections that were accepted already still come.
  public func remove(listener index: Int) {
    guard listeners.indices.contains(index), listeners[index].isOpen else { return }
    if listeners[index].isArmed {
      kernel.stopAccepting(listener: index, descriptor: listeners[index].descriptor)
    }
    // A request that is with the kernel holds the socket: it must not go on listening until that is over.
    shutDownBothWays(listeners[index].descriptor)
    closeDescriptor(listeners[index].descriptor)
    listeners[index].isOpen = false
    listeners[index].isArmed = false
  }

  /// Begins a connection; `connected` or `ended` tells how it went. What is sent meanwhile waits.
  /// Throws `exhausted` if no slot is left.
  public func connect(to address: SocketAddress) throws(LoopError) -> ConnectionID {
    let descriptor = try checked("socket") {
      socket(address.family, linuxio_stream_socket, 0)
    }
    setNoDelay(descriptor)
    let result = address.withSocketAddress { address, length in
      syscall { Glibc.connect(descriptor, address, length) }
    }
    guard result == 0 || result == -Int(EINPROGRESS) else {
      closeDescriptor(descriptor)
      throw .system(call: "connect", errno: Int32(-result))
    }
    guard let id = take(descriptor, .connecting) else {
      closeDescriptor(descriptor)
      throw .exhausted("connections")
    }
    return id
  }

  /// Takes over a stream socket that is connected already; the loop closes it. Throws `exhausted` if no slot
  /// is left; then it stays the caller's.
  public func adopt(descriptor: Int32) throws(LoopError) -> ConnectionID {
    guard let id = take(descriptor, .open) else { throw .exhausted("connections") }
    setNoDelay(descriptor)
    return id
  }

  /// The peer's address; nil if the connection is gone or is no TCP connection. One system call.
  public func peerAddress(of id: ConnectionID) -> SocketAddress? {
    guard let connection = core.connections.usable(id) else { return nil }
    return SocketAddress(filledBy: { getpeername(connection.pointee.descriptor, $0, $1) })
  }

  /// Tells `mail` whenever this mailbox gets its first message. The loop keeps it alive.
  /// Throws `exhausted` beyond `watchesMax`.
  public func watch<Message>(_ mailbox: Mailbox<Message>) throws(LoopError) {
    try watch(mailbox.wake, tag: 0, isMail: true)
    mailboxes.append(mailbox)
  }

  /// Tells `readable(tag)` on each edge of a descriptor of another library (an eventfd of a client library,
  /// a signalfd, ...). The loop does not close it; it stays watched, and must stay open, until `unwatch` or
  /// until the loop ends. Throws `exhausted` beyond `watchesMax`.
  public func watch(descriptor: Int32, tag: UInt64) throws(LoopError) {
    try watch(descriptor, tag: tag, isMail: false)
  }

  /// Watches a descriptor no more, which may be closed then. An edge that was collected already is still told,
  /// under the tag of whatever is watched in its place.
  public func unwatch(descriptor: Int32) {
    guard let index = watches.firstIndex(where: { $0.descriptor == descriptor && !$0.isMail }) else { return }
    if watches[index].isArmed { kernel.unwatch(index, descriptor: descriptor) }
    watches[index] = Watch(descriptor: -1, tag: 0, isMail: false, isArmed: true)
  }

  private func watch(_ descriptor: Int32, tag: UInt64, isMail: Bool) throws(LoopError) {
    let watch = Watch(descriptor: descriptor, tag: tag, isMail: isMail)
    if let free = watches.firstIndex(where: { $0.descriptor < 0 }) {
      watches[free] = watch
    } else {
      guard watches.count < Self.watchesMax else { throw .exhausted("watches") }
      watches.append(watch)
    }
    needsArming = true
  }

  /// The socket of a connection, for tests to look at.
  package func descriptor(of id: ConnectionID) -> Int32? {
    core.connections.usable(id)?.pointee.descriptor
  }

  // MARK: Inside

  private func take(_ descriptor: Int32, _ state: Connection.State) -> ConnectionID? {
    let slot = core.connections.allocate(
      descriptor: descriptor, state: state, lingerBytes: configuration.lingerBytes)
    guard let slot else { return nil }
    core.markDirty(slot)
    return core.connections.id(slot)
  }

  /// A whole turn leaves in one write: nothing is gained by waiting for more. No TCP socket, no delay.
  private func setNoDelay(_ descriptor: Int32) {
    var on: Int32 = 1
    setsockopt(
      descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
  }

  /// Hands listeners and watches to the kernel that are not with it.
  func arm() {
    switch accepting {
    case .running: armListeners()
    case .retrying: break
    case .paused(let retryTick) where core.clock.tick >= retryTick:
      accepting = .retrying
      armListeners()
    case .paused: break
    }
    needsArming = false
    for index in watches.indices where !watches[index].isArmed {
      watches[index].isArmed = kernel.watch(index, descriptor: watches[index].descriptor)
      if !watches[index].isArmed { needsArming = true }
    }
    if accepting == .running, listeners.contains(where: { $0.isOpen && !$0.isArmed }) { needsArming = true }
  }

  private func armListeners() {
    for index in listeners.indices where listeners[index].isOpen && !listeners[index].isArmed {
      listeners[index].isArmed = kernel.accept(listener: index, descriptor: listeners[index].descriptor)
    }
  }

  func readable(_ index: Int, _ armed: Bool) -> LoopEvent? {
    guard watches[index].descriptor >= 0 else { return nil }
    if !armed {
      watches[index].isArmed = false
      needsArming = true
    }
    return watches[index].isMail ? .mail : .readable(watches[index].tag)
  }

  func accepted(_ listener: Int, _ descriptor: Int32, _ armed: Bool) -> LoopEvent? {
    if !armed {
      listeners[listener].isArmed = false
      needsArming = true
    }
    // TCP_NODELAY is inherited from the listener.
    guard let id = take(descriptor, .open) else {
      closeDescriptor(descriptor)
      core.statistics.pointee.refused &+= 1
      return nil
    }
    core.statistics.pointee.accepted &+= 1
    return .accepted(id, listener: listener)
  }

  func acceptFailed(_ listener: Int, _ code: Int32) -> LoopEvent? {
    guard listeners[listener].isOpen else { return nil }
    switch code {
    case ECONNABORTED, EINTR, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH,
      EOPNOTSUPP, ENETUNREACH, EPERM, ECANCELED:
      // That one connection died while it waited (accept(2): errors of the new socket), or a firewall
      // forbade it. The next may live.
      rearm(listener)
      return nil
    default:
      // EMFILE, ENFILE: no descriptors, of the process or the system. ENOMEM, ENOBUFS: no memory for the
      // socket. And whatever else would come again at once.
      if listeners[listener].isArmed {
        kernel.stopAccepting(listener: listener, descriptor: listeners[listener].descriptor)
        listeners[listener].isArmed = false
      }
      let wasRunning = accepting == .running
      accepting = .paused(retryTick: core.clock.tick + configuration.acceptRetryMilliseconds)
      guard wasRunning else { return nil }
      core.statistics.pointee.acceptPauses &+= 1
      return .acceptPaused
    }
  }

  /// io_uring ends a multishot request with its first error; epoll goes on by itself.
  private func rearm(_ listener: Int) {
    guard backend == .ioUring else { return }
    listeners[listener].isArmed = false
    needsArming = true
  }
}
