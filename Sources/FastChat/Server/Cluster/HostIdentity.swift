import Chat
import Glibc

/// Which process this is, as a lease says it, and whether another one is still there.
struct HostIdentity {
  /// The host's name, and behind it the namespace of its process ids: in two containers with one name, the same
  /// id may be of two processes.
  let host: String
  /// The kernel's, another one with each start of the machine.
  let boot: String
  let process: Int64

  init() {
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, name.count - 1)
    var link = [CChar](repeating: 0, count: 64)
    let length = readlink("/proc/self/ns/pid", &link, link.count - 1)
    let digits = link.prefix(max(length, 0)).map { UInt8(bitPattern: $0) }.filter {
      (0x30...0x39).contains($0)
    }
    host =
      String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) + "/"
      + String(decoding: digits, as: UTF8.self)
    boot = Self.bootID()
    process = Int64(getpid())
  }

  private static func bootID() -> String {
    let descriptor = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var text = [UInt8](repeating: 0, count: 64)
    let count = read(descriptor, &text, text.count)
    // A lease's parts are parted by colons; the id has none.
    return String(decoding: text.prefix(max(count, 0)).prefix { $0 > 0x20 && $0 != 0x3A }, as: UTF8.self)
  }

  /// Whether the holder of a lease was a process here that is not there any more. Our own id was its before
  /// us.
  func isGone(_ holder: LeaseHolder) -> Bool {
    guard holder.host == host, holder.boot == boot else { return false }
    return holder.process == process
      || kill(pid_t(truncatingIfNeeded: holder.process), 0) != 0 && errno == ESRCH
  }
}
