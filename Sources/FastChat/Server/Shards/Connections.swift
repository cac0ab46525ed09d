import Chat
import EventLoop
import WebSocket

/// The life of a connection, whatever is spoken on it: from accepting to the last byte.
extension Shard {
  func accepted(_ id: ConnectionID, listener: Int) {
    metrics.add(.connectionsAccepted)
    connections.open(id, isAdmin: listener == adminListener)
    let isAdmitted = server.admission.enter()
    guard !isTakingNothing else { return refuse(.serviceUnavailable, id) }
    // Operators are let in where clients are not: they come to see why.
    if !isAdmitted || loop.connectionCount > loop.configuration.connections, listener != adminListener {
      metrics.add(.connectionsRefused)
      return refuse(.serviceUnavailable, id)
    }
    awaitRequest(id, connections.at(id))
  }

  @inline(__always)
  func received(_ id: ConnectionID, _ bytes: UnsafeMutableRawBufferPointer) {
    guard let connection = connections.find(id) else { return }
    metrics.add(.bytesReceived, bytes.count)
    if connection.pointee.stops.isEmpty, connection.pointee.kept.isEmpty, !isTakingNothing {
      let used = use(bytes, id, connection)
      guard used < bytes.count, connections.isOpen(id) else { return }
      keep(UnsafeMutableRawBufferPointer(rebasing: bytes[used...]), connection)
    } else {
      wait(bytes, id, connection)
    }
  }

  /// Takes bytes behind others that wait. While the connection is stopped the loop reads no more from it:
  /// what still comes is what it had taken from the kernel already, at most its receive buffers.
  private func wait(
    _ bytes: UnsafeMutableRawBufferPointer, _ id: ConnectionID, _ connection: UnsafeMutablePointer<Connection>
  ) {
    guard !isTakingNothing else { return loop.pauseReading(id) }
    keep(bytes, connection)
    if connection.pointee.stops.isEmpty { return readKept(id, connection) }
    guard !connection.pointee.isReadingPaused else { return }
    connection.pointee.isReadingPaused = true
    loop.pauseReading(id)
  }

  /// Hands bytes to what is spoken on the connection, and returns how many were used: fewer where the
  /// connection was stopped, or half a request is there.
  @inline(__always)
  private func use(
    _ bytes: UnsafeMutableRawBufferPointer, _ id: ConnectionID, _ connection: UnsafeMutablePointer<Connection>
  ) -> Int {
    var used = 0
    if connection.pointee.phase == .http {
      used = serve(id, connection, bytes)
      // Bytes behind an upgrade request are frames already.
      guard used < bytes.count, connections.isOpen(id), connection.pointee.phase != .http else { return used }
    }
    if connection.pointee.hasGreeted, !connection.pointee.isInSessionPool { moveToSessionPool(connection) }
    return used + read(id, connection, UnsafeMutableRawBufferPointer(rebasing: bytes[used...]))
  }

  private func keep(
    _ bytes: UnsafeMutableRawBufferPointer, _ connection: UnsafeMutablePointer<Connection>
  ) {
    connection.pointee.kept.append(UnsafeRawBufferPointer(bytes))
    if !connection.pointee.hasGreeted { keptOfNewcomers += bytes.count }
  }

  // MARK: Going on

  /// Reads on, at the end of a turn, whatever may be read on again.
  func readOn() {
    while let id = resumed.popLast() {
      guard let connection = connections.find(id), connection.pointee.stops.isEmpty else { continue }
      // The time in which it could not answer is not held against it.
      connection.pointee.pingTick = loop.tick
      if !connection.pointee.kept.isEmpty { readKept(id, connection) }
      guard connections.isOpen(id), connection.pointee.stops.isEmpty, connection.pointee.isReadingPaused
      else { continue }
      connection.pointee.isReadingPaused = false
      loop.resumeReading(id)
    }
  }

  private func readKept(_ id: ConnectionID, _ connection: UnsafeMutablePointer<Connection>) {
    // The bytes must stay where they are while frames in them are looked at.
    let used = use(connection.pointee.kept.bytes, id, connection)
    guard connections.isOpen(id) else { return }
    if !connection.pointee.hasGreeted { keptOfNewcomers -= used }
    connection.pointee.kept.removeFirst(used)
  }

  /// From now on the connection's bytes are counted with those of sessions.
  func greet(_ connection: UnsafeMutablePointer<Connection>) {
    guard !connection.pointee.hasGreeted else { return }
    connection.pointee.hasGreeted = true
    keptOfNewcomers -= connection.pointee.kept.count
  }

  /// Above the output bound nothing more is taken from the connection, so that answers, echoes and pongs
  /// have a bound too.
  @inline(__always)
  func stopIfFull(_ id: ConnectionID, _ connection: UnsafeMutablePointer<Connection>) {
    if loop.queuedBytes(id) > outputMax {
      connection.pointee.stops.insert(.output)
      filled.append(id)
    }
  }

  /// Goes on with connections that the turn's writes have emptied. Of the others the loop tells.
  func lookAtFilled() {
    while let id = filled.popLast() {
      if loop.queuedBytes(id) <= loop.configuration.lowWaterBytes { drained(id) }
    }
  }

  func drained(_ id: ConnectionID) {
    guard let connection = connections.find(id) else { return }
    if connection.pointee.stops.contains(.output) {
      connection.pointee.stops.remove(.output)
      resumed.append(id)
    }
    if connection.pointee.phase == .chat {
      edge.drained(SessionID(id, shard: index))
      settle()
    }
  }

  // MARK: The end

  /// The other side, or the network, ended it.
  func ended(_ id: ConnectionID) {
    guard let connection = connections.find(id) else { return }
    if connection.pointee.phase == .chat {
      edge.closed(SessionID(id, shard: index))
      settle()
    }
    forget(id)
  }

  /// Ends a connection of plain HTTP behind what was said.
  func finish(_ id: ConnectionID) {
    forget(id)
    loop.finish(id)
  }

  /// Ends a connection to which nothing can be said any more.
  func hangUp(_ id: ConnectionID) {
    forget(id)
    loop.close(id)
  }

  /// Gives back all that the connection held here. The edge was told, or has told it.
  func forget(_ id: ConnectionID) {
    let connection = connections.at(id)
    if let deadline = connection.pointee.deadline { loop.cancel(deadline) }
    if !connection.pointee.hasGreeted { keptOfNewcomers -= connection.pointee.kept.count }
    connection.pointee.receiver.release(to: connection.pointee.isInSessionPool ? sessionPool : newcomerPool)
    connections.remove(id)
    server.admission.leave()
  }

  /// What is no session of the edge's, which says goodbye to its own.
  func sayGoodbyeToTheRest() {
    for slot in 0..<connections.used {
      guard let id = connections.id(inSlot: slot) else { continue }
      switch connections.at(id).pointee.phase {
      case .http: finish(id)
      case .echo, .chat: sayGoodbye(id, code: .goingAway, retry: 0, reason: "the server ends")
      }
    }
  }
}
