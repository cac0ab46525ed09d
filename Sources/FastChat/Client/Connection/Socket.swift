import Glibc

/// A TCP connection that never blocks, but for the look-up of a name.
struct Socket: ~Copyable {
  enum Outcome: Equatable {
    case bytes(Int)
    /// Nothing now.
    case wouldBlock
    case ended(String)
  }

  let descriptor: Int32

  /// Begins to connect to the first of the addresses that takes it; `isConnected` says how that went.
  init(to address: SocketAddress) throws(ClientError) {
    descriptor = socket(
      address.family,
      Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { throw ClientError(.network, Self.reason(errno)) }
    var one: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    let result = address.withPointer { connect(descriptor, $0, $1) }
    guard result == 0 || errno == EINPROGRESS else {
      throw ClientError(.network, Self.reason(errno))
    }
  }

  deinit { close(descriptor) }

  /// Whether the connection came about, asked once the socket is writable; nil where it did, else why not.
  var failure: String? {
    var error: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) == 0 else {
      return Self.reason(errno)
    }
    return error == 0 ? nil : Self.reason(error)
  }

  func receive(into room: UnsafeMutableRawBufferPointer) -> Outcome {
    let count = recv(descriptor, room.baseAddress, room.count, 0)
    if count > 0 { return .bytes(count) }
    if count == 0 { return .ended("the server closed it") }
    return errno == EAGAIN || errno == EINTR ? .wouldBlock : .ended(Self.reason(errno))
  }

  func send(_ bytes: ArraySlice<UInt8>) -> Outcome {
    let count = bytes.withUnsafeBytes {
      Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
    if count >= 0 { return .bytes(count) }
    return errno == EAGAIN || errno == EINTR ? .wouldBlock : .ended(Self.reason(errno))
  }

  static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
}

/// An address that a socket can be connected to.
struct SocketAddress {
  let family: Int32
  private let storage: sockaddr_storage
  private let length: socklen_t

  /// The addresses of a host, in the order in which the system prefers them. Waits for the name service.
  static func resolve(_ endpoint: Endpoint) throws(ClientError) -> [SocketAddress] {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let result = getaddrinfo(endpoint.host, String(endpoint.port), &hints, &list)
    guard result == 0 else {
      let isUnknown = result == EAI_NONAME
      throw ClientError(
        .network, "no address for \(endpoint.host): \(String(cString: gai_strerror(result)))",
        advice: isUnknown ? "check its spelling" : "")
    }
    defer { freeaddrinfo(list) }
    var addresses: [SocketAddress] = []
    var entry = list
    while let info = entry?.pointee {
      if let address = info.ai_addr, Int(info.ai_addrlen) <= MemoryLayout<sockaddr_storage>.size {
        var storage = sockaddr_storage()
        withUnsafeMutableBytes(of: &storage) {
          $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: Int(info.ai_addrlen)))
        }
        addresses.append(SocketAddress(family: info.ai_family, storage: storage, length: info.ai_addrlen))
      }
      entry = info.ai_next
    }
    return addresses
  }

  func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    withUnsafePointer(to: storage) { storage in
      storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
    }
  }
}
