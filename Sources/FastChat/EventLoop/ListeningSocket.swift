import CLinuxIO
import Glibc

/// A TCP socket that listens. Owned by whoever opened it until it is given to `EventLoop.add(listener:)`.
public struct ListeningSocket: Sendable {
  /// Connections that the kernel holds while the loop is busy (cut to `net.core.somaxconn`).
  public static let backlog: Int32 = 4_096

  public let descriptor: Int32
  /// The port, also where 0 was asked for and the kernel chose.
  public let port: UInt16

  /// Opens one. Each shard opens its own with `reusePort`, and the kernel spreads connections over them.
  /// With several processes that would silently share the port, so the first shard of a server calls
  /// `claim(address:port:)` before.
  public static func open(
    address: String, port: UInt16, reusePort: Bool
  ) throws(LoopError) -> ListeningSocket {
    let wanted = try SocketAddress(address, port: port)
    let descriptor = try checked("socket") {
      socket(wanted.family, linuxio_stream_socket, 0)
    }
    do throws(LoopError) {
      // A restart binds at once, though connections of the one before are in TIME_WAIT.
      try set(descriptor, SOL_SOCKET, SO_REUSEADDR)
      if reusePort { try set(descriptor, SOL_SOCKET, SO_REUSEPORT) }
      if wanted.family == AF_INET6 { try set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
      // Inherited by what is accepted: our writes are whole turns already, nothing is gained by waiting.
      try set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY)
      let bound = wanted.withSocketAddress { address, length in syscall { bind(descriptor, address, length) }
      }
      if bound == -Int(EADDRINUSE) { throw .portInUse("\(address):\(port)") }
      if bound < 0 { throw .system(call: "bind \(address):\(port)", errno: Int32(-bound)) }
      let listening = syscall { listen(descriptor, backlog) }
      // Two sockets may be bound with SO_REUSEADDR; that one of them listens is found here.
      if listening == -Int(EADDRINUSE) { throw .portInUse("\(address):\(port)") }
      if listening < 0 { throw .system(call: "listen", errno: Int32(-listening)) }
      guard let local = SocketAddress(filledBy: { getsockname(descriptor, $0, $1) }) else {
        throw .system(call: "getsockname", errno: errno)
      }
      return ListeningSocket(descriptor: descriptor, port: local.port)
    } catch {
      Glibc.close(descriptor)
      throw error
    }
  }

  /// Makes sure that nobody else listens there: binds once without SO_REUSEPORT, and closes again. Gives
  /// the port (chosen by the kernel if 0), for the shards to open with `reusePort`. Throws `portInUse`.
  public static func claim(address: String, port: UInt16) throws(LoopError) -> UInt16 {
    let socket = try open(address: address, port: port, reusePort: false)
    socket.close()
    return socket.port
  }

  /// Gives the descriptor back. Not for one that a loop was given.
  public func close() { closeDescriptor(descriptor) }

  private static func set(
    _ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32 = 1
  ) throws(LoopError) {
    var value = value
    _ = try checked("setsockopt") {
      setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
  }
}
