import Chat
import EventLoop
import JSON
import WebSocket

/// WebSocket connections: what they receive goes to the edge or back, what is said to them becomes frames.
extension Shard {
  /// Reads on in `chunk` until it is used up, the connection is stopped, or it is gone. Returns the bytes
  /// that were used.
  func read(
    _ id: ConnectionID, _ connection: UnsafeMutablePointer<Connection>,
    _ chunk: UnsafeMutableRawBufferPointer
  ) -> Int {
    // Not chosen into a variable: that would count a reference to the pool for each chunk.
    connection.pointee.isInSessionPool
      ? read(id, connection, chunk, sessionPool) : read(id, connection, chunk, newcomerPool)
  }

  @inline(never)
  private func read(
    _ id: ConnectionID, _ connection: UnsafeMutablePointer<Connection>,
    _ chunk: UnsafeMutableRawBufferPointer, _ pool: GatherPool
  ) -> Int {
    let isEcho = connection.pointee.phase == .echo
    var offset = 0
    while connection.pointee.stops.isEmpty {
      switch connection.pointee.receiver.next(chunk, &offset, pool: pool) {
      case .needMore: return chunk.count
      case .text(let text):
        metrics.add(.framesReceived)
        if isEcho {
          echo(.text, text, to: id, connection)
        } else {
          edge.received(SessionID(id, shard: index), text: text)
          settle()
        }
      case .binary(let bytes):
        metrics.add(.framesReceived)
        if isEcho {
          echo(.binary, bytes, to: id, connection)
        } else {
          end(id, code: .unsupportedData, reason: "frames are text here")
        }
      case .ping(let payload): _ = loop.sendFrame(.pong, payload, to: id)
      case .pong: connection.pointee.awaitsPong = false
      case .close(let code, _): end(id, code: code ?? .normal, hasCode: code != nil, reason: "")
      case .violation(let code, let reason): end(id, code: code, reason: reason)
      }
      guard connections.isOpen(id) else { return chunk.count }
      stopIfFull(id, connection)
    }
    return offset
  }

  /// A connection that greeted is counted with the sessions from its next chunk on: between two chunks the
  /// receiver holds nothing that it handed out.
  func moveToSessionPool(_ connection: UnsafeMutablePointer<Connection>) {
    var offset = 0
    var nothing: UInt8 = 0
    withUnsafeMutableBytes(of: &nothing) { byte in
      let empty = UnsafeMutableRawBufferPointer(rebasing: byte[..<0])
      _ = connection.pointee.receiver.next(empty, &offset, pool: newcomerPool)
    }
    guard connection.pointee.receiver.heldBytes == 0 else { return }
    connection.pointee.isInSessionPool = true
  }

  // MARK: Out

  /// An answer: it is never dropped. A connection that has no room for one has left all bounds behind it
  /// (those of the loop are far above the one at which it is not read any more) and is ended.
  func sendText(_ text: UnsafeRawBufferPointer, to id: ConnectionID) {
    let connection = connections.at(id)
    if !send(.text, text, to: id, connection) { overfull.append(id) }
  }

  private func echo(
    _ opcode: FrameHeader.Opcode, _ payload: UnsafeRawBufferPointer, to id: ConnectionID,
    _ connection: UnsafeMutablePointer<Connection>
  ) {
    // Compressed whatever its size, as it came: what is tested here is the codec.
    guard send(opcode, payload, to: id, connection, compressedFrom: 0) else {
      return end(id, code: .tryAgainLater, reason: "no memory left")
    }
  }

  @inline(__always)
  private func send(
    _ opcode: FrameHeader.Opcode, _ payload: UnsafeRawBufferPointer, to id: ConnectionID,
    _ connection: UnsafeMutablePointer<Connection>, compressedFrom bytesMin: Int = Compressor.bytesMin
  ) -> Bool {
    if let deflate = connection.pointee.deflate, payload.count >= bytesMin {
      return compressor.withCompressed(payload, deflate) {
        loop.sendFrame(opcode, $0, isCompressed: true, to: id)
      }
    }
    return loop.sendFrame(opcode, payload, to: id)
  }

  // MARK: The end

  /// Ends a WebSocket connection from this side or in answer to the other: the edge is told.
  func end(_ id: ConnectionID, code: CloseCode, hasCode: Bool = true, reason: StaticString) {
    let isSession = connections.at(id).pointee.phase == .chat
    if isSession {
      edge.closed(SessionID(id, shard: index))
      settle()
    }
    sayGoodbye(id, code: hasCode ? code : nil, retry: 0, reason: reason)
  }

  /// Sends the close frame behind all that was sent so far, and leaves the rest to the loop. A frame
  /// without a code answers one without.
  func sayGoodbye(_ id: ConnectionID, code: CloseCode?, retry: Int32, reason: StaticString) {
    withUnsafeTemporaryAllocation(byteCount: FrameHeader.mostControlBytes, alignment: 1) { room in
      var count = 0
      if let code {
        goodbye.removeAll()
        if retry > 0 {
          goodbye.append("retry=")
          goodbye.append(decimal: Int64(retry))
          goodbye.append(" ")
        }
        goodbye.append(reason)
        goodbye.truncate(to: min(goodbye.count, CloseCode.mostReasonBytes))
        count = code.encode(reason: goodbye.bytes, into: room)
      }
      _ = loop.sendFrame(.close, UnsafeRawBufferPointer(rebasing: room[..<count]), to: id)
    }
    forget(id)
    loop.finish(id)
  }
}

extension SessionID {
  /// The session of a connection.
  @inline(__always)
  init(_ id: ConnectionID, shard: Int) {
    self.init(shard: shard, generation: id.generation, slot: Int(id.slot))
  }
}
