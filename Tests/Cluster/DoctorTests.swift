import Foundation
import Support
import Testing

extension ClusterTests {
  @Suite struct DoctorTests {
    /// Level and finding of each check, and the exit code.
    private func examine(_ flags: [String]) throws -> (status: Int32, found: [String: (String, String)]) {
      let run = try ServerProcess.run(
        ["doctor", "--json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"] + flags)
      #expect(run.errors.isEmpty, "\(run.errors)")
      var found: [String: (String, String)] = [:]
      for line in run.output.split(separator: "\n") {
        let finding = try JSONValue(parsing: line)
        found[try #require(finding["check"]?.string)] = (
          try #require(finding["level"]?.string), try #require(finding["found"]?.string)
        )
      }
      return (run.status, found)
    }

    /// It says what `serve` would find, and neither makes nor changes anything.
    @Test func theDoctorLooksAtBrokersAndRedisAndLeavesThemAsTheyAre() throws {
      try withInstances { cluster in
        let flags = cluster.flags("s1")
        let before = try examine(flags)
        #expect(before.found["topics"]?.1.contains("serve makes them") == true, "\(before.found)")
        #expect(try examine(flags).found["topics"]?.1 == before.found["topics"]?.1)
        #expect(try cluster.run("DBSIZE") == "0\n")
        #expect(before.found["redis"]?.0 == "fine")
        #expect(before.found["data"] == nil && before.found["fsync"] == nil)

        try cluster.start("s1")
        let served = try examine(flags)
        #expect(served.found["topics"]?.0 == "fine", "\(served.found)")
        #expect(served.found["topics"]?.1 == "as planned, 4 partitions")
        #expect(served.found["redis clock"]?.0 == "fine")

        try cluster.run("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        try cluster.run("CONFIG", "SET", "maxmemory", "100mb")
        let evicting = try examine(flags)
        #expect(evicting.status == 3 && evicting.found["redis memory"]?.0 == "broken")
      }
    }

    @Test func theDoctorSaysWhoIsNotThere() throws {
      try withInstances { cluster in
        let found = try examine(cluster.flags("s1") + ["--kafka", "127.0.0.1:1", "--redis", "127.0.0.1:1"])
        #expect(found.status == 3)
        for check in ["kafka", "redis"] {
          let (level, words) = try #require(found.found[check])
          #expect(level == "broken" && words.contains("127.0.0.1:1"), "\(words)")
        }
      }
    }
  }
}
