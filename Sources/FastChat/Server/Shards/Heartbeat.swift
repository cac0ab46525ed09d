import Chat
import EventLoop
import WebSocket

/// Pings to every session, spread over the heartbeat by their slots, and a look at who did not answer.
///
/// Two hands go round the slots: one pings, once in `heartbeatSeconds`; one looks for pings without a pong,
/// once in `watchMilliseconds`. So a connection needs no timer and no memory of its own for it.
struct Heartbeat {
  /// A pong that is late is noticed so much later at most.
  private static let watchMilliseconds = 2_000

  /// One hand: how far it has come, in slots.
  private struct Hand {
    let periodMilliseconds: Int
    var slot = 0
    /// Slots times milliseconds that are owed to it: what one step leaves over counts in the next.
    var owed = 0

    /// The slots that it passes in `elapsed` milliseconds, where `used` are in use; each once at most.
    mutating func advance(_ elapsed: Int, used: Int) -> (start: Int, count: Int) {
      owed += elapsed * used
      let count = min(owed / periodMilliseconds, used)
      owed %= periodMilliseconds
      let start = slot < used ? slot : 0
      slot = start + count < used ? start + count : start + count - used
      return (start, count)
    }
  }

  private var pinging: Hand
  private var watching = Hand(periodMilliseconds: watchMilliseconds)

  init(seconds: Int) { pinging = Hand(periodMilliseconds: seconds * 1_000) }

  /// Goes on by `elapsed` milliseconds: calls `ping` and `watch` with the slots that are due.
  mutating func advance(
    _ elapsed: Int, used: Int, ping: (_ slot: Int) -> Void, watch: (_ slot: Int) -> Void
  ) {
    guard used > 0 else { return }
    let pings = pinging.advance(elapsed, used: used)
    for i in 0..<pings.count { ping((pings.start + i) % used) }
    let looks = watching.advance(elapsed, used: used)
    for i in 0..<looks.count { watch((looks.start + i) % used) }
  }
}

extension Shard {
  func beat(_ elapsed: Int) {
    heartbeat.advance(elapsed, used: connections.used) { slot in
      guard let id = connections.id(inSlot: slot) else { return }
      ping(id, connections.at(id))
    } watch: { slot in
      guard let id = connections.id(inSlot: slot) else { return }
      watch(id, connections.at(id))
    }
  }

  /// Echo connections are not pinged: what they are sent is what they sent.
  private func ping(_ id: ConnectionID, _ connection: UnsafeMutablePointer<Connection>) {
    guard connection.pointee.phase == .chat, !connection.pointee.awaitsPong else { return }
    guard loop.sendFrame(.ping, UnsafeRawBufferPointer(start: nil, count: 0), to: id) else { return }
    connection.pointee.awaitsPong = true
    connection.pointee.pingTick = loop.tick
  }

  /// While we do not read from it, the pong may be waiting: then other bounds end the connection.
  private func watch(_ id: ConnectionID, _ connection: UnsafeMutablePointer<Connection>) {
    guard connection.pointee.awaitsPong, connection.pointee.stops.isEmpty,
      !connection.pointee.isReadingPaused,
      loop.tick - connection.pointee.pingTick >= Limits.pongMilliseconds
    else { return }
    end(id, code: CloseCode(rawValue: 4003), reason: "no pong")
  }
}
