import EventLoop

/// The kernel, what it offers of io_uring, and what the event loops will run on.
enum KernelChecks {
  /// CAP_IPC_LOCK (capabilities(7)).
  private static let lockCapability = 14

  static func kernel(_ facts: Facts, _ plan: Plan) -> Finding {
    let release = Printable.short(facts.texts[Path.release] ?? "")
    guard facts.kernelVersion != nil else {
      return .fine("kernel", "the kernel does not tell its version; what it offers was tried instead")
    }
    guard facts.kernel(isAtLeast: 6, 0) else {
      return .change(
        "kernel", "Linux \(release) is older than 6.0, which io_uring is used from; epoll works",
        "install a newer kernel, on Debian 12: apt install linux-image-amd64 (6.1)")
    }
    guard facts.kernel(isAtLeast: 6, 1) else {
      return .fine(
        "kernel", "Linux \(release)",
        advice: ["from 6.1 on io_uring wakes the loop less often (DEFER_TASKRUN)"])
    }
    return .fine("kernel", "Linux \(release)")
  }

  /// Each feature by name: those that work and those that do not, with the kernel's reason.
  static func ring(_ facts: Facts, _ plan: Plan) -> Finding {
    let report = facts.report
    let present = BackendReport.Feature.allCases.filter { report.present.contains($0) }.map(\.rawValue)
    let missing = report.missing.map { "\($0.feature.rawValue) (\($0.reason))" }
    if report.supportsIOUring {
      let found = "works: " + present.joined(separator: ", ")
      guard !missing.isEmpty else { return .fine("io_uring", found) }
      return .fine(
        "io_uring", found + "; missing, not needed: " + missing.joined(separator: ", "),
        advice: ["a kernel from 6.1 on has all of them"])
    }
    let found =
      (present.isEmpty ? "" : "works: " + present.joined(separator: ", ") + "; ")
      + "missing: " + (missing.isEmpty ? "what the probe needs" : missing.joined(separator: ", "))
    let how = obstacle(facts)
    switch plan.configuration.backend {
    case .epoll: return .fine("io_uring", found + "; not asked for with --backend epoll")
    case .automatic: return .change("io_uring", found, how)
    case .ioUring: return .broken("io_uring", found, how, "or leave --backend io_uring out: epoll works")
    }
  }

  /// What most likely stands in the way, as what to do about it.
  private static func obstacle(_ facts: Facts) -> String {
    switch facts.number(Path.ringDisabled) {
    case 1: return "sysctl -w kernel.io_uring_disabled=0 (it is 1: allowed to kernel.io_uring_group alone)"
    case 2: return "sysctl -w kernel.io_uring_disabled=0 (it is 2: forbidden to all)"
    default: break
    }
    if !facts.kernel(isAtLeast: 6, 0) { return "install a kernel from 6.0 on, better 6.1" }
    if facts.field("Seccomp", of: Path.status) == "2" {
      return "a seccomp filter is active and most likely forbids it: in a unit "
        + "SystemCallFilter=@system-service @io-event io_uring_setup io_uring_enter io_uring_register, "
        + "in Docker --security-opt seccomp=FILE with these three calls allowed"
    }
    return "use a kernel that is built with CONFIG_IO_URING=y"
  }

  static func backend(_ facts: Facts, _ plan: Plan) -> Finding {
    let forced = plan.configuration.backend != .automatic
    guard let backend = plan.backend else {
      return .broken(
        "backend", "--backend io_uring is asked for and not to be had here",
        "leave it out, or --backend epoll")
    }
    return .fine(
      "backend", "\(plan.shards) event loops on \(backend.rawValue)" + (forced ? ", as --backend says" : ""))
  }

  /// Before 5.12 the rings counted as locked memory; later kernels count them as memory of the group.
  static func lockable(_ facts: Facts, _ plan: Plan) -> Finding {
    let need = plan.shards * ringBytes
    let limit = facts.lockableBytes.map(Amount.bytes) ?? "unlimited"
    guard plan.backend == .ioUring else {
      return .fine("memlock", "\(limit); epoll locks no memory")
    }
    let isEnough = facts.lockableBytes.map { $0 >= need } ?? true
    if isEnough { return .fine("memlock", "\(limit) for rings of \(Amount.bytes(need))") }
    if facts.hasCapability(lockCapability) || facts.kernel(isAtLeast: 5, 12) {
      return .fine("memlock", "\(limit); this kernel does not count the rings' \(Amount.bytes(need))")
    }
    return .change(
      "memlock", "\(limit) may be locked, and the rings of \(plan.shards) shards take \(Amount.bytes(need))",
      "LimitMEMLOCK=\(need) in the unit's [Service]", "or ulimit -l \((need + 1_023) / 1_024)")
  }

  /// Bytes of a loop's rings: entries of 64 bytes and their indices, completions of 16, buffers of 16.
  private static var ringBytes: Int {
    let loop = LoopConfiguration()
    return Int(loop.submissionEntries) * 68 + Int(loop.completionEntries) * 16 + loop.receiveBuffers * 16
  }
}
