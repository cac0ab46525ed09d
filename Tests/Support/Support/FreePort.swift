import Glibc

/// Ports for programs that have to be told theirs before they start.
public enum FreePort {
  /// A port that nobody listened on a moment ago, below those that connections are given: it is free again after
  /// a restart.
  public static func find() throws -> UInt16 {
    for _ in 0..<100 {
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
      defer { close(descriptor) }
      let port = UInt16.random(in: 20_000..<32_000)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
      address.sin_port = port.bigEndian
      let isBound = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
      }
      if isBound { return port }
    }
    throw TestFailure("no free port")
  }
}
