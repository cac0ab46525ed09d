/// What leaves.
extension EventLoop {
  /// Queues a copy of the bytes. False, and nothing is queued: the connection is gone, or a bound
  /// (`outputBytes`, `totalOutputBytes`, `segments`) would be passed.
  @discardableResult
  public func send(_ id: ConnectionID, copying bytes: UnsafeRawBufferPointer) -> Bool {
    guard let connection = core.connections.usable(id) else { return false }
    guard let source = bytes.baseAddress, bytes.count > 0 else { return true }
    guard let room = core.output.room(connection, bytes.count) else { return refused() }
    room.baseAddress!.copyMemory(from: source, byteCount: bytes.count)
    core.output.commit(connection, bytes.count, tick: core.clock.tick)
    core.dirty.insert(Int(id.slot), connection)
    return true
  }

  /// Room for at least `n` bytes at the end of the connection's output, to encode into; what is then
  /// `commit`ted leaves. To be committed before anything else is called for this connection, and before
  /// `next()`. Nil where `send` is false.
  public func reserve(_ id: ConnectionID, _ n: Int) -> UnsafeMutableRawBufferPointer? {
    guard let connection = core.connections.usable(id) else { return nil }
    guard let room = core.output.room(connection, n) else {
      _ = refused()
      return nil
    }
    core.dirty.insert(Int(id.slot), connection)
    return room
  }

  /// Queues the first `n` bytes of what `reserve` gave (no more than were asked for there, or the bound
  /// would be passed).
  public func commit(_ id: ConnectionID, _ n: Int) {
    guard let connection = core.connections.usable(id) else { return }
    core.output.commit(connection, n, tick: core.clock.tick)
  }

  /// Queues a use of a shared buffer. False as with `send(_:copying:)`.
  @discardableResult
  public func send(_ id: ConnectionID, shared: SharedBuffer) -> Bool {
    guard let connection = core.connections.usable(id) else { return false }
    guard shared.block.pointee.count > 0 else { return true }
    guard core.output.share(connection, shared.block, tick: core.clock.tick) else { return refused() }
    core.dirty.insert(Int(id.slot), connection)
    return true
  }

  /// A buffer of `count` bytes for the caller to fill and share; he holds one count, and gives it back by
  /// `release`. Nil: `totalOutputBytes` would be passed.
  public func makeShared(_ count: Int) -> SharedBuffer? {
    guard let block = core.output.pool.take(count) else {
      _ = refused()
      return nil
    }
    block.pointee.count = UInt32(count)
    return SharedBuffer(block: block)
  }

  /// As `makeShared`, of bytes that stay where they are, and as they are, as long as `owner` lives. It is held
  /// until the last send of the buffer is complete, or its connection gone, and let go on this thread.
  /// - Parameter bytes: at least one.
  public func lend(_ bytes: UnsafeRawBufferPointer, keptBy owner: AnyObject) -> SharedBuffer? {
    precondition(bytes.count > 0 && bytes.count <= Int(UInt32.max))
    guard let block = core.output.pool.lend(bytes, keptBy: owner) else {
      _ = refused()
      return nil
    }
    return SharedBuffer(block: block)
  }

  /// Gives the caller's count back. The buffer is used again after the last of its sends.
  public func release(_ shared: SharedBuffer) { core.output.pool.release(shared.block) }

  /// Bytes that wait for this connection, those included that the kernel is just being given.
  public func queuedBytes(_ id: ConnectionID) -> Int {
    guard let connection = core.connections.usable(id) else { return 0 }
    return Int(connection.pointee.queued)
  }

  /// Bytes of the output buffers that are in use, of all connections and shared ones, unused room included.
  public var outputBytes: Int { core.output.pool.liveBytes }

  private func refused() -> Bool {
    core.statistics.pointee.refusedOutputs &+= 1
    return false
  }
}
