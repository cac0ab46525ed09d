import Glibc
import Support
import Testing

extension ClusterTests {
  /// Events that leave right out of what was fetched from Kafka.
  @Suite struct LendingTests {
    /// Of one record, since that holds back all that was fetched with it.
    private static let fetchBytes = 1 << 20

    private func pinnedBytes(_ server: ServerProcess) throws -> Int {
      let text = try HTTPTestClient.get("/metrics", port: server.adminPort).text
      let line = text.split(separator: "\n").first { $0.hasPrefix("fastchat_pinned_bytes ") }
      return try #require(line?.split(separator: " ").last.flatMap { Int($0) })
    }

    private func wait(_ what: String, until isSo: () throws -> Bool) throws {
      let deadline = Deadline.usual
      while try !isSo() {
        guard !deadline.hasPassed else { throw TestFailure("waited in vain for \(what)") }
        usleep(100_000)
      }
    }

    /// Rooms of all partitions, so that their owners are here and there, with a sender each.
    private struct Rooms {
      let senders: [(room: String, client: ChatTestClient)]
      let body = String(repeating: "0123456789", count: 5_000)

      init(port: UInt16) throws {
        senders = try (0..<8).map { number in
          let client = try ChatTestClient.attached(port: port, user: "sender\(number)")
          let room = "room:r\(number)"
          try client.ask(
            "\"type\":\"create\",\"chat\":\"\(room)\",\"name\":\"r\",\"public\":true", expecting: "ok")
          return (room, client)
        }
      }

      func join(_ client: ChatTestClient) throws {
        for sender in senders {
          try client.ask("\"type\":\"join\",\"chat\":\"\(sender.room)\"", expecting: "ok")
        }
      }

      /// One message in each, which the reader gets whole.
      func say(to reader: ChatTestClient) throws {
        for sender in senders {
          let ack = try sender.client.say(to: sender.room, body: "\"\(body)\"")
          let frame = try reader.take("message") { $0.chat == sender.room && $0.seq == ack.seq }
          #expect(frame.body == "\"\(body)\"")
        }
      }
    }

    @Test func aSlowSocketHoldsFetchedMessagesBackAndNobodyUp() throws {
      try withInstances { cluster in
        let first = try cluster.start("s1")
        let second = try cluster.start("s2")
        let rooms = try Rooms(port: first.port)
        let quick = try ChatTestClient.attached(port: second.port, user: "quick")
        try rooms.join(quick)
        func fill(_ slow: ChatTestClient) throws {
          try rooms.join(slow)
          // The figure is told once a second: messages that are only on their way would not stay in it.
          try wait("a socket that takes nothing more") {
            try rooms.say(to: quick)
            guard try pinnedBytes(second) >= Self.fetchBytes else { return false }
            usleep(1_200_000)
            return try pinnedBytes(second) >= Self.fetchBytes
          }
        }
        let slow = try ChatTestClient.attached(port: second.port, user: "slow", receiveBuffer: 4_096)
        try fill(slow)
        slow.drop()
        try wait("the end of what was held back") { try pinnedBytes(second) == 0 }
        try rooms.say(to: quick)
        // The end of a server does not hang on what it holds.
        try fill(ChatTestClient.attached(port: second.port, user: "slower", receiveBuffer: 4_096))
        #expect(try second.terminate() == 0)
      }
    }
  }
}
