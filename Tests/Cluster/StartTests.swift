import Support
import Testing

extension ClusterTests {
  @Suite struct StartTests {
    private func refused(_ flags: [String]) throws -> ServerProcess.Run {
      try ServerProcess.run(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"] + flags)
    }

    /// One line, which says what to do, and an end within the time that people wait.
    @Test(arguments: [
      ("--kafka", "127.0.0.1:1", "Kafka"), ("--redis", "127.0.0.1:1", "redis"),
    ])
    func anAddressThatIsWrongIsSaid(flag: String, address: String, word: String) throws {
      try withInstances { cluster in
        let run = try refused(cluster.flags("s1") + [flag, address])
        #expect(run.status == 1)
        let lines = run.errors.split(separator: "\n").filter { $0.hasPrefix("fastchat: ") }
        #expect(lines.count == 1 && lines[0].contains(word) && lines[0].contains(address), "\(run.errors)")
      }
    }

    /// One Redis would mix up the positions of two logs.
    @Test func aRedisOfAnotherLogIsRefused() throws {
      try withInstances { cluster in
        try cluster.start("s1")
        let run = try refused(cluster.flags("s2") + ["--kafka-prefix", cluster.prefix + "-other"])
        #expect(run.status == 1)
        #expect(run.errors.contains("belongs to another log"), "\(run.errors)")
      }
    }

    @Test func anIDThatALivingServerHasIsRefused() throws {
      try withInstances { cluster in
        let first = try cluster.start("s1")
        let run = try refused(cluster.flags("s1"))
        #expect(run.status == 1)
        #expect(run.errors.contains("fastchat: the server id s1 is in use"), "\(run.errors)")
        // The one that lives has heard nothing of it.
        let alice = try ChatTestClient.attached(port: first.port, user: "alice")
        try alice.say(to: "user:bob")
      }
    }
  }
}
