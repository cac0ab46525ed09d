import Foundation
import Testing

@testable import Server

/// What the doctor's answer looks like, to people and to scripts.
@Suite struct DoctorReportTests {
  private let mixed = DoctorReport(findings: [
    .fine("kernel", "Linux 6.12"),
    .change("swap", "2GiB \"zram\"\n\u{1}", "sysctl -w vm.swappiness=1", "or MemorySwapMax=0"),
    .broken("listen", "in use", "end it"),
  ])

  @Test func theExitCodeIsTheWorstOfTheFindings() {
    #expect(mixed.exitCode == 3)
    #expect(DoctorReport(findings: Array(mixed.findings.prefix(2))).exitCode == 1)
    #expect(DoctorReport(findings: Array(mixed.findings.prefix(1))).exitCode == 0)
  }

  @Test func eachFindingIsALineWithWhatToDoBelow() {
    let lines = mixed.text.split(separator: "\n").map(String.init)
    #expect(lines[0] == "fine    kernel          Linux 6.12")
    #expect(lines.contains("                        -> sysctl -w vm.swappiness=1"))
    #expect(lines.contains { $0.hasPrefix("1 fine, 1 to change, 1 broken: serve would not start") })
    #expect(lines.last?.contains("/etc/sysctl.d/") == true)
  }

  @Test func eachJSONLineIsTheWholeFinding() throws {
    let lines = mixed.jsonLines.split(separator: "\n")
    try #require(lines.count == 3)
    for (line, finding) in zip(lines, mixed.findings) {
      let object = try #require(
        try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      #expect(object["check"] as? String == finding.check)
      #expect(object["level"] as? String == finding.level.rawValue)
      #expect(object["found"] as? String == finding.found)
      #expect(object["how"] as? [String] == finding.how)
    }
  }

  @Test func everyFindingThatIsNotFineSaysWhatToDoInOneLine() {
    let report = DoctorMachine.examine { facts in
      facts.texts[Path.acceptBacklog] = "1"
      facts.texts[Path.clockSource] = "hpet"
      facts.descriptors = 100
      facts.notes = ["the variable FASTCHAT_X is no option"]
    }
    #expect(report.wrong == ["variables", "descriptors", "clock source", "accept backlog"])
    for finding in report.findings {
      #expect(finding.level == .fine || !finding.how.isEmpty)
      for line in [finding.found] + finding.how { #expect(!line.contains("\n") && !line.isEmpty) }
    }
  }

  @Test(arguments: [
    (0, "0B"), (900, "900B"), (1_024, "1KiB"), (1_536, "1.5KiB"), (8 << 20, "8MiB"), (150 << 30, "150GiB"),
    ((3 << 30) - 1, "2.9GiB"),
  ])
  func bytesAreShortAndNeverTooMany(bytes: Int, text: String) {
    #expect(Amount.bytes(bytes) == text)
  }

  @Test(arguments: [
    (900 as UInt64, "0.00ms"), (450_000, "0.45ms"), (9_050_000, "9.05ms"), (12_000_000, "12ms"),
  ])
  func timesAreInMilliseconds(nanoseconds: UInt64, text: String) {
    #expect(Amount.milliseconds(nanoseconds: nanoseconds) == text)
  }

  // MARK: The command

  private func invocation(_ words: String...) throws -> Invocation {
    try Invocation(arguments: words, environment: [], descriptors: 20_000)
  }

  @Test func theDoctorTakesTheFlagsOfServeAndJSON() throws {
    guard case .doctor(let configuration, _, let json) = try invocation("doctor", "--shards", "3", "--json")
    else {
      Issue.record("no doctor")
      return
    }
    #expect(configuration.shards == 3 && json)
    guard case .doctor(_, _, false) = try invocation("doctor") else {
      Issue.record("JSON unasked")
      return
    }
    #expect(throws: ConfigurationError.self) { try invocation("serve", "--json") }
    #expect(throws: ConfigurationError.self) { try invocation("doctor", "--kafka", "b:9092") }
  }

  @Test func tooFewDescriptorsAreAFindingAndNoWrongFlag() throws {
    guard case .doctor(let configuration, _, _) = try invocation("doctor", "--limits-connections", "900000")
    else {
      Issue.record("no doctor")
      return
    }
    #expect(DoctorMachine.examine(configuration)["descriptors"]?.level == .broken)
  }

  @Test func theGroupsOfAProcessAreReadUpwards() {
    let text = "4:memory,hugetlb:/docker/abc\n1:cpu,cpuacct:/\n0::/system.slice/a b"
    #expect(ControlGroup.path(of: "memory", in: text) == "/docker/abc")
    #expect(ControlGroup.path(of: "cpu", in: text) == "/")
    #expect(ControlGroup.path(of: "pids", in: text) == nil)
    #expect(ControlGroup.path(of: nil, in: text) == "/system.slice/a b")
    #expect(ControlGroup.levels("/a/b") == ["/a/b", "/a", "/"])
    #expect(ControlGroup.levels("/") == ["/"])
    let open = ControlGroup(
      path: "/", memoryMax: "9223372036854771712", memoryUsed: "1", statistics: nil, processors: "-1 100000")
    #expect(!open.isBounded)
    #expect(
      ControlGroup(path: "/", memoryMax: "max", memoryUsed: nil, statistics: nil, processors: "50000 100000")
        .processorHundredths == 50)
  }
}
