import Glibc
import Support
import Testing

@testable import Chaos

/// The bad network does what it is told: otherwise a cut would cut nothing.
@Suite(.serialized) struct RelayTests {
  /// A listener, a relay in front of it, and a connection through both.
  private func withWay(_ body: (Relay, Int, UInt16, Int32) throws -> Void) throws {
    let (listener, target) = try Loopback.listen()
    let relay = try Relay()
    let (link, port) = try relay.add(to: target)
    defer {
      relay.stop()
      Loopback.end(listener)
    }
    try body(relay, link, port, listener)
  }

  /// Sends back whatever connections bring, until the listener is closed.
  private func echo(_ listener: Int32) {
    startThread {
      var entry = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
      while poll(&entry, 1, 20_000) > 0, let descriptor = Loopback.accept(listener) {
        startThread {
          var bytes = [UInt8](repeating: 0, count: 4_096)
          var side = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
          while poll(&side, 1, 20_000) > 0 {
            let count = recv(descriptor, &bytes, bytes.count, 0)
            guard count > 0 else { break }
            var sent = 0
            while sent < count {
              let more = bytes[sent..<count].withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
              }
              if more < 0, errno != EAGAIN { return Loopback.end(descriptor) }
              sent += max(more, 0)
            }
          }
          Loopback.end(descriptor)
        }
      }
    }
  }

  @Test func bytesPassBothWaysInTheirOrder() throws {
    try withWay { _, _, port, listener in
      echo(listener)
      let socket = try TestSocket(port: port)
      let sent = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      var rest = sent[...]
      var came: [UInt8] = []
      let deadline = Deadline.usual
      while came.count < sent.count, !deadline.hasPassed {
        if !rest.isEmpty { rest = rest.dropFirst(try socket.sendSome(rest)) }
        if socket.isReadable(.after(.milliseconds(1))) { came += try socket.receive() }
      }
      #expect(came == sent)
    }
  }

  @Test func aRefusingLinkEndsOldAndNewConnections() throws {
    try withWay { relay, link, port, listener in
      echo(listener)
      let socket = try TestSocket(port: port)
      try socket.send([1])
      #expect(try socket.receive() == [1])
      relay.set(.refuse, on: link)
      #expect(try socket.receive().isEmpty)
      // The reset may come before the connection is even seen to stand.
      let came = try? TestSocket(port: port).receive()
      #expect(came?.isEmpty ?? true)
      relay.set(.pass, on: link)
      let again = try TestSocket(port: port)
      try again.send([2])
      #expect(try again.receive() == [2])
    }
  }

  @Test func aHeldLinkKeepsBytesUntilItPassesAgain() throws {
    try withWay { relay, link, port, listener in
      echo(listener)
      let socket = try TestSocket(port: port)
      try socket.send([1])
      #expect(try socket.receive() == [1])
      relay.set(.hold, on: link)
      // The relay has obeyed once a connection made after the order was taken in.
      _ = try TestSocket(port: port)
      try socket.send([2])
      #expect(!socket.isReadable(.after(.milliseconds(200))))
      relay.set(.pass, on: link)
      #expect(try socket.receive() == [2])
    }
  }

  @Test func aSlowLinkPassesBytesLater() throws {
    try withWay { relay, link, port, listener in
      echo(listener)
      let socket = try TestSocket(port: port)
      try socket.send([1])
      #expect(try socket.receive() == [1])
      relay.set(.delay(150), on: link)
      let began = ContinuousClock.now
      try socket.send([2])
      #expect(try socket.receive() == [2])
      // Both ways are slow; the order may have reached the relay behind the first.
      #expect(began.duration(to: .now) >= .milliseconds(150))
    }
  }
}
