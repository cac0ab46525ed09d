import Glibc

/// What a process has used of the machine up to now.
struct ServerUsage: Sendable {
  struct Thread: Sendable {
    let id: Int32
    let name: String
    let nanoseconds: UInt64
  }

  /// CPU time of all its threads, those that ended included, what the kernel does for it included.
  let nanoseconds: UInt64
  let threads: [Thread]
  /// Times that its threads slept for want of something to do.
  let sleeps: UInt64
  let residentBytes: Int

  /// Reads /proc and the process's CPU clock.
  init(of process: Int32) throws(LoadError) {
    var clock = clockid_t()
    var time = timespec()
    guard clock_getcpuclockid(process, &clock) == 0, clock_gettime(clock, &time) == 0 else {
      throw .failure("no process \(process), or not ours to look at")
    }
    nanoseconds = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)

    var threads: [Thread] = []
    var sleeps: UInt64 = 0
    for id in ServerUsage.threadIDs(of: process) {
      let folder = "/proc/\(process)/task/\(id)"
      guard let schedule = readText(folder + "/schedstat"), let name = readText(folder + "/comm"),
        let status = readText(folder + "/status"), let used = schedule.split(separator: " ").first
      else { continue }
      threads.append(
        Thread(id: id, name: String(name.dropLast()), nanoseconds: UInt64(used) ?? 0))
      sleeps += UInt64(ServerUsage.number(in: status, after: "voluntary_ctxt_switches:") ?? 0)
    }
    self.threads = threads
    self.sleeps = sleeps
    let status = readText("/proc/\(process)/status") ?? ""
    residentBytes = (ServerUsage.number(in: status, after: "VmRSS:") ?? 0) * 1_024
  }

  private static func threadIDs(of process: Int32) -> [Int32] {
    guard let folder = opendir("/proc/\(process)/task") else { return [] }
    defer { closedir(folder) }
    var ids: [Int32] = []
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if let id = Int32(name) { ids.append(id) }
    }
    return ids.sorted()
  }

  /// The number in the line that begins with a word.
  private static func number(in text: String, after word: String) -> Int? {
    for line in text.split(separator: "\n") where line.hasPrefix(word) {
      return line.dropFirst(word.utf8.count).split(whereSeparator: { $0 == " " || $0 == "\t" }).first
        .flatMap { Int($0) }
    }
    return nil
  }
}

/// A small file of /proc.
private func readText(_ path: String) -> String? {
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { return nil }
  defer { close(descriptor) }
  var buffer = [UInt8](repeating: 0, count: 8_192)
  let count = read(descriptor, &buffer, buffer.count)
  guard count > 0 else { return nil }
  return String(decoding: buffer[..<count], as: UTF8.self)
}
