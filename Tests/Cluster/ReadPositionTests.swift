import Glibc
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
