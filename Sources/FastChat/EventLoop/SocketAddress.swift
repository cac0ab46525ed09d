import Glibc

/// A numeric IPv4 or IPv6 address and a port. Names are not looked up: a look-up waits.
public struct SocketAddress: Sendable {
  var storage: sockaddr_storage
  var length: socklen_t

  /// `host` is "127.0.0.1", "::1", "0.0.0.0", "::" or the like.
  public init(_ host: String, port: UInt16) throws(LoopError) {
    storage = sockaddr_storage()
    var v4 = sockaddr_in()
    var v6 = sockaddr_in6()
    if inet_pton(AF_INET, host, &v4.sin_addr) == 1 {
      v4.sin_family = sa_family_t(AF_INET)
      v4.sin_port = port.bigEndian
      length = socklen_t(MemoryLayout<sockaddr_in>.size)
      withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: v4, as: sockaddr_in.self) }
    } else if inet_pton(AF_INET6, host, &v6.sin6_addr) == 1 {
      v6.sin6_family = sa_family_t(AF_INET6)
      v6.sin6_port = port.bigEndian
      length = socklen_t(MemoryLayout<sockaddr_in6>.size)
      withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: v6, as: sockaddr_in6.self) }
    } else {
      throw .address(host)
    }
  }

  /// What a call that fills in an address leaves behind; nil if the call fails or the family is another.
  init?(filledBy call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32) {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { call($0, &length) }
    }
    guard result == 0 else { return nil }
    self.storage = storage
    self.length = length
    guard family == AF_INET || family == AF_INET6 else { return nil }
  }

  var family: Int32 { Int32(storage.ss_family) }

  public var port: UInt16 {
    withUnsafeBytes(of: storage) {
      UInt16(
        bigEndian: family == AF_INET
          ? $0.load(as: sockaddr_in.self).sin_port
          : $0.load(as: sockaddr_in6.self).sin6_port)
    }
  }

  /// The address without the port, in numbers.
  public var host: String {
    withUnsafeBytes(of: storage) { bytes in
      var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
      if family == AF_INET {
        var address = bytes.load(as: sockaddr_in.self).sin_addr
        inet_ntop(AF_INET, &address, &text, socklen_t(text.count))
      } else {
        var address = bytes.load(as: sockaddr_in6.self).sin6_addr
        inet_ntop(AF_INET6, &address, &text, socklen_t(text.count))
      }
      return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
  }

  func withSocketAddress<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    withUnsafePointer(to: storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
    }
  }
}
