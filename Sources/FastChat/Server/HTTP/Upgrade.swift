import Chat
import EventLoop
import WebSocket

/// The request that makes a connection a WebSocket.
extension Shard {
  /// What `/ws` speaks.
  static let subprotocol: StaticString = "fastchat.v1"
  /// Bytes of one message on `/echo`.
  static let echoBytes = 16 << 20

  func upgrade(
    _ request: HTTPRequest, to phase: Connection.Phase, _ id: ConnectionID,
    _ connection: UnsafeMutablePointer<Connection>
  ) {
    let isChat = phase == .chat
    let judged = Handshake.judge(
      request, subprotocol: isChat ? Shard.subprotocol : nil,
      deflate: isChat ? server.configuration.deflate : true)
    switch judged {
    case .refused(let status, let reason):
      Log.debug("upgrade refused", ["status": "\(status.rawValue)", "reason": "\(reason)"])
      refuse(status, id)
    case .accepted(let handshake):
      guard isAllowed(request) else { return refuse(.forbidden, id) }
      guard !server.admission.isCrowded else {
        metrics.add(.connectionsRefused)
        return refuse(.serviceUnavailable, id)
      }
      guard let room = loop.reserve(id, Handshake.mostBytes), let count = handshake.write(into: room) else {
        return hangUp(id)
      }
      loop.commit(id, count)
      begin(phase, deflate: handshake.deflate, id, connection)
    }
  }

  /// The rules of PROTOCOL, "Connecting": no page of somebody else's talks to this server, and none that
  /// gave its own name our address reaches a server that asks nobody who he is.
  private func isAllowed(_ request: HTTPRequest) -> Bool {
    guard server.originRule.allows(request) else { return false }
    switch server.configuration.authentication {
    case .none: return server.configuration.insecure || HostRule.isLoopback(request.host)
    }
  }

  private func begin(
    _ phase: Connection.Phase, deflate: DeflateParameters?, _ id: ConnectionID,
    _ connection: UnsafeMutablePointer<Connection>
  ) {
    if let deadline = connection.pointee.deadline { loop.cancel(deadline) }
    connection.pointee.deadline = nil
    connection.pointee.phase = phase
    connection.pointee.deflate = deflate
    connection.pointee.receiver = Receiver(
      role: .server, maxMessageBytes: phase == .chat ? Limits.helloBytes : Shard.echoBytes,
      deflate: deflate != nil)
    if phase == .chat {
      edge.opened(SessionID(id, shard: index))
      settle()
    } else {
      greet(connection)
      connection.pointee.isInSessionPool = true
    }
  }

  /// Adds what connections without `welcome` hold here to what the server counts, once a turn.
  func tellNewcomerBytes() {
    let bytes = newcomerPool.bytesInUse + keptOfNewcomers
    guard bytes != toldNewcomerBytes else { return }
    server.admission.newcomerBytes(changedBy: bytes - toldNewcomerBytes)
    toldNewcomerBytes = bytes
  }
}
