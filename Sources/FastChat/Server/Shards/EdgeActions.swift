import Chat
import EventLoop
import WebSocket

/// What the edge machine wants done with sockets and the directory, done.
extension Shard {
  /// Performs what the last input of the edge left, and whatever that leads to, until nothing is left.
  /// To be called after each input.
  @inline(__always)
  func settle() {
    if edge.actionCount > 0 || edge.hasMore { performAll() }
  }

  /// Losses are told first and all together, as `Edge` asks. What else an input led to are inputs of their
  /// own after them: registrations, which the directory of a single server answers at once, among them.
  private func performAll() {
    while true {
      for i in 0..<edge.actionCount { perform(edge.action(i)) }
      fanOut.end(loop)
      edge.actionsPerformed()
      if !losses.isEmpty {
        tellLosses()
      } else if let id = overfull.popLast() {
        cutOff(id)
      } else if let session = registered.popLast() {
        edge.registered(session)
      } else if edge.hasMore {
        edge.continueBatch()
      } else if edge.actionCount == 0 {
        return
      }
    }
  }

  private func tellLosses() {
    for loss in losses { edge.lost(loss.session, delivery: loss.delivery) }
    for loss in losses { connections.at(ConnectionID(loss.session)).pointee.losesCopies = false }
    losses.removeAll(keepingCapacity: true)
  }

  /// Ends a connection that had no room for an answer: nothing could be said to it either.
  private func cutOff(_ id: ConnectionID) {
    guard connections.isOpen(id) else { return }
    edge.closed(SessionID(id, shard: index))
    forget(id)
    loop.close(id)
  }

  @inline(__always)
  private func perform(_ action: EdgeAction) {
    switch action {
    case .deliver(let session, let delivery): deliver(delivery, to: session)
    case .send(let session, let start, let count):
      sendText(edge.output(start: start, count: count), to: ConnectionID(session))
    case .pause(let session):
      connections.at(ConnectionID(session)).pointee.stops.insert(.edge)
    case .resume(let session):
      connections.at(ConnectionID(session)).pointee.stops.remove(.edge)
      resumed.append(ConnectionID(session))
    case .close(let session, let code, let retry, let reason):
      sayGoodbye(ConnectionID(session), code: CloseCode(rawValue: code), retry: retry, reason: reason)
    case .attach(let session): attach(session)
    case .detach(let session): unregister(session)
    case .listen(let start, let count): say(.listen(room: Array(edge.output(start: start, count: count))))
    case .unlisten(let start, let count): say(.unlisten(room: Array(edge.output(start: start, count: count))))
    case .viewChanged(let partition, let view): say(.viewChanged(partition: partition, view))
    case .askRegistration: say(.askRegistration)
    case .askLogEnd(let partition): say(.askLogEnd(partition: partition))
    case .stop(let partition, let reason): say(.stop(partition: partition, reason))
    }
  }

  // MARK: Copies of events

  @inline(__always)
  private func deliver(_ delivery: Int32, to session: SessionID) {
    let id = ConnectionID(session)
    let connection = connections.at(id)
    if connection.pointee.losesCopies || loop.queuedBytes(id) > outputMax
      || !sendCopy(edge.delivery(delivery), delivery, to: id, connection)
    {
      if !connection.pointee.losesCopies { filled.append(id) }
      connection.pointee.losesCopies = true
      losses.append(Loss(session: session, delivery: delivery))
    }
  }

  @inline(__always)
  private func sendCopy(
    _ event: Delivery, _ delivery: Int32, to id: ConnectionID, _ connection: UnsafeMutablePointer<Connection>
  ) -> Bool {
    if let deflate = connection.pointee.deflate, event.json.count >= Compressor.bytesMin {
      return fanOut.sendCompressed(event, delivery, to: id, compressor, deflate, loop)
    }
    return fanOut.send(event, delivery, of: edge, to: id, loop)
  }

  // MARK: Attaching

  private func attach(_ session: SessionID) {
    let connection = connections.at(ConnectionID(session))
    greet(connection)
    connection.pointee.receiver.maxMessageBytes = limits.frameBytes
    register(session)
  }
}

/// A copy of an event that a session had no room for.
struct Loss {
  let session: SessionID
  let delivery: Int32
}

extension ConnectionID {
  /// The connection of a session of this shard.
  @inline(__always)
  init(_ session: SessionID) { self.init(slot: UInt32(session.slot), generation: session.generation) }
}
