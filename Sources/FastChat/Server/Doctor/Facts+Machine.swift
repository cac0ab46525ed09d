import CLinuxIO
import EventLoop
import Glibc

/// The one place that looks at this machine. Nothing here needs root, and nothing stays behind.
extension Facts {
  /// Bytes of a kernel's file that are read.
  private static let textBytesMax = 1 << 20

  /// Looks at everything that `serve` would meet with this configuration.
  static func gather(_ configuration: Configuration) -> Facts {
    var facts = Facts()
    for path in Path.all { facts.texts[path] = text(path) }
    facts.report = BackendProbe.run()
    facts.descriptors = Descriptors.raiseLimit()
    facts.lockableBytes = lockableBytes()
    facts.processors = LoopThread.processors
    facts.pageBytes = max(sysconf(Int32(_SC_PAGESIZE)), 1)
    facts.groups = controlGroups()
    (facts.listen.outcome, facts.admin.outcome) = tryPorts(configuration)
    if let cluster = configuration.cluster {
      facts.kafka = KafkaFacts.gather(cluster, configuration.limits)
      facts.redis = RedisFacts.gather(cluster)
    } else {
      facts.data = DataFacts.gather(configuration.dataDirectory)
    }
    let synchronised = linuxio_clock_synchronised()
    facts.clockIsSynchronised = synchronised < 0 ? nil : synchronised == 1
    return facts
  }

  /// A text of the kernel's without spaces at its end; nil where it cannot be read.
  static func text(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16_384)
    while bytes.count < textBytesMax {
      let count = read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { return nil }
      if count == 0 { break }
      bytes += chunk[..<count]
    }
    while let last = bytes.last, last == 0x0A || last == 0x20 { bytes.removeLast() }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func lockableBytes() -> Int? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit) == 0,
      limit.rlim_cur != rlim_t.max
    else { return nil }
    return Int(clamping: limit.rlim_cur)
  }

  // MARK: Ports

  /// Listens on both addresses at once, as `serve` does, and closes them. Whoever connects in this moment is
  /// told by a reset that nobody is there.
  private static func tryPorts(
    _ configuration: Configuration
  ) -> (listen: PortFact.Outcome, admin: PortFact.Outcome) {
    var sockets: [ListeningSocket] = []
    func outcome(_ address: Address) -> PortFact.Outcome {
      do throws(LoopError) {
        sockets.append(try .open(address: address.host, port: address.port, reusePort: false))
        return .free
      } catch .portInUse {
        return .inUse
      } catch .system(_, let code) {
        return .refused(errno: code)
      } catch {
        return .refused(errno: EINVAL)
      }
    }
    let both = (listen: outcome(configuration.listen), admin: outcome(configuration.admin))
    for socket in sockets { socket.close() }
    return both
  }

  // MARK: Control groups

  /// The groups of version 2 that hold the process, or else those of version 1 that bound memory and time.
  private static func controlGroups() -> [ControlGroup] {
    let root = "/sys/fs/cgroup"
    let own = text("/proc/self/cgroup") ?? ""
    var groups: [ControlGroup] = []
    if text(root + "/cgroup.controllers") != nil {
      for level in ControlGroup.levels(ControlGroup.path(of: nil, in: own) ?? "/") {
        let at = root + level + "/"
        groups.append(
          ControlGroup(
            path: level, memoryMax: text(at + "memory.max"), memoryUsed: text(at + "memory.current"),
            statistics: text(at + "memory.stat"),
            processors: text(at + "cpu.max")))
      }
    } else {
      for level in ControlGroup.levels(ControlGroup.path(of: "memory", in: own) ?? "/") {
        let at = root + "/memory" + level + "/"
        groups.append(
          ControlGroup(
            path: "memory:" + level, memoryMax: text(at + "memory.limit_in_bytes"),
            memoryUsed: text(at + "memory.usage_in_bytes"), statistics: text(at + "memory.stat"),
            processors: nil))
      }
      for level in ControlGroup.levels(ControlGroup.path(of: "cpu", in: own) ?? "/") {
        let at = root + "/cpu" + level + "/"
        guard let quota = text(at + "cpu.cfs_quota_us"), let period = text(at + "cpu.cfs_period_us") else {
          continue
        }
        groups.append(
          ControlGroup(
            path: "cpu:" + level, memoryMax: nil, memoryUsed: nil, statistics: nil,
            processors: quota + " " + period))
      }
    }
    return groups.filter(\.isBounded)
  }
}
