/// The backend of a loop: two structs of the same shape. An enum, since a protocol would cost an existential
/// and the loop would be generic for everybody above it.
enum Kernel {
  case ioUring(IOUringBackend)
  case epoll(EpollBackend)

  /// Begins to accept; false: not now, to be asked again.
  func accept(listener: Int, descriptor: Int32) -> Bool {
    switch self {
    case .ioUring(let backend): backend.accept(listener: listener, descriptor: descriptor)
    case .epoll(let backend): backend.accept(listener: listener, descriptor: descriptor)
    }
  }

  func stopAccepting(listener: Int, descriptor: Int32) {
    switch self {
    case .ioUring(let backend): backend.stopAccepting(listener: listener, descriptor: descriptor)
    case .epoll(let backend): backend.stopAccepting(listener: listener, descriptor: descriptor)
    }
  }

  /// Begins to tell edges of a descriptor; false: not now, to be asked again.
  func watch(_ index: Int, descriptor: Int32) -> Bool {
    switch self {
    case .ioUring(let backend): backend.watch(index, descriptor: descriptor)
    case .epoll(let backend): backend.watch(index, descriptor: descriptor)
    }
  }

  /// Tells no more edges of it.
  func unwatch(_ index: Int, descriptor: Int32) {
    switch self {
    case .ioUring(let backend): backend.unwatch(index)
    case .epoll(let backend): backend.unwatch(index, descriptor: descriptor)
    }
  }

  /// Hands the kernel what a connection wants.
  @inline(__always)
  func settle(_ slot: Int) -> Settled {
    switch self {
    case .ioUring(let backend): backend.settle(slot)
    case .epoll(let backend): backend.settle(slot)
    }
  }

  /// Submits, waits, collects.
  @inline(__always)
  func wait(milliseconds: Int64) {
    switch self {
    case .ioUring(let backend): backend.wait(milliseconds: milliseconds)
    case .epoll(let backend): backend.wait(milliseconds: milliseconds)
    }
  }

  /// The next of what was collected.
  @inline(__always)
  func next() -> Completion? {
    switch self {
    case .ioUring(let backend): backend.next()
    case .epoll(let backend): backend.next()
    }
  }

  func destroy() {
    switch self {
    case .ioUring(let backend): backend.destroy()
    case .epoll(let backend): backend.destroy()
    }
  }
}
