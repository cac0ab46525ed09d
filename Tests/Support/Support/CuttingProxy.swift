import Foundation
import Glibc
import Synchronization

/// Sits between clients and a server, passes bytes on in pieces of random sizes, and breaks each connection
/// after a random number of them: in the middle of frames, between a send and its ack.
public final class CuttingProxy: Sendable {
  private struct State {
    var random: SeededGenerator
    var cuts = 0
    var isCutting: Bool
    var target: UInt16
    /// Connections that stand, by their number: the clients' sockets.
    var open: [Int: Int32] = [:]
    var count = 0
  }

  public let port: UInt16
  private let listener: Int32
  private let state: Mutex<State>
  private let bytesPerCut: Int

  /// - Parameters:
  ///   - bytesPerCut: how many bytes a connection passes at most, both directions together.
  ///   - isCutting: whether it does so from the beginning.
  public init(to target: UInt16, bytesPerCut: Int = 0, seed: UInt64 = 0, isCutting: Bool = true) throws {
    self.bytesPerCut = bytesPerCut
    state = Mutex(State(random: SeededGenerator(seed: seed), isCutting: isCutting, target: target))
    (listener, port) = try Self.listen()
    let thread = Thread { [self] in accept() }
    thread.start()
  }

  deinit { close(listener) }

  /// A listening socket on a free port of the loopback.
  static func listen() throws -> (Int32, UInt16) {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && Glibc.listen(listener, 64) == 0
          && getsockname(listener, $0, &length) == 0
      }
    }
    guard isBound else { throw TestFailure("no port to listen on") }
    return (listener, UInt16(bigEndian: address.sin_port))
  }

  public var cuts: Int { state.withLock { $0.cuts } }

  /// From now on new connections hold, or are cut.
  public func stopCutting() { state.withLock { $0.isCutting = false } }
  public func startCutting() { state.withLock { $0.isCutting = true } }

  /// Breaks each connection that stands.
  public func cutAll() {
    state.withLock { state in for socket in state.open.values { shutdown(socket, Int32(SHUT_RDWR)) } }
  }

  /// Ends the listening; connections that stand go on.
  public func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

  /// Where new connections are passed on to.
  public func aim(at target: UInt16) { state.withLock { $0.target = target } }

  private func accept() {
    while true {
      let client = Glibc.accept(listener, nil, nil)
      guard client >= 0 else { return }
      let (budget, target) = state.withLock { state in
        (state.isCutting ? Int.random(in: 0...bytesPerCut, using: &state.random) : Int.max, state.target)
      }
      let thread = Thread { [self] in pass(client, target, budget) }
      thread.stackSize = 1 << 18
      thread.start()
    }
  }

  private func pass(_ client: Int32, _ target: UInt16, _ budget: Int) {
    let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    let number = state.withLock { state in
      state.count += 1
      state.open[state.count] = client
      return state.count
    }
    defer {
      state.withLock { $0.open[number] = nil }
      close(client)
      close(server)
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    address.sin_port = target.bigEndian
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else { return }
    var one: Int32 = 1
    for descriptor in [client, server] {
      setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    }
    var left = budget
    var room = [UInt8](repeating: 0, count: 8_192)
    while left > 0 {
      var entries = [
        pollfd(fd: client, events: Int16(POLLIN), revents: 0),
        pollfd(fd: server, events: Int16(POLLIN), revents: 0),
      ]
      guard poll(&entries, 2, 30_000) > 0 else { return }
      for (index, entry) in entries.enumerated() where entry.revents != 0 {
        let most = state.withLock { Int.random(in: 1...room.count, using: &$0.random) }
        let count = recv(entry.fd, &room, min(most, left), 0)
        guard count > 0 else { return }
        let other = index == 0 ? server : client
        var sent = 0
        while sent < count {
          let written = room.withUnsafeBytes {
            send(other, $0.baseAddress! + sent, count - sent, Int32(MSG_NOSIGNAL))
          }
          guard written > 0 else { return }
          sent += written
        }
        left -= count
      }
    }
    state.withLock { $0.cuts += 1 }
  }
}
