import Support
import Testing

extension ClusterTests {
  @Suite struct TwoInstancesTests {
    /// A direct chat, a room, what is not stored, history, and a device that moves: the users do not see how many
    /// servers there are.
    @Test func twoInstancesBehaveAsOne() throws {
      try withInstances { cluster in
        let first = try cluster.start("s1")
        let second = try cluster.start("s2")
        let alice = try ChatTestClient.attached(port: first.port, user: "alice", device: "phone")
        let bob = try ChatTestClient.attached(port: second.port, user: "bob", device: "phone")
        #expect(alice.welcome?["log"]?.string == bob.welcome?["log"]?.string)

        try bob.takeMessage(of: alice.say(to: "user:bob"))
        try alice.takeMessage(of: bob.say(to: "user:alice"))

        let room = "room:team"
        try alice.ask(
          "\"type\":\"create\",\"chat\":\"\(room)\",\"name\":\"Team\",\"public\":true", expecting: "ok")
        try bob.ask("\"type\":\"join\",\"chat\":\"\(room)\"", expecting: "ok")
        let said = try alice.say(to: room)
        try bob.takeMessage(of: said)
        try alice.takeMessage(of: bob.say(to: room))
        try bob.write("{\"type\":\"typing\",\"chat\":\"\(room)\",\"on\":true}")
        try alice.take("typing", chat: room)
        try bob.write("{\"type\":\"read\",\"chat\":\"\(room)\",\"seq\":\(said.seq!)}")
        #expect(try alice.take("read", chat: room)["seq"]?.int == said.seq)
        let page = try bob.ask("\"type\":\"history\",\"chat\":\"\(room)\"", expecting: "history")
        #expect(page["messages"]?.array?.count == 2)

        // The device goes to the other server, and is handed what it missed, and nothing else.
        let cursors = bob.cursors(room, "dm:alice:bob")
        let log = bob.welcome?["log"]?.string
        bob.drop()
        let missed = try alice.say(to: room)
        let moved = try ChatTestClient.attached(
          port: first.port, user: "bob", device: "phone", cursors: cursors, log: log)
        try moved.takeMessage(of: missed)
        #expect(moved.events().map(\.seq) == [missed.seq])
      }
    }

    /// The older session of a device ends, whichever server it is on.
    @Test func aNewerSessionOfADeviceEndsTheOlderOneElsewhere() throws {
      try withInstances { cluster in
        let first = try cluster.start("s1")
        let second = try cluster.start("s2")
        let older = try ChatTestClient.attached(port: first.port, user: "carol", device: "phone")
        _ = try ChatTestClient.attached(port: second.port, user: "carol", device: "phone")
        #expect(try older.socket.close().code == 4504)
      }
    }
  }
}
