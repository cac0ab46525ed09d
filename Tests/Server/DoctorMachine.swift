import EventLoop

@testable import Server

/// A machine that has all that a small server wants, for a test to spoil in one place.
enum DoctorMachine {
  static var good: Facts {
    var facts = Facts()
    facts.texts = [
      Path.release: "6.12.4-amd64",
      Path.status: "Name:\tfastchat\nCapEff:\t0000000000000000\nSeccomp:\t0",
      Path.memory: "MemTotal:       16384000 kB\nMemAvailable:   12288000 kB\nSwapTotal:             0 kB",
      Path.mounts: "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw",
      Path.ringDisabled: "0", Path.profiling: "2", Path.descriptorsOfProcess: "1048576",
      Path.filesMax: "9223372036854775807", Path.filesOpen: "1200\t0\t9223372036854775807",
      Path.swappiness: "60", Path.acceptBacklog: "4096", Path.synBacklog: "1024", Path.synCookies: "1",
      Path.portRange: "32768\t60999", Path.portsReserved: "", Path.portsPrivileged: "1024",
      Path.congestion: "cubic", Path.congestionOffered: "reno cubic", Path.queueing: "fq_codel",
      Path.tcpMemory: "188000 250000 376000", Path.tcpReceive: "4096\t131072\t6291456",
      Path.tcpSend: "4096\t16384\t4194304", Path.hugePages: "always [madvise] never",
      Path.hugePagesDefrag: "always defer defer+madvise [madvise] never",
      Path.governor: "performance", Path.governorDriver: "intel_pstate", Path.clockSource: "tsc",
      Path.clockSources: "tsc hpet acpi_pm",
    ]
    facts.report = report()
    facts.descriptors = 65_536
    facts.lockableBytes = 8 << 20
    facts.processors = 4
    facts.data.state = .present(owner: 1_000, mode: 0o700, isWritable: true)
    facts.data.user = 1_000
    facts.data.realPath = "/srv/chat"
    facts.data.space = DataFacts.Space(freeBytes: 200 << 30, freeInodes: 1_000_000)
    facts.data.sync = .times(
      DataFacts.SyncTimes(count: 50, medianNanoseconds: 400_000, maxNanoseconds: 2_000_000))
    facts.clockIsSynchronised = true
    return facts
  }

  /// What the probe says where these features fail with that errno.
  static func report(without features: Set<BackendReport.Feature> = [], errno code: Int32 = 0)
    -> BackendReport
  {
    var report = BackendReport()
    for feature in BackendReport.Feature.allCases {
      report.note(feature, features.contains(feature) ? -code : 0)
    }
    return report
  }

  /// A machine without any io_uring.
  static func withoutRing(errno code: Int32) -> BackendReport {
    var report = BackendReport()
    report.note(.ring, -code)
    return report
  }

  static func examine(
    _ configuration: Configuration = Configuration(), _ spoil: (inout Facts) -> Void = { _ in }
  ) -> DoctorReport {
    var facts = good
    spoil(&facts)
    return DoctorProgram.examine(facts, configuration)
  }
}

extension DoctorReport {
  subscript(_ check: String) -> Finding? { findings.first { $0.check == check } }

  /// The names of those that are not fine.
  var wrong: [String] { findings.filter { $0.level != .fine }.map(\.check) }
}

extension Finding {
  func advises(_ text: String) -> Bool { how.contains { $0.contains(text) } }
}
