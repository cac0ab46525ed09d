import Chat
import Glibc
import Testing

@testable import Server

/// What the doctor says of ports and of the kernel's TCP.
@Suite struct DoctorNetworkTests {
  private func asked(_ set: (inout Configuration) -> Void) -> Configuration {
    var configuration = Configuration()
    set(&configuration)
    return configuration
  }

  // MARK: Ports

  @Test func aPortInUseIsBroken() {
    let report = DoctorMachine.examine { $0.listen.outcome = .inUse }
    #expect(report.wrong == ["listen"] && report.exitCode == 3)
    #expect(report["listen"]?.found == "127.0.0.1:8080 is in use")
    #expect(report["listen"]?.advises("ss -ltnp 'sport = :8080'") == true)
    #expect(DoctorMachine.examine { $0.admin.outcome = .inUse }.wrong == ["admin"])
  }

  @Test func aPrivilegedPortNamesTheCapability() throws {
    let low = asked { $0.listen = Address(host: "127.0.0.1", port: 80) }
    let report = DoctorMachine.examine(low) { $0.listen.outcome = .refused(errno: EACCES) }
    let finding = try #require(report["listen"])
    #expect(finding.level == .broken && finding.found.contains("below 1024"))
    #expect(finding.advises("AmbientCapabilities=CAP_NET_BIND_SERVICE"))
    #expect(finding.advises("net.ipv4.ip_unprivileged_port_start=80"))
    let able = DoctorMachine.examine(low) { facts in
      facts.listen.outcome = .refused(errno: EACCES)
      facts.texts[Path.status] = "CapEff:\t0000000000000400"
    }
    #expect(able["listen"]?.found.contains("a security module") == true)
  }

  @Test(arguments: [
    (EADDRNOTAVAIL, "no interface of this machine has the address 127.0.0.1"),
    (EAFNOSUPPORT, "127.0.0.1:8080: the kernel has no IPv6"), (EMFILE, "127.0.0.1:8080: Too many open files"),
  ])
  func anAddressThatCannotBeHadSaysWhy(code: Int32, expected: String) {
    let report = DoctorMachine.examine { $0.listen.outcome = .refused(errno: code) }
    #expect(report["listen"]?.level == .broken)
    #expect(report["listen"]?.found == expected)
  }

  @Test(arguments: [
    ("32768 60999", "", []), ("1024 65535", "", ["port range"]), ("1024 65535", "8080,9100", []),
    ("1024 65535", "8000-8100,9100", []), ("1024 65535", "9100", ["port range"]),
    ("9000 65535", "80", ["port range"]),
  ])
  func aPortThatAnOutgoingConnectionMayTakeIsSaid(range: String, reserved: String, wrong: [String]) {
    let report = DoctorMachine.examine { facts in
      facts.texts[Path.portRange] = range
      facts.texts[Path.portsReserved] = reserved
    }
    #expect(report.wrong == wrong)
  }

  @Test func thePortsThatWereReservedBeforeStayReserved() {
    let report = DoctorMachine.examine { facts in
      facts.texts[Path.portRange] = "9000 65535"
      facts.texts[Path.portsReserved] = "9050"
    }
    #expect(report["port range"]?.how == ["sysctl -w net.ipv4.ip_local_reserved_ports=9050,9100"])
  }

  // MARK: TCP

  @Test func aShortBacklogIsSaid() {
    let report = DoctorMachine.examine { $0.texts[Path.acceptBacklog] = "128" }
    #expect(report.wrong == ["accept backlog"])
    #expect(report["accept backlog"]?.how == ["sysctl -w net.core.somaxconn=4096"])
  }

  @Test func aShortQueueOfHalfOpenConnectionsMattersWithoutCookies() {
    #expect(DoctorMachine.examine { $0.texts[Path.synBacklog] = "256" }.wrong.isEmpty)
    let report = DoctorMachine.examine { facts in
      facts.texts[Path.synBacklog] = "256"
      facts.texts[Path.synCookies] = "0"
    }
    #expect(report.wrong == ["syn backlog"])
  }

  @Test func aTableOfTrackedConnectionsThatIsNearlyFullIsSaid() throws {
    let nearlyFull: (inout Facts) -> Void = { facts in
      facts.texts[Path.trackedMax] = "65536"
      facts.texts[Path.tracked] = "65000"
    }
    let report = DoctorMachine.examine(Configuration(), nearlyFull)
    #expect(report.wrong == ["conntrack"] && report.exitCode == 1)
    let finding = try #require(report["conntrack"])
    #expect(finding.found.hasPrefix("65000 of 65536 connections are tracked"))
    #expect(finding.advises("net.netfilter.nf_conntrack_max=") && finding.advises("dport 8080 notrack"))
    #expect(DoctorMachine.examine(asked { $0.connections = 536 }, nearlyFull).wrong.isEmpty)
  }

  @Test func renoIsSlowAndTheOthersAreNot() {
    let reno = DoctorMachine.examine { $0.texts[Path.congestion] = "reno" }
    #expect(reno.wrong == ["congestion"])
    #expect(reno["congestion"]?.how == ["sysctl -w net.ipv4.tcp_congestion_control=cubic"])
    let open = asked {
      $0.listen = Address(host: "0.0.0.0", port: 8080)
      $0.insecure = true
    }
    let bbr = DoctorMachine.examine(open) { $0.texts[Path.congestion] = "bbr" }
    #expect(bbr.wrong.isEmpty && bbr["congestion"]?.advises("default_qdisc=fq") == true)
  }

  @Test func aMessageToAllConnectionsFitsIntoTheMemoryOfTCP() {
    let small: (inout Facts) -> Void = { $0.texts[Path.tcpMemory] = "20000 30000 40000" }
    #expect(DoctorMachine.examine(asked { $0.connections = 30_000 }, small).wrong.isEmpty)
    let report = DoctorMachine.examine(asked { $0.connections = 40_000 }, small)
    #expect(report.wrong == ["tcp memory"])
    #expect(report["tcp memory"]?.how == ["sysctl -w net.ipv4.tcp_mem='40000 60000 80000'"])
  }

  @Test func buffersThatSomebodyCutAreSaid() {
    let send = DoctorMachine.examine { $0.texts[Path.tcpSend] = "4096 16384 65536" }
    #expect(send.wrong == ["tcp buffers"] && send["tcp buffers"]?.advises("tcp_wmem") == true)
    let receive = DoctorMachine.examine { $0.texts[Path.tcpReceive] = "4096 16384 65536" }
    #expect(receive.wrong == ["tcp buffers"] && receive["tcp buffers"]?.advises("tcp_rmem") == true)
  }
}
