import Chat
import EventLoop
import Glibc
import Testing

@testable import Server

/// What the doctor says of machines that are not this one: processors, memory, kernel, network.
@Suite struct DoctorMachineTests {
  private func asked(_ set: (inout Configuration) -> Void) -> Configuration {
    var configuration = Configuration()
    set(&configuration)
    return configuration
  }

  @Test func aGoodMachineIsFineThroughout() {
    let report = DoctorMachine.examine()
    #expect(report.wrong.isEmpty)
    #expect(report.exitCode == 0)
    #expect(Set(report.findings.map(\.check)).count == DoctorProgram.checks(inCluster: false).count)
  }

  @Test func ofAMachineThatTellsNothingNothingIsInvented() {
    let report = DoctorMachine.examine { facts in
      facts.texts = [:]
      facts.data.space = nil
      facts.clockIsSynchronised = nil
      facts.lockableBytes = nil
    }
    #expect(report.wrong.isEmpty)
  }

  // MARK: Kernel

  @Test func anOldKernelLosesIOUringAndKeepsTheServer() throws {
    let report = DoctorMachine.examine { facts in
      facts.texts[Path.release] = "5.10.0-32-amd64"
      facts.report = DoctorMachine.report(
        without: [.bufferRing, .multishotAccept, .multishotReceive, .singleIssuer, .deferredTaskRun],
        errno: EINVAL)
    }
    #expect(report.wrong == ["kernel", "io_uring"])
    let ring = try #require(report["io_uring"])
    #expect(ring.found.contains("missing: provided buffer ring (Invalid argument), multishot accept"))
    #expect(ring.found.contains("works: io_uring, EXT_ARG"))
    #expect(ring.advises("6.0"))
    #expect(report["backend"]?.found == "4 event loops on epoll")
    #expect(report.exitCode == 1)
  }

  @Test func featuresThatOnlySaveTimeAreNamedAndMissed() throws {
    let report = DoctorMachine.examine { facts in
      facts.texts[Path.release] = "6.0.1"
      facts.report = DoctorMachine.report(without: [.deferredTaskRun], errno: EINVAL)
    }
    #expect(report.wrong.isEmpty)
    #expect(report["io_uring"]?.found.contains("not needed: DEFER_TASKRUN (Invalid argument)") == true)
    #expect(report["backend"]?.found.contains("io_uring") == true)
  }

  @Test(arguments: [
    ("1", "0", "kernel.io_uring_disabled=0 (it is 1"), ("2", "0", "kernel.io_uring_disabled=0 (it is 2"),
    ("0", "2", "seccomp filter"), ("0", "0", "CONFIG_IO_URING"),
  ])
  func whatForbidsIOUringIsNamed(disabled: String, seccomp: String, expected: String) throws {
    let spoil: (inout Facts) -> Void = { facts in
      facts.texts[Path.ringDisabled] = disabled
      facts.texts[Path.status] = "CapEff:\t00000000000000c0\nSeccomp:\t\(seccomp)"
      facts.report = DoctorMachine.withoutRing(errno: EPERM)
    }
    let ring = try #require(DoctorMachine.examine(Configuration(), spoil)["io_uring"])
    #expect(ring.level == .change && ring.advises(expected), "\(ring)")
    let forced = DoctorMachine.examine(asked { $0.backend = .ioUring }, spoil)
    #expect(forced.wrong == ["io_uring", "backend"])
    #expect(forced.exitCode == 3)
    #expect(DoctorMachine.examine(asked { $0.backend = .epoll }, spoil).wrong.isEmpty)
  }

  @Test func lockedMemoryCountsWhereTheKernelCountsTheRings() throws {
    let spoil: (inout Facts) -> Void = { $0.lockableBytes = 64 << 10 }
    #expect(DoctorMachine.examine(Configuration(), spoil).wrong.isEmpty)
    let old = DoctorMachine.examine { facts in
      spoil(&facts)
      facts.texts[Path.release] = "5.11.22"
    }
    #expect(old["memlock"]?.level == .change)
    #expect(old["memlock"]?.advises("LimitMEMLOCK=") == true)
  }

  // MARK: Processors

  @Test func oneProcessorOfAControlGroupIsNotFourShards() throws {
    let group = ControlGroup(
      path: "/system.slice/fastchat.service", memoryMax: nil, memoryUsed: nil, statistics: nil,
      processors: "100000 100000")
    let report = DoctorMachine.examine { $0.groups = [group] }
    #expect(report.wrong == ["processors"])
    #expect(report["processors"]?.how.first == "--shards 1")
    #expect(report["processors"]?.advises("CPUQuota=400%") == true)
    #expect(DoctorMachine.examine(asked { $0.shards = 1 }) { $0.groups = [group] }.wrong.isEmpty)
  }

  @Test func moreShardsThanProcessorsAreTooMany() {
    let report = DoctorMachine.examine(asked { $0.shards = 5 })
    #expect(report.wrong == ["processors"])
    #expect(report["processors"]?.how == ["--shards 4"])
  }

  @Test(arguments: [
    ("schedutil", "acpi-cpufreq", true), ("powersave", "intel_pstate", true),
    ("powersave", "amd-pstate-epp", true), ("powersave", "acpi-cpufreq", false),
    ("ondemand", "acpi-cpufreq", false),
  ])
  func aGovernorThatSavesPowerIsSaid(governor: String, driver: String, isFine: Bool) {
    let report = DoctorMachine.examine { facts in
      facts.texts[Path.governor] = governor
      facts.texts[Path.governorDriver] = driver
    }
    #expect(report.wrong == (isFine ? [] : ["governor"]))
  }

  // MARK: Descriptors and memory

  @Test func connectionsThatTheDescriptorsDoNotAllowAreBroken() throws {
    let report = DoctorMachine.examine(asked { $0.connections = 2_000_000 })
    let finding = try #require(report["descriptors"])
    #expect(finding.level == .broken && report.exitCode == 3)
    #expect(finding.how[0].hasPrefix("sysctl -w fs.nr_open=2000064, then LimitNOFILE=2000064"))
    #expect(DoctorMachine.examine(asked { $0.connections = 65_472 })["descriptors"]?.level == .fine)
    #expect(DoctorMachine.examine(asked { $0.connections = 65_473 })["descriptors"]?.level == .broken)
  }

  @Test func aThousandDescriptorsAreALimitThatSomebodyForgot() {
    let report = DoctorMachine.examine { $0.descriptors = 1_024 }
    #expect(report.wrong == ["descriptors"])
    #expect(report["descriptors"]?.advises("LimitNOFILE=1048576") == true)
    #expect(DoctorMachine.examine(asked { $0.connections = 500 }) { $0.descriptors = 1_024 }.wrong.isEmpty)
  }

  @Test func theFilesOfTheWholeMachineAreCounted() {
    let report = DoctorMachine.examine { facts in
      facts.texts[Path.filesMax] = "60000"
      facts.texts[Path.filesOpen] = "5000\t0\t60000"
    }
    #expect(report.wrong == ["files"])
  }

  @Test func aControlGroupWithLittleMemoryIsTheMemoryThatCounts() throws {
    let group = ControlGroup(
      path: "/box", memoryMax: "\(2 << 30)", memoryUsed: "\(1 << 30)",
      statistics: "anon 5\ninactive_file \(512 << 20)", processors: "max 100000")
    #expect(group.memoryLeft == 3 << 29)
    #expect(group.isBounded)
    let report = DoctorMachine.examine(asked { $0.connections = 60_000 }) { $0.groups = [group] }
    #expect(report.wrong == ["memory"])
    let finding = try #require(report["memory"])
    #expect(finding.found.hasPrefix("1.5GiB left in the control group /box"))
    let line = try #require(finding.how.first { $0.hasPrefix("--limits-connections ") })
    let fitting = try #require(Int(line.split(separator: " ")[1]))
    #expect(
      DoctorMachine.examine(asked { $0.connections = fitting }) { $0.groups = [group] }.wrong.isEmpty)
    #expect(
      DoctorMachine.examine(asked { $0.connections = fitting + 1 }) { $0.groups = [group] }.wrong
        == ["memory"])
  }

  @Test func memoryThatIsTooSmallForTheBoundsAloneNamesTheBounds() {
    let report = DoctorMachine.examine { $0.texts[Path.memory] = "MemAvailable: 400000 kB" }
    #expect(report.wrong == ["memory"])
    #expect(report["memory"]?.advises("--limits-append-bytes") == true)
  }

  @Test func swapIsSaidUnlessTheKernelAvoidsIt() {
    let swapped: (inout Facts) -> Void = {
      $0.texts[Path.memory] = "MemAvailable: 12288000 kB\nSwapTotal: 2097148 kB"
    }
    #expect(DoctorMachine.examine(Configuration(), swapped).wrong == ["swap"])
    let avoided = DoctorMachine.examine { facts in
      swapped(&facts)
      facts.texts[Path.swappiness] = "1"
    }
    #expect(avoided.wrong.isEmpty)
  }

  @Test func hugePagesThatFaultsWaitForAreSaid() {
    let always: (inout Facts) -> Void = { $0.texts[Path.hugePages] = "[always] madvise never" }
    #expect(DoctorMachine.examine(Configuration(), always).wrong.isEmpty)
    let waiting = DoctorMachine.examine { facts in
      always(&facts)
      facts.texts[Path.hugePagesDefrag] = "[always] defer madvise never"
    }
    #expect(waiting.wrong == ["huge pages"])
  }

  // MARK: Clock

  @Test func aClockThatNobodyKeepsIsSaid() {
    let report = DoctorMachine.examine { $0.clockIsSynchronised = false }
    #expect(report.wrong == ["clock"])
  }

  @Test func aSlowClockSourceIsSaidWithTheBetterOne() {
    let report = DoctorMachine.examine { $0.texts[Path.clockSource] = "hpet" }
    #expect(report.wrong == ["clock source"])
    #expect(report["clock source"]?.how == ["echo tsc > \(Path.clockSource)"])
    let only = DoctorMachine.examine { facts in
      facts.texts[Path.clockSource] = "acpi_pm"
      facts.texts[Path.clockSources] = "acpi_pm"
    }
    #expect(only["clock source"]?.advises("boot with") == true)
  }
}
