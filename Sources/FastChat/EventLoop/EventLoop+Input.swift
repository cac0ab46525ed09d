/// Reading, and how a connection ends by our will.
extension EventLoop {
  /// Stops taking bytes from the socket, so that TCP slows the peer down. What had been received already
  /// still comes. While paused, the end of the connection may go unnoticed until something is written.
  public func pauseReading(_ id: ConnectionID) {
    guard let connection = core.connections.usable(id) else { return }
    connection.pointee.flags.insert(.readPaused)
    core.dirty.insert(Int(id.slot), connection)
  }

  /// Takes bytes again.
  public func resumeReading(_ id: ConnectionID) {
    guard let connection = core.connections.usable(id) else { return }
    connection.pointee.flags.remove(.readPaused)
    core.dirty.insert(Int(id.slot), connection)
  }

  /// Writes what is queued, closes our side, takes what the peer still sends (at most `lingerBytes`) so
  /// that no reset destroys our last words, and closes when he has closed or the time is up. The caller
  /// hears nothing of this connection any more; the id is dead at once, the slot is used again later.
  public func finish(_ id: ConnectionID, lingerMilliseconds: Int64 = 2_000) {
    guard let connection = core.connections.usable(id) else { return }
    if connection.pointee.state == .connecting { return close(id) }
    flush(Int(id.slot), connection, max(0, lingerMilliseconds))
  }

  /// Ends the connection now; what is queued is dropped. Nothing of it comes any more; the id is dead at
  /// once, the slot is used again after this turn at the earliest.
  public func close(_ id: ConnectionID) {
    guard let connection = core.connections.usable(id) else { return }
    connection.pointee.state = .closing
    core.dirty.insert(Int(id.slot), connection)
  }

  /// Ends the connection now, and by a reset: nothing of what is queued here or in the kernel reaches the peer
  /// later, whereas after `close` the kernel goes on sending what it had taken. Otherwise as `close`; also for
  /// a connection whose `ended` was told while its output is still being written.
  public func abort(_ id: ConnectionID) {
    guard let connection = core.connections.living(id) else { return }
    resetWhenClosed(connection.pointee.descriptor)
    // `failed` goes on to `closing` when it has been told.
    if connection.pointee.state != .failed { connection.pointee.state = .closing }
    core.dirty.insert(Int(id.slot), connection)
  }
}
