import EventLoop

/// The sockets that a server listens on: one a shard for clients, one for operators.
struct Listeners: Sendable {
  let main: [ListeningSocket]
  let admin: ListeningSocket

  /// Opens all, or none. A port that somebody else has is an error, though the shards share theirs.
  init(_ configuration: Configuration, shards: Int) throws(LoopError) {
    let listen = configuration.listen
    var opened: [ListeningSocket] = []
    do throws(LoopError) {
      let port = try ListeningSocket.claim(address: listen.host, port: listen.port)
      for _ in 0..<shards {
        opened.append(try ListeningSocket.open(address: listen.host, port: port, reusePort: true))
      }
      admin = try ListeningSocket.open(
        address: configuration.admin.host, port: configuration.admin.port, reusePort: false)
      main = opened
    } catch {
      for socket in opened { socket.close() }
      throw error
    }
  }

  var mainPort: UInt16 { main[0].port }
  var adminPort: UInt16 { admin.port }
}
