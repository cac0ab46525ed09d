import Glibc

/// What the service manager is told (sd_notify(3)): datagrams to the socket that `NOTIFY_SOCKET` names.
enum ServiceManager {
  enum State: String, Sendable {
    case ready = "READY=1"
    case stopping = "STOPPING=1"
  }

  /// Tells the state, if a service manager asked for it. True unless it asked and could not be told.
  @discardableResult
  static func tell(_ state: State) -> Bool {
    guard let path = getenv("NOTIFY_SOCKET") else { return true }
    return tell(state, socket: String(cString: path))
  }

  /// - Parameter path: of a socket in the file system (`/run/...`), or an abstract one (`@...`).
  static func tell(_ state: State, socket path: String) -> Bool {
    let name = Array(path.utf8)
    var address = sockaddr_un()
    let capacity = MemoryLayout.size(ofValue: address.sun_path)
    guard name.count > 1, name.count < capacity, path.hasPrefix("/") || path.hasPrefix("@") else {
      return false
    }
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { destination in
      destination.copyBytes(from: name)
      // An abstract name begins with a zero byte and has no end but its length (unix(7)).
      if name[0] == UInt8(ascii: "@") { destination[0] = 0 }
    }
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    let length = socklen_t(MemoryLayout.offset(of: \sockaddr_un.sun_path)! + name.count)
    let message = Array(state.rawValue.utf8)
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        let flags = Int32(MSG_NOSIGNAL | MSG_DONTWAIT)
        return sendto(descriptor, message, message.count, flags, $0, length) == message.count
      }
    }
  }
}
