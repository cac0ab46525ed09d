import Foundation
import Testing

/// The floors of docs/ARCHITECTURE.md: imports point down only.
@Suite struct FloorTests {
  /// What each target under Sources may import. A new target takes its place here first.
  static let mayImport: [String: Set<String>] = [
    // Floor 0: C.
    "CLinuxIO": [], "CAssets": [], "CCommandLine": [], "CEdit": [], "CHiredis": [], "CInih": [], "CTimer": [],
    "COpenSSL": [], "CRdkafka": [], "CSQLite": [], "CZlib": [],
    // Floor 1: pure. Of Glibc they take memcmp and its like: no clock, no randomness, no files.
    "JSON": ["Glibc"],
    "WebSocket": ["CZlib", "COpenSSL", "Glibc"],
    "Chat": ["JSON", "Glibc"],
    // Floor 2.
    "EventLoop": ["CLinuxIO", "Glibc", "Synchronization"],
    // Floor 3: the ways to fill the domain's ports.
    "Embedded": ["CSQLite", "Chat", "JSON", "Glibc", "Synchronization"],
    "Kafka": ["CRdkafka", "Chat", "JSON", "Glibc", "Synchronization"],
    "Redis": ["CHiredis", "Chat", "JSON", "Glibc"],
    // Floor 4: puts them together.
    "Server": [
      "CAssets", "CCommandLine", "CInih", "CLinuxIO", "Chat", "Embedded", "EventLoop", "Glibc", "JSON",
      "Kafka", "Redis", "Synchronization", "WebSocket",
    ],
    // Floor 5: programs, and the client library.
    "Client": ["Glibc", "JSON", "Synchronization", "WebSocket"],
    "CLI": ["CEdit", "Client", "Glibc", "Server", "Synchronization"],
    "Load": ["CCommandLine", "CTimer", "EventLoop", "Glibc", "JSON", "Synchronization", "WebSocket"],
  ]

  /// Calls of Glibc that make a pure floor impure.
  static let impure = [
    "clock_gettime", "gettimeofday", "time(nil", "random(", "arc4random", "getrandom", "fopen(", "open(",
    "socket(",
    "getenv", "pthread_", "usleep", "SystemRandomNumberGenerator", ".random(in", "ContinuousClock",
    "SuspendingClock",
  ]

  private func imports(of file: Repository.File) -> [String] {
    file.lines.compactMap { line in
      line.firstMatch(
        of:
          /^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|private|fileprivate)\s+)?import\s+(?:(?:struct|class|enum|func|var|let|protocol|typealias)\s+)?(\w+)/
      ).map { String($0.1) }
    }
  }

  @Test func everyFormOfAnImportIsSeen() {
    let text = """
      import A
      public import B
      @testable import C
      @preconcurrency private import D
      import struct E.Thing
      // import Comment
      let important = 1
        internal import F
      """
    #expect(imports(of: Repository.File(path: "x", text: text)) == ["A", "B", "C", "D", "E", "F"])
  }

  @Test func noImportPointsUpAFloor() throws {
    var seen = 0
    for (name, folder) in try Repository.targets() where folder.hasPrefix("Sources/") {
      guard let allowed = Self.mayImport[name] else { continue }
      for file in Repository.files(in: folder, endings: [".swift"]) {
        for module in imports(of: file) {
          seen += 1
          #expect(allowed.contains(module), "\(file.path) imports \(module), which \(name) may not")
        }
      }
    }
    #expect(seen > 20, "the test must see imports")
  }

  @Test func everyTargetHasItsFloor() throws {
    let names = try Repository.targets().filter { $0.folder.hasPrefix("Sources/") }.map(\.name)
    #expect(Set(names) == Set(Self.mayImport.keys))
    let declared = try Repository.file("Package.swift").text.matches(
      of: /\.(?:target|executableTarget|testTarget|systemLibrary)\(\s*name:/)
    #expect(
      try Repository.targets().count == declared.count, "a target whose name and path this test cannot read")
  }

  @Test func everySourceBelongsToATarget() throws {
    let folders = try Repository.targets().map { $0.folder + "/" }
    for file in Repository.files(in: "Sources", endings: [".swift", ".c", ".h", ".modulemap"]) {
      #expect(folders.contains { file.path.hasPrefix($0) }, "\(file.path)")
    }
  }

  @Test func theDeclaredDependenciesAreTheAllowedOnes() throws {
    let text = try Repository.file("Package.swift").text
    for name in Self.mayImport.keys.sorted() {
      let declaration = try Regex(#"arget\(\s*name:\s*"\#(name)",\s*dependencies:\s*\[([^\]]*)\]"#)
      guard let match = text.firstMatch(of: declaration) else { continue }
      let dependencies = match.output[1].substring!.matches(of: /"(\w+)"/).map { String($0.1) }
      #expect(Self.mayImport[name]!.isSuperset(of: dependencies), "\(name) depends on \(dependencies)")
    }
  }

  @Test func thePureFloorsHaveNoClockNoRandomnessAndNoFiles() {
    for folder in ["JSON", "WebSocket", "Chat"] {
      for file in Repository.files(in: "Sources/FastChat/\(folder)", endings: [".swift"]) {
        for line in file.lines where !line.drop(while: { $0 == " " }).hasPrefix("//") {
          for call in Self.impure { #expect(!line.contains(call), "\(file.path): \(line)") }
        }
      }
    }
  }
}
