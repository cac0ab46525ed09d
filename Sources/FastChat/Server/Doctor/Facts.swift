import EventLoop

/// What is known of a machine: texts of /proc and /sys, and what had to be tried.
///
/// The checks see nothing else, so that tests can be any machine.
struct Facts: Sendable {
  /// What the kernel says in its files, by path, without spaces at the end. One that cannot be read is absent.
  var texts: [String: String] = [:]
  /// What of io_uring works.
  var report = BackendReport()
  /// Files that the process may have open, its soft limit raised to the hard one.
  var descriptors = 0
  /// Bytes that the process may lock; nil: no limit.
  var lockableBytes: Int?
  /// Processors that the process may run on.
  var processors = 1
  var pageBytes = 4_096
  /// The control groups that hold the process, each with its bounds.
  var groups: [ControlGroup] = []
  var listen = PortFact(flag: "listen", outcome: .free)
  var admin = PortFact(flag: "admin", outcome: .free)
  var data = DataFacts()
  /// Of a server in a cluster; nil otherwise.
  var kafka: KafkaFacts?
  var redis: RedisFacts?
  /// Whether the kernel knows that its clock is kept right (adjtimex(2)); nil: it does not say.
  var clockIsSynchronised: Bool?
  /// What was odd about the environment's variables.
  var notes: [String] = []

  /// A file of one number, or the first number of a line of several.
  func number(_ path: String) -> Int? { numbers(path).first }

  /// The numbers of a line, as `4096 131072 6291456`.
  func numbers(_ path: String) -> [Int] { words(path).compactMap { Int($0) } }

  func words(_ path: String) -> [Substring] {
    texts[path]?.split { $0 == " " || $0 == "\t" || $0 == "\n" } ?? []
  }

  /// The value of a `Name: value` line, as /proc/meminfo and /proc/self/status have them.
  func field(_ name: String, of path: String) -> Substring? {
    for line in texts[path]?.split(separator: "\n") ?? [] where line.hasPrefix(name + ":") {
      return line.dropFirst(name.utf8.count + 1).split { $0 == " " || $0 == "\t" }.first
    }
    return nil
  }

  /// The word in brackets: `always [madvise] never`.
  func choice(_ path: String) -> Substring? {
    words(path).first { $0.hasPrefix("[") && $0.hasSuffix("]") }?.dropFirst().dropLast()
  }

  /// Whether the process has a capability, by its number (capabilities(7)).
  func hasCapability(_ number: Int) -> Bool {
    guard let mask = field("CapEff", of: Path.status).flatMap({ UInt64($0, radix: 16) }) else { return false }
    return mask >> number & 1 == 1
  }

  /// Major and minor number of the kernel; nil where it tells none.
  var kernelVersion: (major: Int, minor: Int)? {
    let parts = (texts[Path.release] ?? "").split(separator: ".", maxSplits: 2)
    guard parts.count >= 2, let major = Int(parts[0]),
      let minor = Int(parts[1].prefix { $0.isASCII && $0.isWholeNumber })
    else { return nil }
    return (major, minor)
  }

  /// Whether the kernel is at least that one; true where it does not say.
  func kernel(isAtLeast major: Int, _ minor: Int) -> Bool {
    guard let version = kernelVersion else { return true }
    return (version.major, version.minor) >= (major, minor)
  }
}

/// What came of trying to listen.
struct PortFact: Sendable {
  enum Outcome: Sendable, Equatable {
    case free
    case inUse
    case refused(errno: Int32)
  }

  /// `listen` or `admin`.
  let flag: String
  var outcome: Outcome
}

/// What the checks read, by name.
enum Path {
  static let release = "/proc/sys/kernel/osrelease"
  static let status = "/proc/self/status"
  static let memory = "/proc/meminfo"
  static let mounts = "/proc/self/mountinfo"
  static let ringDisabled = "/proc/sys/kernel/io_uring_disabled"
  static let profiling = "/proc/sys/kernel/perf_event_paranoid"
  static let descriptorsOfProcess = "/proc/sys/fs/nr_open"
  static let filesMax = "/proc/sys/fs/file-max"
  static let filesOpen = "/proc/sys/fs/file-nr"
  static let swappiness = "/proc/sys/vm/swappiness"
  static let acceptBacklog = "/proc/sys/net/core/somaxconn"
  static let synBacklog = "/proc/sys/net/ipv4/tcp_max_syn_backlog"
  static let synCookies = "/proc/sys/net/ipv4/tcp_syncookies"
  static let portRange = "/proc/sys/net/ipv4/ip_local_port_range"
  static let portsReserved = "/proc/sys/net/ipv4/ip_local_reserved_ports"
  static let portsPrivileged = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
  static let congestion = "/proc/sys/net/ipv4/tcp_congestion_control"
  static let congestionOffered = "/proc/sys/net/ipv4/tcp_available_congestion_control"
  static let queueing = "/proc/sys/net/core/default_qdisc"
  static let tcpMemory = "/proc/sys/net/ipv4/tcp_mem"
  static let tcpReceive = "/proc/sys/net/ipv4/tcp_rmem"
  static let tcpSend = "/proc/sys/net/ipv4/tcp_wmem"
  static let trackedMax = "/proc/sys/net/netfilter/nf_conntrack_max"
  static let tracked = "/proc/sys/net/netfilter/nf_conntrack_count"
  static let hugePages = "/sys/kernel/mm/transparent_hugepage/enabled"
  static let hugePagesDefrag = "/sys/kernel/mm/transparent_hugepage/defrag"
  static let governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
  static let governorDriver = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver"
  static let clockSource = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
  static let clockSources = "/sys/devices/system/clocksource/clocksource0/available_clocksource"

  static let all = [
    release, status, memory, mounts, ringDisabled, profiling, descriptorsOfProcess, filesMax, filesOpen,
    swappiness, acceptBacklog, synBacklog, synCookies, portRange, portsReserved, portsPrivileged, congestion,
    congestionOffered, queueing, tcpMemory, tcpReceive, tcpSend, trackedMax, tracked, hugePages,
    hugePagesDefrag, governor, governorDriver, clockSource, clockSources,
  ]
}
