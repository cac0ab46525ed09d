import Foundation
import Support
import Testing

/// Waits that the server ends itself, all on one server: they take ten seconds and more.
@Suite struct DeadlineTests {
  @Test(arguments: Backend.allCases)
  func silentConnectionsAreEndedAndLivingOnesStay(backend: Backend) throws {
    try withServer(["--limits-heartbeat", "1s"], backend: backend) { server in
      let handshake = try TestSocket(port: server.port)
      try handshake.send(Array("GET /ws HTTP/1.1\r\nHost: 127".utf8))
      let silent = try TestSocket(port: server.port)
      let unfinished = try server.connect()
      try unfinished.write(#"{"type":"ping","id":"before hello"}"#)
      let mute = try server.attach("mute")
      mute.socket.answersPings = false
      let alive = try server.attach("alive")
      #expect(alive.welcome?["heartbeat"]?.int == 1)

      let guardTime = Deadline.after(.seconds(90))
      var closed: WebSocketClosed?
      while closed == nil {
        // Reading answers the living one's pings.
        do { _ = try alive.next(.after(.milliseconds(100))) } catch is TestFailure {}
        if mute.socket.socket.isReadable(.after(.zero)) {
          do { _ = try mute.next(.after(.milliseconds(10))) } catch let end as WebSocketClosed {
            closed = end
          } catch is TestFailure {}
        }
        try #require(!guardTime.hasPassed)
      }
      #expect(closed?.code == 4003)
      #expect(try unfinished.socket.close(guardTime).code == 4002)
      #expect(unfinished.received.isEmpty || unfinished.received.allSatisfy { $0.code == "unauthorized" })
      _ = try handshake.receiveToEnd(guardTime)
      _ = try silent.receiveToEnd(guardTime)
      try alive.settle()
      #expect(alive.socket.pings > 5)
    }
  }

  @Test func serverThatStoodStillForTooLongReadsNothingThatWaited() throws {
    try withServer { server in
      let alice = try server.attach("alice", "phone")
      let first = try alice.say(to: "user:bob", id: "first")
      try server.stop()
      try alice.post(to: "user:bob", id: "old")
      // Above the 35 s after which what waits may be older than the table of repeats.
      Thread.sleep(forTimeInterval: 37)
      server.signal(SIGCONT)
      _ = try alice.socketClose()
      #expect(!alice.received.contains { $0.id == "old" })
      let back = try server.attach("alice", "phone", cursors: #"{"*":0}"#)
      #expect(back.events().map(\.seq) == [first.seq])
    }
  }
}
