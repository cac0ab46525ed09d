import Chat
import Glibc
import Kafka
import Support
import Testing

extension ClusterTests {
  /// Read positions, which the log does not have.
  @Suite struct ReadPositionTests {
    /// A figure of all servers together.
    private func sum(_ series: String, _ cluster: Instances) throws -> Int {
      try cluster.servers.reduce(0) { sum, server in
        let text = try HTTPTestClient.get("/metrics", port: server.adminPort).text
        let line = text.split(separator: "\n").first { $0.hasPrefix(series + " ") }
        return sum + (line?.split(separator: " ").last.flatMap { Int($0) } ?? 0)
      }
    }

    private func wait(_ what: String, until isSo: () throws -> Bool) throws {
      let deadline = Deadline.usual
      while try !isSo() {
        guard !deadline.hasPassed else { throw TestFailure("waited in vain for \(what)") }
        usleep(50_000)
      }
    }

    /// As the list of chats has it; nil while a view is being rebuilt.
    private func read(_ client: ChatTestClient, _ chat: String) throws -> Int? {
      let list = try client.ask("\"type\":\"chats\"")
      return list["chats"]?.array?.first { $0["chat"]?.string == chat }?["read"]?.int
    }

    private func mark(_ client: ChatTestClient, _ chat: String, _ seq: Int?) throws {
      try client.ask("\"type\":\"read\",\"chat\":\"\(chat)\",\"seq\":\(seq!)", expecting: "ok")
      try wait("the position") { try read(client, chat) == seq }
    }

    @Test func positionsComeBackIntoAnEmptiedRedis() throws {
      try withInstances { cluster in
        let first = try cluster.start("s1")
        let second = try cluster.start("s2")
        let alice = try ChatTestClient.attached(port: first.port, user: "alice", device: "phone")
        let bob = try ChatTestClient.attached(port: second.port, user: "bob", device: "phone")
        let carol = try ChatTestClient.attached(port: second.port, user: "carol", device: "phone")
        let (room, chat) = ("room:team", "dm:alice:bob")
        try alice.ask(
          "\"type\":\"create\",\"chat\":\"\(room)\",\"name\":\"Team\",\"public\":true", expecting: "ok")
        for client in [bob, carol] {
          try client.ask("\"type\":\"join\",\"chat\":\"\(room)\"", expecting: "ok")
        }
        let said = try [alice.say(to: room), alice.say(to: room), alice.say(to: "user:bob")]
        for ack in said { try bob.takeMessage(of: ack) }
        for ack in said.prefix(2) { try carol.takeMessage(of: ack) }

        try mark(bob, room, said[0].seq)
        try mark(bob, chat, said[2].seq)
        try mark(carol, room, said[1].seq)
        try wait("three positions in the topic") { try sum("fastchat_reads_written_total", cluster) >= 3 }
        try mark(bob, room, said[1].seq)
        try wait("a fourth") { try sum("fastchat_reads_written_total", cluster) >= 4 }
        try carol.ask("\"type\":\"leave\",\"chat\":\"\(room)\"", expecting: "ok")

        for round in 1...2 {
          try cluster.flush()
          try bob.takeMessage(of: alice.say(to: "user:bob"))
          try wait("the positions, in round \(round)") {
            try read(bob, room) == said[1].seq && read(bob, chat) == said[2].seq
          }
          // Another device, on another server, is told as well.
          let tablet = try ChatTestClient.attached(port: first.port, user: "bob", device: "tablet")
          let row = tablet.welcome?["chats"]?.array?.first { $0["chat"]?.string == room }
          #expect(row?["read"]?.int == said[1].seq)
          try wait("the other's") { try read(alice, chat) == 0 }
        }
        // Who left has none, also when he is back.
        #expect(try !cluster.run("--scan", "--pattern", "fc:*:r:*").contains("carol"))
        try carol.ask("\"type\":\"join\",\"chat\":\"\(room)\"", expecting: "ok")
        try wait("the room") { try read(carol, room) != nil }
        #expect(try read(carol, room) == 0)
        #expect(try sum("fastchat_reads_restored_total", cluster) >= 4)
        #expect(try sum("fastchat_reads_dropped_total", cluster) == 0)
      }
    }

    /// Many are read a few at a time, and all of them; the highest of a key counts, wherever it stands.
    @Test func manyPositionsAreReadToTheEnd() throws {
      try withInstances { cluster in
        let server = try cluster.start("s1")
        let alice = try ChatTestClient.attached(port: server.port, user: "alice", device: "phone")
        let bob = try ChatTestClient.attached(port: server.port, user: "bob", device: "phone")
        let chat = "dm:alice:bob"
        let first = try alice.say(to: "user:bob")
        let second = try alice.say(to: "user:bob")
        try bob.takeMessage(of: second)

        func position(_ user: String, _ seq: Int?) -> ReadMark {
          ReadMark(
            chat: Array(chat.utf8), user: Array(user.utf8), seq: Int64(seq!), origin: SessionID(raw: 0))
        }
        var positions = [position("bob", second.seq)]
        positions += (0..<5_000).map { position("stranger\($0)", second.seq) }
        positions += [position("bob", first.seq), position("alice", first.seq)]
        let producer = try InboxProducer(
          KafkaConfiguration(brokers: cluster.broker.addresses), topics: TopicNames(prefix: cluster.prefix))
        let partition = Array(chat.utf8).withUnsafeBytes { Partition.of($0, count: 4) }
        for position in positions { producer.reads.send(position, partition: partition) }
        try wait("the brokers") {
          producer.drain()
          return producer.reads.pendingCount == 0
        }
        #expect(producer.reads.writtenCount == positions.count)

        try cluster.flush()
        try bob.takeMessage(of: alice.say(to: "user:bob"))
        try wait("the last position") { try read(alice, chat) == first.seq }
        #expect(try read(bob, chat) == second.seq)
        try wait("the figure") { try sum("fastchat_reads_restored_total", cluster) == 2 }
        #expect(try !cluster.run("--scan", "--pattern", "fc:*:r:*").contains("stranger"))
        try wait("the mark's end") {
          try cluster.run("HEXISTS", "fc:{p\(partition)}:view", "reads") == "0\n"
        }
      }
    }

    /// A server that ends in order leaves nothing unwritten.
    @Test func aServerThatEndsWritesWhatItHas() throws {
      try withInstances { cluster in
        let first = try cluster.start("s1")
        let second = try cluster.start("s2")
        let alice = try ChatTestClient.attached(port: first.port, user: "alice", device: "phone")
        let bob = try ChatTestClient.attached(port: second.port, user: "bob", device: "phone")
        let ack = try alice.say(to: "user:bob")
        try bob.takeMessage(of: ack)
        try bob.ask("\"type\":\"read\",\"chat\":\"dm:alice:bob\",\"seq\":\(ack.seq!)", expecting: "ok")
        try alice.take("read")
        #expect(try second.terminate() == 0)
        try cluster.flush()
        let again = try ChatTestClient.attached(port: first.port, user: "bob", device: "phone")
        try again.takeMessage(of: alice.say(to: "user:bob"))
        try wait("the position") { try read(again, "dm:alice:bob") == ack.seq }
      }
    }
  }
}
