import Glibc

/// A word to systemd, where it started us and wants to hear (sd_notify(3)): one datagram to the socket
/// that `NOTIFY_SOCKET` names. A name that begins with `@` is an abstract one.
enum ServiceManager {
  static func tell(_ state: String) {
    guard let name = getenv("NOTIFY_SOCKET") else { return }
    let count = strlen(name)
    var address = sockaddr_un()
    let capacity = MemoryLayout.size(ofValue: address.sun_path)
    guard count > 1, count < capacity else { return }
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { path in
      path.copyMemory(from: UnsafeRawBufferPointer(start: name, count: count))
      if path[0] == UInt8(ascii: "@") { path[0] = 0 }
    }
    let socket = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard socket >= 0 else { return }
    defer { close(socket) }
    let length = socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + count)
    withUnsafePointer(to: &address) { address in
      address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        // What the manager does not hear, it asks by its own timeout.
        _ = sendto(socket, state, state.utf8.count, Int32(MSG_NOSIGNAL), address, length)
      }
    }
  }
}
