import Glibc

/// A TCP connection to this machine, blocking, in which every wait has a deadline.
public final class TestSocket {
  private var descriptor: Int32

  /// - Parameter receiveBuffer: bytes asked of the kernel for the receiving side, so that a reader can be
  ///   slow without megabytes; the kernel's own choice if nil.
  public init(
    port: UInt16, host: String = "127.0.0.1", receiveBuffer: Int32? = nil, patience: Deadline = .usual
  ) throws {
    descriptor = socket(
      AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { throw TestFailure("socket: \(Self.reason)") }
    if var bytes = receiveBuffer {
      setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
    }
    var one: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    inet_pton(AF_INET, host, &address.sin_addr)
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 || errno == EINPROGRESS else { throw failure("connect to \(port)") }
    try wait(for: POLLOUT, patience, "connect to \(port)")
    var error: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length)
    errno = error
    guard error == 0 else { throw failure("connect to \(port)") }
  }

  deinit { close() }

  /// Sends all of it, or throws.
  public func send(_ bytes: [UInt8], _ deadline: Deadline = .usual) throws {
    var sent = 0
    while sent < bytes.count {
      let count = try sendSome(bytes[sent...])
      sent += count
      if count == 0 { try wait(for: POLLOUT, deadline, "send") }
    }
  }

  /// Sends what the kernel takes at once and returns how many bytes that was; 0 if its buffer is full.
  public func sendSome(_ bytes: ArraySlice<UInt8>) throws -> Int {
    let count = bytes.withUnsafeBytes {
      Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
    if count >= 0 { return count }
    guard errno == EAGAIN || errno == EINTR else { throw failure("send") }
    return 0
  }

  /// The bytes that are there, at least one, or none at the end of the stream. A reset counts as the end.
  public func receive(atMost limit: Int = 65_536, _ deadline: Deadline = .usual) throws -> [UInt8] {
    while true {
      let bytes = try [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
        let received = recv(descriptor, buffer.baseAddress, limit, 0)
        count = max(received, 0)
        guard received >= 0 || [EAGAIN, EINTR, ECONNRESET].contains(errno) else {
          throw failure("receive")
        }
        if received >= 0 || errno == ECONNRESET { errno = 0 }
      }
      if !bytes.isEmpty || errno == 0 { return bytes }
      try wait(for: POLLIN, deadline, "receive")
    }
  }

  /// All bytes up to the end of the stream.
  public func receiveToEnd(_ deadline: Deadline = .usual) throws -> [UInt8] {
    var all: [UInt8] = []
    while true {
      let bytes = try receive(deadline)
      if bytes.isEmpty { return all }
      all += bytes
    }
  }

  private func receive(_ deadline: Deadline) throws -> [UInt8] { try receive(atMost: 65_536, deadline) }

  /// Whether something can be read, the end included, before the deadline.
  public func isReadable(_ deadline: Deadline) -> Bool {
    (try? wait(for: POLLIN, deadline, "")) != nil
  }

  /// Says that nothing more will be sent.
  public func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Closes so that the other side meets a reset instead of an end.
  public func reset() {
    var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
    close()
  }

  public func close() {
    guard descriptor >= 0 else { return }
    Glibc.close(descriptor)
    descriptor = -1
  }

  private func wait(for events: Int32, _ deadline: Deadline, _ what: String) throws {
    var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    repeat {
      if poll(&entry, 1, deadline.milliseconds) > 0 { return }
    } while !deadline.hasPassed
    throw TestFailure("\(what): nothing happened before the deadline")
  }

  private func failure(_ what: String) -> TestFailure { TestFailure("\(what): \(Self.reason)") }

  private static var reason: String { String(cString: strerror(errno)) }
}
