import Glibc
import Support
import Testing

extension ClusterTests {
  @Suite struct FaultTests {
    /// Who stays alive goes on with all chats; who comes back under the id is there again.
    @Test func aKilledInstanceIsStoodInForAndComesBack() throws {
      try withInstances { cluster in
        let first = try cluster.start("s1")
        let second = try cluster.start("s2")
        let alice = try ChatTestClient.attached(port: first.port, user: "alice", device: "phone")
        let tablet = try ChatTestClient.attached(port: first.port, user: "alice", device: "tablet")
        // Chats in all partitions, some of them owned by the one that dies.
        let friends = (0..<12).map { "friend\($0)" }
        func exchange() throws {
          for ack in try friends.map({ try alice.say(to: "user:\($0)") }) { try tablet.takeMessage(of: ack) }
        }
        try exchange()
        second.kill()
        try exchange()
        try second.restart()
        let friend = try ChatTestClient.attached(port: second.port, user: "friend1", device: "phone")
        try friend.takeMessage(of: alice.say(to: "user:friend1"))
        try exchange()
      }
    }

    /// Members, rooms and history come back from the log and the state topic.
    @Test func anEmptiedRedisIsFilledAgain() throws {
      try withInstances { cluster in
        let first = try cluster.start("s1")
        let second = try cluster.start("s2")
        let alice = try ChatTestClient.attached(port: first.port, user: "alice", device: "phone")
        let bob = try ChatTestClient.attached(port: second.port, user: "bob", device: "phone")
        let room = "room:team"
        try alice.ask(
          "\"type\":\"create\",\"chat\":\"\(room)\",\"name\":\"Team\",\"public\":false", expecting: "ok")
        try alice.say(to: "user:bob")
        try bob.take("message")
        try cluster.flush()
        try bob.takeMessage(of: alice.say(to: "user:bob"))
        // What only the view could tell is there again: whose room it is, and who is not in it.
        try alice.say(to: room)
        let members = try alice.ask("\"type\":\"members\",\"chat\":\"\(room)\"", expecting: "members")
        #expect(members["members"]?.array?.count == 1)
        #expect(try bob.ask("\"type\":\"history\",\"chat\":\"\(room)\"").type == "error")
        let page = try bob.ask("\"type\":\"history\",\"chat\":\"dm:alice:bob\"", expecting: "history")
        #expect(page["messages"]?.array?.count == 2)
      }
    }

    /// What is acknowledged while Redis is away is delivered when it is back.
    @Test func sendsGoOnWithoutRedis() throws {
      try withInstances { cluster in
        let first = try cluster.start("s1")
        let alice = try ChatTestClient.attached(port: first.port, user: "alice", device: "phone")
        let bob = try ChatTestClient.attached(port: first.port, user: "bob", device: "phone")
        try bob.takeMessage(of: alice.say(to: "user:bob"))
        try cluster.run("CLIENT", "PAUSE", "1500", "ALL")
        try bob.takeMessage(of: alice.say(to: "user:bob"))
      }
    }

    /// Clients are sent away, nothing is left in the directory, and the exit is clean.
    @Test func anInstanceThatEndsLeavesTheDirectory() throws {
      try withInstances { cluster in
        let server = try cluster.start("s1")
        let alice = try ChatTestClient.attached(port: server.port, user: "alice", device: "phone")
        #expect(try cluster.run("HLEN", "fc:{u:alice}:d") == "1\n")
        server.signal(SIGTERM)
        #expect(try alice.socket.close().code == 4000)
        #expect(try server.waitForExit() == 0)
        #expect(try cluster.run("HLEN", "fc:{u:alice}:d") == "0\n")
        #expect(try cluster.run("EXISTS", "fc:{srv}:s1") == "0\n")
      }
    }
  }
}
