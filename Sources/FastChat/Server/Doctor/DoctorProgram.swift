import Glibc

/// One run of `fastchat doctor`: looks at the machine, checks it against the flags, tells.
public enum DoctorProgram {
  typealias Check = @Sendable (Facts, Plan) -> Finding

  /// Each check looks at the same facts and says one thing, in this order. A server of a cluster keeps nothing
  /// on its own disk: what it keeps things with is looked at in its place.
  static func checks(inCluster: Bool) -> [Check] {
    before + (inCluster ? ofCluster : ofStore) + behind
  }

  private static let before: [Check] = [
    variables,
    KernelChecks.kernel, KernelChecks.ring, KernelChecks.backend, KernelChecks.lockable,
    ProcessorChecks.shards, ProcessorChecks.governor,
    DescriptorChecks.process, DescriptorChecks.machine,
    MemoryChecks.memory, MemoryChecks.swap, MemoryChecks.hugePages,
    PortChecks.listen, PortChecks.admin, PortChecks.range,
  ]
  private static let ofStore: [Check] = [
    StorageChecks.directory, StorageChecks.fileSystem, StorageChecks.space, StorageChecks.sync,
  ]
  private static let ofCluster: [Check] = [
    ClusterChecks.brokers, ClusterChecks.topics, ClusterChecks.redis, ClusterChecks.eviction,
    ClusterChecks.persistence, ClusterChecks.replicas, ClusterChecks.clock,
  ]
  private static let behind: [Check] = [
    ClockChecks.synchronised, ClockChecks.source,
    NetworkChecks.backlog, NetworkChecks.synBacklog, NetworkChecks.tracking, NetworkChecks.congestion,
    NetworkChecks.memory, NetworkChecks.buffers,
    ProcessorChecks.profiling,
  ]

  /// Checks this machine, writes the findings on standard output, and returns the exit code: 0 all fine,
  /// 1 something to change, 3 something broken.
  ///
  /// - Parameter notes: what was odd about the environment's variables.
  public static func run(_ configuration: Configuration, notes: [String], json: Bool) -> Int32 {
    // What connections have to say on their way is in the findings.
    Log.level = .error
    var facts = Facts.gather(configuration)
    facts.notes = notes
    let report = examine(facts, configuration)
    write(json ? report.jsonLines : report.text)
    return report.exitCode
  }

  static func examine(_ facts: Facts, _ configuration: Configuration) -> DoctorReport {
    let plan = Plan(configuration, facts)
    return DoctorReport(findings: checks(inCluster: configuration.cluster != nil).map { $0(facts, plan) })
  }

  /// Variables that look like options and are none.
  static func variables(_ facts: Facts, _ plan: Plan) -> Finding {
    guard !facts.notes.isEmpty else { return .fine("variables", "every FASTCHAT_ variable is an option") }
    return .change(
      "variables", facts.notes.joined(separator: "; "), "unset it, or correct its name (fastchat options)")
  }

  private static func write(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
      var rest = bytes[...]
      while !rest.isEmpty {
        let count = Glibc.write(STDOUT_FILENO, UnsafeBufferPointer(rebasing: rest).baseAddress, rest.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return }
        rest = rest.dropFirst(count)
      }
    }
  }
}
