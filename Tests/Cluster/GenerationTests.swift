import Foundation
import Kafka
import Support
import Testing

extension ClusterTests {
  @Suite struct GenerationTests {
    /// Kafka loses the log: servers stop, a new one is begun, clients with old cursors go on, and a lost Redis gets
    /// the events of both generations back.
    @Test func aLostLogIsBegunAnew() throws {
      try withInstances { cluster in
        let server = try cluster.start("s1")
        let alice = try ChatTestClient.attached(port: server.port, user: "alice", device: "phone")
        let bob = try ChatTestClient.attached(port: server.port, user: "bob", device: "phone")
        try alice.ask(
          "\"type\":\"create\",\"chat\":\"room:team\",\"name\":\"Team\",\"public\":true", expecting: "ok")
        try bob.ask("\"type\":\"join\",\"chat\":\"room:team\"", expecting: "ok")
        try bob.takeMessage(of: alice.say(to: "room:team"))
        for number in 0..<3 { try bob.takeMessage(of: alice.say(to: "user:bob", body: "\(number)")) }
        // A name that needs care in JSON, and an answer that Bob's device has not seen.
        try bob.takeMessage(of: alice.say(to: "user:bob", body: "{\"a\":[\"\\\"ü\",{}]}"))
        let cursors = bob.cursors("room:team", "dm:alice:bob")
        let log = bob.welcome?["log"]?.string
        bob.drop()
        let missed = try [alice.say(to: "user:bob"), alice.say(to: "room:team")]
        for ack in missed {
          try alice.ask("\"type\":\"history\",\"chat\":\"\(ack.chat!)\"", expecting: "history")
        }
        let rows = try ["h:dm:alice:bob", "m:room:team"].map { try key(cluster, $0) }
        try wait("the events") { try cluster.run("XLEN", rows[0]) == "5\n" }
        server.kill()

        let names = TopicNames(prefix: cluster.prefix)
        let topics = try Topics(KafkaConfiguration(brokers: cluster.broker.addresses), names: names)
        try topics.delete(names.log(generation: 1))
        try server.restart()
        try wait("the stop") { server.errors.contains("a partition is stopped") }
        #expect(try run(cluster).errors.contains("servers are running: s1"))
        #expect(try server.terminate() == 0)

        let looked = try run(cluster, "--dry-run")
        #expect(looked.status == 0 && looked.output.contains("nothing was changed"), "\(looked.errors)")
        let done = try run(cluster, "--at-once")
        #expect(done.status == 0, "\(done.output)\(done.errors)")
        #expect(done.output.contains("generation 2 is complete"), "\(done.output)")

        try server.restart()
        let again = try ChatTestClient.attached(
          port: server.port, user: "bob", device: "phone", cursors: cursors, log: log)
        for ack in missed { try again.takeMessage(of: ack) }
        let sender = try ChatTestClient.attached(port: server.port, user: "alice", device: "tablet")
        let said = try [sender.say(to: "user:bob"), sender.say(to: "room:team")]
        for ack in said {
          try again.takeMessage(of: ack)
          #expect(ack.seq! > 2 << 40)
        }
        // Two chats are two partitions: between them there is no order.
        for (missed, said) in zip(missed, said) {
          #expect(again.events(of: missed.chat).map(\.seq) == [missed.seq, said.seq])
        }
        #expect(again.events().count == 4)
        #expect(!again.received.contains { $0.type == "reset" })

        let before = try pages(again)
        try cluster.flush()
        try again.takeMessage(of: sender.say(to: "user:bob"))
        try again.takeMessage(of: sender.say(to: "room:team"))
        let after = try pages(again)
        #expect(after.map { Array($0.dropLast()) } == before)
        #expect(before.map(\.count) == [6, 3])
      }
    }

    /// One that was not finished is not used by servers, and is finished by running it again.
    @Test func oneThatWasBegunIsRefusedByServersAndFinished() throws {
      try withInstances { cluster in
        let server = try cluster.start("s1")
        let alice = try ChatTestClient.attached(port: server.port, user: "alice", device: "phone")
        let bob = try ChatTestClient.attached(port: server.port, user: "bob", device: "phone")
        try bob.takeMessage(of: alice.say(to: "user:bob"))
        #expect(try server.terminate() == 0)
        let half = try ServerProcess.execute(
          ["timeout", "-s", "KILL", "12", ServerProcess.binary, "new-generation"] + cluster.connection,
          seconds: 60)
        #expect(half.status != 0)
        let refused = try ServerProcess.run(
          ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"] + cluster.flags("s1"))
        #expect(refused.status == 1)
        #expect(
          refused.errors.contains("log.2 is not complete: fastchat new-generation did not end; run it again"))
        // Redis is gone by now as well.
        try cluster.flush()
        let lost = try run(cluster, "--at-once")
        #expect(
          lost.status == 1 && lost.errors.contains("--lose-history goes on all the same"), "\(lost.errors)")
        let done = try run(cluster, "--at-once", "--lose-history")
        #expect(done.status == 0, "\(done.output)\(done.errors)")
        try server.restart()
        let again = try ChatTestClient.attached(port: server.port, user: "bob", device: "phone")
        let sender = try ChatTestClient.attached(port: server.port, user: "alice", device: "phone")
        let said = try sender.say(to: "user:bob")
        try again.takeMessage(of: said)
        #expect(said.seq! >= 2 << 40)
      }
    }

    /// What a stopped partition acknowledged is in no view, and becomes events of the new generation, once.
    @Test func whatAStoppedPartitionTookIsTakenOver() throws {
      try withInstances { cluster in
        let server = try cluster.start("s1")
        let alice = try ChatTestClient.attached(port: server.port, user: "alice", device: "phone")
        let bob = try ChatTestClient.attached(port: server.port, user: "bob", device: "phone")
        let heard = try (0..<3).map { try alice.say(to: "user:bob", body: "\($0)") }
        for ack in heard { try bob.takeMessage(of: ack) }
        let cursors = bob.cursors("dm:alice:bob")
        let log = bob.welcome?["log"]?.string
        let history = try key(cluster, "h:dm:alice:bob")
        let view = history.prefix { $0 != "}" } + "}:view"
        #expect(try server.terminate() == 0)

        // As if the record that was applied last were another one.
        let hash = try cluster.run("HGET", String(view), "hash").filter { $0 != "\n" }
        try cluster.run(
          "HSET", String(view), "hash", hash.dropLast() + (hash.last == "1" ? "2" : "1"))
        try server.restart()
        try wait("the stop") { server.errors.contains("a partition is stopped") }
        let sender = try ChatTestClient.attached(port: server.port, user: "alice", device: "tablet")
        for number in 3..<6 { _ = try sender.say(to: "user:bob", body: "\(number)") }
        sender.drop()
        #expect(try server.terminate() == 0)
        // And one of the log's messages never got there.
        try cluster.run("XDEL", history, "\(heard[1].seq!)-0")

        let looked = try run(cluster, "--dry-run")
        #expect(
          looked.output.contains(": 4 records of the old log are not in the view, and are taken over"),
          "\(looked.output)\(looked.errors)")
        #expect(try run(cluster, "--at-once").status == 0)
        // As if it had died between the first view and the mark: it goes on, and takes nothing over again.
        try Topics(
          KafkaConfiguration(brokers: cluster.broker.addresses), names: TopicNames(prefix: cluster.prefix)
        )
        .delete("\(cluster.prefix).generation.2")
        let twice = try run(cluster, "--at-once")
        #expect(twice.status == 0 && !twice.output.contains("taken over"), "\(twice.output)\(twice.errors)")
        try server.restart()
        let again = try ChatTestClient.attached(
          port: server.port, user: "bob", device: "phone", cursors: cursors, log: log)
        let said = try ChatTestClient.attached(port: server.port, user: "alice", device: "phone")
          .say(to: "user:bob", body: "6")
        try again.takeMessage(of: said)
        #expect(again.events().compactMap { $0["body"]?.int } == [1, 3, 4, 5, 6])
        #expect(again.events().allSatisfy { $0.seq! > 2 << 40 })
      }
    }

    private func run(_ cluster: Instances, _ flags: String...) throws -> ServerProcess.Run {
      try ServerProcess.run(["new-generation"] + cluster.connection + flags, seconds: 150)
    }

    private func key(_ cluster: Instances, _ name: String) throws -> String {
      let keys = try cluster.run("--scan", "--pattern", "fc:{p*}:\(name)").split(separator: "\n")
      guard keys.count == 1 else { throw TestFailure("\(keys.count) keys like \(name)") }
      return String(keys[0])
    }

    private func wait(_ what: String, until holds: () throws -> Bool) throws {
      let deadline = Deadline.after(.seconds(90))
      while try !holds() {
        guard !deadline.hasPassed else { throw TestFailure("waiting for \(what)") }
        usleep(100_000)
      }
    }

    private func pages(_ client: ChatTestClient) throws -> [[Int]] {
      try ["dm:alice:bob", "room:team"].map { chat in
        let page = try client.ask("\"type\":\"history\",\"chat\":\"\(chat)\"", expecting: "history")
        return (page["messages"]?.array ?? []).compactMap { $0["seq"]?.int }
      }
    }
  }
}
