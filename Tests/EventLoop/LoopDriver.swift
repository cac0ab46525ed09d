import CLinuxIO
import EventLoop
import Glibc
import Testing

/// What this machine's kernel offers, probed once.
let report = BackendProbe.run()
/// Every behaviour is tested on each of these.
let backends = report.backends

/// A loop with a listener, driven by the test's own thread: `pump` turns it until something is so, and keeps
/// all that it told.
final class LoopDriver {
  let loop: EventLoop
  let listener: ListeningSocket
  var accepted: [ConnectionID] = []
  var connected: [ConnectionID] = []
  var received: [ConnectionID: [UInt8]] = [:]
  var receivedTotal = 0
  var ended: [(id: ConnectionID, reason: EndReason)] = []
  var drained: [ConnectionID] = []
  var timers: [UInt64] = []
  var mails = 0
  var readable: [UInt64] = []
  var acceptPaused = 0
  var acceptResumed = 0
  /// Clients live as long as the driver: a release build ends an object after its last use.
  private var peers: [Peer] = []
  /// What to do with bytes instead of keeping them.
  var onReceive: ((EventLoop, ConnectionID, UnsafeMutableRawBufferPointer) -> Void)?
  var onEvent: ((EventLoop, LoopEvent) -> Void)?

  init(
    _ backend: BackendKind, adjust: (inout LoopConfiguration) -> Void = { _ in }
  ) throws {
    var configuration = LoopConfiguration()
    configuration.backend = backend == .epoll ? .epoll : .ioUring
    configuration.connections = 64
    configuration.reserve = 16
    configuration.receiveBuffers = 64
    configuration.completionEntries = 1_024
    adjust(&configuration)
    loop = try EventLoop(configuration, report: report)
    #expect(loop.backend == backend)
    listener = try ListeningSocket.open(address: "127.0.0.1", port: 0, reusePort: true)
    try loop.add(listener: listener)
    loop.turn(waitAtMostMilliseconds: 0)
  }

  deinit { loop.shutdown() }

  /// One turn, and everything that it brought.
  func turn(waitAtMostMilliseconds wait: Int = 2) {
    loop.turn(waitAtMostMilliseconds: wait)
    while let event = loop.next() { take(event) }
  }

  /// Turns until `condition` holds, or for ten seconds.
  @discardableResult
  func pump(until condition: () -> Bool) -> Bool {
    let end = now() + 10_000
    while !condition() {
      guard now() < end else { return false }
      turn()
    }
    return true
  }

  /// Turns for so long whatever happens.
  func pump(milliseconds: Int64) {
    let end = now() + milliseconds
    while now() < end { turn(waitAtMostMilliseconds: 2) }
  }

  private func take(_ event: LoopEvent) {
    onEvent?(loop, event)
    switch event {
    case .accepted(let id, _): accepted.append(id)
    case .connected(let id): connected.append(id)
    case .received(let id, let bytes):
      receivedTotal += bytes.count
      if let onReceive { onReceive(loop, id, bytes) } else { received[id, default: []] += bytes }
    case .ended(let id, let reason): ended.append((id, reason))
    case .drained(let id): drained.append(id)
    case .timer(let tag): timers.append(tag)
    case .mail: mails += 1
    case .readable(let tag): readable.append(tag)
    case .acceptPaused: acceptPaused += 1
    case .acceptResumed: acceptResumed += 1
    }
  }

  /// A client whose connection the loop has accepted, and the loop's id of it.
  func client(receiveBuffer: Int32? = nil) throws -> (peer: Peer, id: ConnectionID) {
    let before = accepted.count
    let peer = try Peer(port: listener.port, receiveBuffer: receiveBuffer)
    peers.append(peer)
    try #require(pump { self.accepted.count > before })
    return (peer, accepted[accepted.count - 1])
  }

  func reason(_ id: ConnectionID) -> EndReason? { ended.first { $0.id == id }?.reason }

  func send(_ id: ConnectionID, _ bytes: [UInt8]) -> Bool {
    bytes.withUnsafeBytes { loop.send(id, copying: $0) }
  }
}

/// The other end of a connection: a plain socket that does not block.
final class Peer {
  private(set) var descriptor: Int32

  init(port: UInt16, receiveBuffer: Int32? = nil) throws {
    descriptor = socket(AF_INET, linuxio_stream_socket, 0)
    try #require(descriptor >= 0)
    if var size = receiveBuffer {
      setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    // On loopback the handshake is over at once, or is by the time it is needed.
    try #require(result == 0 || errno == EINPROGRESS)
  }

  init(descriptor: Int32) { self.descriptor = descriptor }

  deinit { close() }

  func close() {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  /// Ends with a reset instead of an orderly close.
  func reset() {
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    close()
  }

  func shutWriting() { Glibc.shutdown(descriptor, Int32(SHUT_WR)) }

  /// Writes what the kernel takes; how much that was.
  @discardableResult
  func write(_ bytes: some Collection<UInt8>) -> Int {
    let array = Array(bytes)
    return max(0, Glibc.send(descriptor, array, array.count, Int32(MSG_NOSIGNAL)))
  }

  /// One recv: bytes, empty at the end of the stream, nil if there is nothing (or an error).
  func readOnce(_ limit: Int = 1 << 16) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: limit)
    let count = recv(descriptor, &buffer, limit, 0)
    return count < 0 ? nil : Array(buffer[..<count])
  }

  /// The error that waits on the socket.
  var readError: Int32 {
    var byte: UInt8 = 0
    return recv(descriptor, &byte, 1, Int32(MSG_PEEK)) < 0 ? errno : 0
  }
}

extension LoopDriver {
  /// Turns until the peer has got `count` bytes; nil if they do not come.
  func read(_ peer: Peer, count: Int) -> [UInt8]? {
    var bytes: [UInt8] = []
    let done = pump {
      while bytes.count < count, let more = peer.readOnce(), !more.isEmpty { bytes += more }
      return bytes.count >= count
    }
    return done ? bytes : nil
  }

  /// Turns until the peer's stream has ended, and gives what came before.
  func readToEnd(_ peer: Peer) -> [UInt8]? {
    var bytes: [UInt8] = []
    let done = pump {
      while let more = peer.readOnce() {
        if more.isEmpty { return true }
        bytes += more
      }
      return false
    }
    return done ? bytes : nil
  }

  /// Turns until the peer's stream was reset, and gives how many bytes came before.
  func readToReset(_ peer: Peer) -> Int? {
    var count = 0
    let done = pump {
      // A read would take the error away.
      while true {
        let error = peer.readError
        guard error == 0 else { return error == ECONNRESET }
        guard let more = peer.readOnce(), !more.isEmpty else { return false }
        count += more.count
      }
    }
    return done ? count : nil
  }

  /// Turns until the peer has written everything.
  func write(_ peer: Peer, _ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    return pump {
      rest = rest.dropFirst(peer.write(rest.prefix(1 << 16)))
      return rest.isEmpty
    }
  }
}

/// Milliseconds of the monotonic clock.
func now() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
}

/// Its length is a prime, so that no buffer of ours is a multiple of it.
private let patternBlock: [UInt8] = {
  var random = SplitMix(state: 1)
  return (0..<65_537).map { _ in UInt8(truncatingIfNeeded: random.next()) }
}()

/// Bytes that differ from their neighbours, so that a lost or doubled one is seen.
func pattern(_ count: Int, seed: Int = 0) -> [UInt8] {
  let start = seed &* 7 % 4_099
  return [UInt8](unsafeUninitializedCapacity: count) { bytes, filled in
    while filled < count {
      let from = (start + filled) % patternBlock.count
      let some = min(count - filled, patternBlock.count - from)
      (bytes.baseAddress! + filled).update(
        from: patternBlock.withUnsafeBufferPointer { $0.baseAddress! } + from, count: some)
      filled += some
    }
  }
}
