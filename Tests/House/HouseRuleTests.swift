import Foundation
import Testing

@Suite struct HouseRuleTests {
  static let sources = [".swift", ".c", ".h", ".py", ".sh"]

  private func ours(_ endings: [String]) -> [Repository.File] {
    ["Sources", "Tests", "Benchmarks"].flatMap { Repository.files(in: $0, endings: endings) }
  }

  @Test func noFileIsLongerThanAReaderHolds() {
    for file in ours(Self.sources) {
      #expect(file.lines.count <= 501, "\(file.path): \(file.lines.count) lines")
    }
  }

  @Test func thePackageDependsOnNoOtherPackage() throws {
    let text = try Repository.file("Package.swift").text
    #expect(!text.contains(".package("))
    #expect(!text.contains("pkgConfig:"))
  }

  @Test func nothingIsLeftForLater() {
    // In two halves, so that this file is not its own finding.
    let marks = ["TO" + "DO", "FIX" + "ME", "Place" + "holder"]
    for file in ours(Self.sources) {
      for line in file.lines {
        for mark in marks { #expect(!line.contains(mark), "\(file.path): \(line)") }
      }
      #expect(!file.path.contains("Place" + "holder"), "\(file.path)")
    }
  }

  @Test func noFileNamesAPathOfOneMachine() {
    let places = ["/wo" + "rk/", "/tmp/" + "fc/", "/ro" + "ot/", "../sha" + "red"]
    let endings =
      Self.sources + [".md", ".yml", ".json", ".html", ".js", "Makefile", "packages", "conformance", "run"]
    let folders = ["Sources", "Tests", "Benchmarks", "docs", "scripts", ".ci", "Web"]
    var files = folders.flatMap { Repository.files(in: $0, endings: endings) }
    files += ["Makefile", "README.md", "Package.swift"].compactMap { try? Repository.file($0) }
    #expect(files.count > 50)
    for file in files {
      for line in file.lines {
        for place in places { #expect(!line.contains(place), "\(file.path): \(line)") }
      }
    }
  }

  /// A machine that was asleep must not wake up with leases that lapsed meanwhile: what is judged by time is
  /// judged by the ticks of `TickClock`. How long something took, and the clock of a condition, stand in Monitor.
  @Test func whatALeaseIsJudgedByGoesOnWhileTheMachineSleeps() throws {
    let files = ["EventLoop", "Server"].flatMap {
      Repository.files(in: "Sources/FastChat/\($0)", endings: [".swift"])
    }
    let standsStill = files.filter { file in
      file.lines.contains {
        !$0.drop { $0 == " " }.hasPrefix("//")
          && ($0.contains("CLOCK_MONOTONIC") || $0.contains("SuspendingClock"))
      }
    }
    #expect(standsStill.map(\.path) == ["Sources/FastChat/Server/Threads/Monitor.swift"])
    let clock = try Repository.file("Sources/FastChat/EventLoop/LoopClock.swift")
    #expect(clock.text.contains("milliseconds() -> Int64 { LoopClock.read(CLOCK_BOOTTIME) }"))
  }

  @Test func theLicenceIsApaches() throws {
    let text = try Repository.file("LICENSE").text
    #expect(text.contains("Apache License") && text.contains("Version 2.0, January 2004"))
  }
}
