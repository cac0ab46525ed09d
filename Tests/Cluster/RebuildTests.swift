import Foundation
import Support
import Testing

extension ClusterTests {
  @Suite struct RebuildTests {
    private func rebuild(_ cluster: Instances, _ flags: String...) throws -> ServerProcess.Run {
      try ServerProcess.run(["rebuild"] + cluster.connection + flags)
    }

    /// Two users, a direct chat and a room with messages.
    private func fill(_ cluster: Instances) throws -> (
      alice: ChatTestClient, bob: ChatTestClient, said: ChatFrame
    ) {
      let first = try cluster.start("s1")
      let second = try cluster.start("s2")
      let alice = try ChatTestClient.attached(port: first.port, user: "alice", device: "phone")
      let bob = try ChatTestClient.attached(port: second.port, user: "bob", device: "phone")
      try alice.ask(
        "\"type\":\"create\",\"chat\":\"room:team\",\"name\":\"Team\",\"public\":true", expecting: "ok")
      try bob.ask("\"type\":\"join\",\"chat\":\"room:team\"", expecting: "ok")
      var said = try alice.say(to: "room:team")
      for number in 0..<5 {
        try bob.takeMessage(of: said)
        try alice.takeMessage(of: bob.say(to: "user:alice", body: "\(number)"))
        said = try alice.say(to: "user:bob", body: "\"answer \(number)\"")
      }
      try bob.takeMessage(of: said)
      // The same request once more: in the log it stands twice.
      let again = try alice.say(to: "user:bob", id: "t-again")
      try bob.takeMessage(of: again)
      #expect(try alice.say(to: "user:bob", id: "t-again", retry: true).seq == again.seq)
      return (alice, bob, said)
    }

    /// Compares until what was just done is committed too.
    private func waitUntilEqual(_ cluster: Instances) throws {
      let deadline = Deadline.after(.seconds(60))
      var last = ""
      while !deadline.hasPassed {
        let run = try rebuild(cluster, "--dry-run")
        // Of what is not committed the state topic says nothing, and nothing of it can differ.
        let places = run.output.matches(of: /applied (\d+), committed (\d+)/)
        if run.status == 0, places.count == 4, places.allSatisfy({ $0.1 == $0.2 }) { return }
        last = run.output + run.errors
      }
      throw TestFailure("still different:\n\(last)")
    }

    private func key(_ cluster: Instances, _ pattern: String) throws -> String {
      let keys = try cluster.run("--scan", "--pattern", pattern).split(separator: "\n")
      guard keys.count == 1 else { throw TestFailure("\(keys.count) keys like \(pattern)") }
      return String(keys[0])
    }

    /// What was damaged is told, made again while clients stay connected, and equal then.
    @Test func aDamagedViewIsToldAndMadeAgain() throws {
      try withInstances { cluster in
        let (alice, bob, said) = try fill(cluster)
        try waitUntilEqual(cluster)

        let history = try key(cluster, "fc:{p*}:h:dm:alice:bob")
        let members = try key(cluster, "fc:{p*}:m:room:team")
        #expect(try cluster.run("XDEL", history, "\(said.seq!)-0") == "1\n")
        try cluster.run("HSET", members, "mallory", "1:1099511627777")
        try cluster.run("HDEL", members, "bob")
        let told = try rebuild(cluster, "--dry-run")
        #expect(told.status == 1)
        #expect(
          told.output.contains("dm:alice:bob \(said.seq!): in the log, not in the view"), "\(told.output)")
        #expect(told.output.contains("mallory in room:team is 1:1099511627777 by the view, unknown by"))
        #expect(told.output.contains("bob in room:team is a member by the state topic, and not by the view"))
        // It has changed nothing.
        #expect(try cluster.run("HEXISTS", members, "mallory") == "1\n")

        let done = try rebuild(cluster)
        #expect(done.status == 0, "\(done.output)\(done.errors)")
        #expect(
          done.output.split(separator: "\n").count { $0.contains("whole again") } == 4, "\(done.output)")
        try waitUntilEqual(cluster)
        #expect(try cluster.run("HEXISTS", members, "mallory") == "0\n")

        // Nobody was sent away, and all goes on.
        let page = try bob.ask("\"type\":\"history\",\"chat\":\"dm:alice:bob\"", expecting: "history")
        #expect(page["messages"]?.array?.count == 11)
        try bob.takeMessage(of: alice.say(to: "user:bob"))
        try alice.takeMessage(of: bob.say(to: "room:team"))
        let handed = bob.events().map { "\($0.chat!) \($0.seq!)" }
        #expect(Set(handed).count == handed.count)
      }
    }

    /// One partition by its number; without servers the next one makes it at its start.
    @Test func withoutServersTheNextOneRebuilds() throws {
      try withInstances { cluster in
        let (_, _, said) = try fill(cluster)
        try waitUntilEqual(cluster)
        for server in cluster.servers { #expect(try server.terminate() == 0) }
        let history = try key(cluster, "fc:{p*}:h:dm:alice:bob")
        let partition = try #require(history.firstMatch(of: /p(\d+)/)?.1)
        try cluster.run("XDEL", history, "\(said.seq!)-0")
        let done = try rebuild(cluster, "--partition", "\(partition)")
        #expect(done.status == 0, "\(done.errors)")
        #expect(done.output.contains("no server is running; the next one rebuilds it at its start"))
        #expect(try rebuild(cluster, "--dry-run").status == 1)
        for server in cluster.servers { try server.restart() }
        let bob = try ChatTestClient.attached(port: cluster.servers[0].port, user: "bob", device: "tablet")
        let page = try bob.ask("\"type\":\"history\",\"chat\":\"dm:alice:bob\"", expecting: "history")
        #expect(page["messages"]?.array?.count == 11)
        try waitUntilEqual(cluster)
      }
    }

    /// What only Redis has is not thrown away without a word.
    @Test func eventsThatTheLogHasNoMoreAreKept() throws {
      try withInstances { cluster in
        try cluster.start("s1")
        let history = "fc:{p2}:h:dm:x:y"
        try cluster.run("XADD", history, "7-0", "json", "{}", "prev", "0")
        let refused = try rebuild(cluster, "--partition", "2")
        #expect(
          refused.status == 1 && refused.errors.contains("dm:x:y has events in Redis"), "\(refused.errors)")
        #expect(try cluster.run("EXISTS", history) == "1\n")
        let done = try rebuild(cluster, "--partition", "2", "--lose-older")
        #expect(done.status == 0, "\(done.output)\(done.errors)")
        #expect(try cluster.run("EXISTS", history) == "0\n")
      }
    }

    @Test func whatIsWrongIsOneLine() throws {
      try withInstances { cluster in
        let nothing = try rebuild(cluster)
        #expect(
          nothing.status == 1 && nothing.errors.hasPrefix("fastchat: there is no Kafka topic"),
          "\(nothing.errors)")
        try cluster.start("s1")
        let beyond = try rebuild(cluster, "--partition", "4")
        #expect(beyond.status == 1)
        #expect(beyond.errors == "fastchat: --partition 4: the log has 4, numbered from 0\n")
        for (words, line) in [
          (["--partition", "x"], "fastchat: --partition x: expected the number of a partition, from 0\n"),
          (["--partition"], "fastchat: --partition needs a value: --partition N\n"),
        ] {
          let run = try ServerProcess.run(["rebuild"] + cluster.connection + words)
          #expect(run.status == 2 && run.errors == line, "\(run.errors)")
        }
        let alone = try ServerProcess.run(["rebuild"])
        #expect(
          alone.status == 2
            && alone.errors == "fastchat: rebuild needs --kafka and --redis, as serve got them\n")
      }
    }
  }
}
