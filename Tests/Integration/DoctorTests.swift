import Foundation
import Support
import Testing

/// `fastchat doctor` in a process of its own: exit codes, both outputs, and that it leaves nothing behind.
@Suite struct DoctorTests {
  private static let somewhere = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]

  /// The level of each check.
  private func levels(_ flags: [String]) throws -> (status: Int32, levels: [String: String]) {
    let run = try ServerProcess.run(["doctor", "--json"] + flags)
    #expect(run.errors.isEmpty, "\(run.errors)")
    var levels: [String: String] = [:]
    for line in run.output.split(separator: "\n") {
      let object = try #require(
        try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(line)")
      let check = try #require(object["check"] as? String)
      levels[check] = try #require(object["level"] as? String)
      #expect(object["found"] as? String != nil && object["how"] as? [String] != nil)
    }
    return (run.status, levels)
  }

  @Test func theExitCodeSaysTheWorstAndTheDiskIsAsBefore() throws {
    let directory = try TemporaryDirectory()
    let (status, levels) = try levels(Self.somewhere + ["--data", directory.path + "/data"])
    #expect(levels.count > 20)
    let expected: Int32 =
      levels.values.contains("broken") ? 3 : levels.values.contains("change") ? 1 : 0
    #expect(status == expected)
    #expect(levels["listen"] == "fine" && levels["admin"] == "fine" && levels["data"] == "fine")
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
  }

  @Test func theTextHasALineForEachJSONLine() throws {
    let directory = try TemporaryDirectory()
    let flags = Self.somewhere + ["--data", directory.path]
    let text = try ServerProcess.run(["doctor"] + flags).output
    let heads = text.split(separator: "\n").filter { line in
      ["fine    ", "change  ", "broken  "].contains { line.hasPrefix($0) }
    }
    #expect(try heads.count == levels(flags).levels.count)
    withExtendedLifetime(directory) {}
  }

  @Test func aPortAndADirectoryInUseAreFoundAndTheServerIsNotDisturbed() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let found = try levels([
        "--listen", "127.0.0.1:\(server.port)", "--admin", "127.0.0.1:\(server.adminPort)", "--data",
        server.data,
      ])
      #expect(found.status == 3)
      #expect(found.levels["listen"] == "broken" && found.levels["admin"] == "broken")
      try alice.say(to: "user:bob")
      let free = try levels(Self.somewhere + ["--data", server.data])
      #expect(free.levels["listen"] == "fine")
      try alice.say(to: "user:bob")
    }
  }

  @Test func whatServeWouldNotStartWithIsThree() throws {
    let file = try TemporaryDirectory()
    try Data().write(to: URL(fileURLWithPath: file.path + "/data"))
    let found = try levels(Self.somewhere + ["--data", file.path + "/data"])
    #expect(found.status == 3 && found.levels["data"] == "broken")
    let many = try levels(Self.somewhere + ["--data", file.path, "--limits-connections", "16000000"])
    #expect(many.status == 3 && many.levels["descriptors"] == "broken")
    let far = try levels(["--listen", "192.0.2.1:0", "--insecure", "--admin", "127.0.0.1:0"])
    #expect(far.status == 3 && far.levels["listen"] == "broken")
  }

  @Test(arguments: [
    ["--kafka", "127.0.0.1:9092"], ["--redis", "127.0.0.1:6379"], ["--shards", "two"], ["--jsn"], ["now"],
  ])
  func wrongFlagsAreTwoAndNothingIsChecked(flags: [String]) throws {
    let run = try ServerProcess.run(["doctor"] + flags)
    #expect(run.status == 2 && run.output.isEmpty)
    #expect(run.errors.contains(flags[0]), "\(run.errors)")
  }

  @Test func aVariableThatIsNoOptionIsAFinding() throws {
    let directory = try TemporaryDirectory()
    let run = try ServerProcess.run(
      ["doctor", "--data", directory.path] + Self.somewhere, environment: ["FASTCHAT_LIMIT_RATE": "sesame"])
    #expect(run.output.contains("FASTCHAT_LIMIT_RATE") && !run.output.contains("sesame"))
    #expect(run.status == 1 || run.status == 3)
  }

  @Test func theHelpNamesTheCommand() throws {
    #expect(try ServerProcess.run(["doctor", "--help"]).output.contains("fastchat doctor"))
  }
}
