import Glibc
import JSON

/// What the kernel knows of the process, under the names that Prometheus' own clients use.
struct ProcessFigures {
  let cpuNanoseconds: UInt64
  let residentBytes: Int
  let openDescriptors: Int
  let maxDescriptors: Int

  static func now() -> ProcessFigures {
    var cpu = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu)
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    return ProcessFigures(
      cpuNanoseconds: UInt64(cpu.tv_sec) * 1_000_000_000 + UInt64(cpu.tv_nsec),
      residentBytes: residentPages() * Int(sysconf(Int32(_SC_PAGESIZE))),
      openDescriptors: descriptors(), maxDescriptors: Int(clamping: limit.rlim_cur))
  }

  func write(to page: inout ByteBuffer) {
    page.head("process_cpu_seconds_total", "User and system CPU time.", "counter")
    page.append("process_cpu_seconds_total ")
    page.append(seconds: cpuNanoseconds)
    page.append("\n")
    page.head("process_resident_memory_bytes", "Resident memory.", "gauge")
    page.line("process_resident_memory_bytes", value: Int64(residentBytes))
    page.head("process_open_fds", "Open file descriptors.", "gauge")
    page.line("process_open_fds", value: Int64(openDescriptors))
    page.head("process_max_fds", "File descriptors that may be open.", "gauge")
    page.line("process_max_fds", value: Int64(maxDescriptors))
  }

  /// The second word of /proc/self/statm (proc(5)).
  private static func residentPages() -> Int {
    let descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return 0 }
    defer { close(descriptor) }
    return withUnsafeTemporaryAllocation(byteCount: 128, alignment: 1) { bytes in
      let count = read(descriptor, bytes.baseAddress, bytes.count)
      guard count > 0 else { return 0 }
      let words = bytes[..<count].split(separator: UInt8(ascii: " "))
      return words.count > 1 ? words[1].reduce(0) { $0 * 10 + Int($1 &- 0x30) } : 0
    }
  }

  /// The size of /proc/self/fd, which is their number since Linux 6.2; before, they are counted.
  private static func descriptors() -> Int {
    var status = stat()
    if stat("/proc/self/fd", &status) == 0, status.st_size > 0 { return status.st_size }
    guard let directory = opendir("/proc/self/fd") else { return 0 }
    defer { closedir(directory) }
    // The directory's own descriptor and the entries `.` and `..` are none of the process's.
    var count = -3
    while readdir(directory) != nil { count += 1 }
    return max(count, 0)
  }
}
