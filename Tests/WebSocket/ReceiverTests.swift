import Testing
import WebSocket

@Suite struct ReceiverTests {
  @Test func `the examples of RFC 6455 are read`() {
    let unmasked: [UInt8] = [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F]
    #expect(receivedAnyhow(unmasked, role: .client) == [.text("Hello")])
    let masked: [UInt8] = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]
    #expect(receivedAnyhow(masked) == [.text("Hello")])
    let fragments: [UInt8] = [0x01, 0x03, 0x48, 0x65, 0x6C, 0x80, 0x02, 0x6C, 0x6F]
    #expect(receivedAnyhow(fragments, role: .client) == [.text("Hello")])
  }

  @Test(arguments: [0, 1, 7, 8, 125, 126, 127, 300]) func `a frame is the same wherever it is cut`(count: Int)
  {
    var random = Seeded(state: UInt64(count))
    let payload = random.bytes(count)
    #expect(receivedAnyhow(frame(2, payload)) == [.binary(payload)])
    #expect(receivedAnyhow(frame(2, payload, key: nil), role: .client) == [.binary(payload)])
  }

  @Test func `a long frame comes in chunks of any size`() {
    var random = Seeded(state: 9)
    let payload = random.bytes(200_000)
    let bytes = frame(2, payload) + frame(2, payload.prefix(70_000))
    for size in [1, 13, 4096, 65_536, bytes.count] {
      let cuts = Array(stride(from: size, to: bytes.count, by: size))
      #expect(received(bytes, cuts: cuts) == [.binary(payload), .binary(Array(payload.prefix(70_000)))])
    }
  }

  @Test func `several frames in a chunk come out one by one`() {
    let bytes = text("a") + frame(9, [1]) + frame(2, [7]) + frame(10, []) + text("")
    #expect(receivedAnyhow(bytes) == [.text("a"), .ping([1]), .binary([7]), .pong([]), .text("")])
  }

  @Test func `control frames between fragments leave the message alone`() {
    let bytes =
      text("Hel", fin: false) + frame(9, [1, 2]) + frame(0, Array("l".utf8), fin: false) + frame(10, [])
      + frame(0, [], fin: false) + frame(9, []) + frame(0, Array("o".utf8)) + text("next")
    #expect(receivedAnyhow(bytes) == [.ping([1, 2]), .pong([]), .ping([]), .text("Hello"), .text("next")])
  }

  @Test func `a message of empty fragments is empty`() {
    let bytes = frame(2, [], fin: false) + frame(0, [], fin: false) + frame(0, [])
    #expect(receivedAnyhow(bytes) == [.binary([])])
  }

  @Test func `what breaks a rule is a violation and nothing behind it is read`() {
    let broken: [(String, [UInt8])] = [
      ("reserved bit 1 without deflate", frame(1, [], rsv: 4)), ("reserved bit 2", frame(1, [], rsv: 2)),
      ("reserved bit 3", frame(1, [], rsv: 1)), ("reserved opcode", frame(3, [])),
      ("reserved control opcode", frame(11, [])), ("frame not masked", frame(1, [], key: nil)),
      ("nothing to continue", frame(0, [])), ("ping in fragments", frame(9, [], fin: false)),
      ("ping of 126 bytes", frame(9, [UInt8](repeating: 0, count: 126))),
      ("text inside of a message", text("a", fin: false) + text("b")),
      ("binary inside of a message", text("a", fin: false) + frame(2, [])),
      ("reserved bit on a continuation", text("a", fin: false) + frame(0, [], rsv: 4)),
      ("close of one byte", frame(8, [3])), ("reserved bit on a close", frame(8, [], rsv: 4)),
    ]
    for (rule, bytes) in broken {
      #expect(receivedAnyhow(text("x") + bytes + text("y")) == [.text("x"), .violation(1002)], "\(rule)")
    }
    #expect(received(frame(1, [1]), role: .client) == [.violation(1002)])
  }

  @Test func `a close frame ends the connection with its code and reason`() {
    let after = text("not read")
    #expect(receivedAnyhow(frame(8, []) + after) == [.close(nil, "")])
    #expect(receivedAnyhow(frame(8, [0x03, 0xE8]) + after) == [.close(1000, "")])
    #expect(receivedAnyhow(frame(8, [0x0F, 0xA0] + Array("bye €".utf8)) + after) == [.close(4000, "bye €")])
    #expect(receivedAnyhow(text("a", fin: false) + frame(8, []) + after) == [.close(nil, "")])
    let longest = [UInt8](repeating: 0x61, count: CloseCode.mostReasonBytes)
    #expect(
      receivedAnyhow(frame(8, [0x03, 0xE8] + longest)) == [
        .close(1000, String(decoding: longest, as: UTF8.self))
      ])
  }

  @Test func `only close codes that may be sent are taken`() {
    let good = Array(1000...1003) + Array(1007...1014) + [3000, 3999, 4000, 4999]
    let bad = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
    for code in good + bad {
      let seen = received(frame(8, [UInt8(code >> 8), UInt8(code & 255)]))
      #expect(seen == [good.contains(code) ? .close(UInt16(code), "") : .violation(1002)], "\(code)")
      #expect(CloseCode(rawValue: UInt16(code)).mayBeSent == good.contains(code))
    }
    #expect(received(frame(8, [0x03, 0xE8, 0xC3, 0x28])) == [.violation(1007)])
    #expect(received(frame(8, [0x03, 0xE8, 0xC3])) == [.violation(1007)])
  }

  @Test func `a close payload that we compose is read back`() {
    var room = [UInt8](repeating: 0, count: 20)
    let count = room.withUnsafeMutableBytes { room in
      Array("retry=5".utf8).withUnsafeBytes { CloseCode(rawValue: 4000).encode(reason: $0, into: room) }
    }
    #expect(received(frame(8, room[..<count])) == [.close(4000, "retry=5")])
  }
}

@Suite struct ReceiverLimitTests {
  private func bytes(_ count: Int) -> [UInt8] { [UInt8](repeating: 0x61, count: count) }

  @Test func `a message of the limit passes and one byte more is refused`() {
    #expect(receivedAnyhow(frame(2, bytes(100)), most: 100) == [.binary(bytes(100))])
    #expect(receivedAnyhow(frame(2, bytes(101)), most: 100) == [.violation(1009)])
    #expect(received(frame(2, []), most: 0) == [.binary([])])
  }

  @Test func `fragments count together`() {
    let start = frame(2, bytes(60), fin: false) + frame(9, bytes(125))
    #expect(
      receivedAnyhow(start + frame(0, bytes(40)), most: 100) == [.ping(bytes(125)), .binary(bytes(100))])
    #expect(receivedAnyhow(start + frame(0, bytes(41)), most: 100) == [.ping(bytes(125)), .violation(1009)])
  }

  @Test func `the header is enough to refuse and nothing is buffered for it`() {
    let end = TestEnd(most: 1000)
    end.feed(frame(2, bytes(1001)).prefix(8))
    #expect(end.seen == [.violation(1009)])
    #expect(end.pool.bytesInUse == 0)
    let huge = TestEnd(most: Receiver.highestMessageLimit)
    huge.feed([0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4])
    #expect(huge.seen == [.violation(1009)])
  }

  @Test func `a long header alone takes no memory`() {
    let end = TestEnd(most: 1 << 24)
    end.feed([0x82, 0xFF, 0, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3, 4])
    #expect(end.seen.isEmpty && end.heldBytes == 0 && end.pool.bytesInUse == 0)
    end.feed(bytes(10))
    #expect(end.heldBytes <= 1024)
  }

  @Test func `the limit may change between messages`() {
    let end = TestEnd(most: 1000)
    end.feed(frame(2, bytes(1000)))
    end.maxMessageBytes = 10
    end.feed(frame(2, bytes(10)))
    end.feed(frame(2, bytes(11)))
    #expect(end.seen == [.binary(bytes(1000)), .binary(bytes(10)), .violation(1009)])
  }

  @Test func `memory comes from the pool and goes back when the message was handed out`() {
    let end = TestEnd()
    let message = frame(2, bytes(5000))
    end.feed(message)
    #expect(end.pool.bytesInUse == 0 && end.pool.bytesKept == 0)
    end.feed(message[..<3000])
    #expect(end.pool.bytesInUse == end.heldBytes && end.heldBytes >= 2900)
    end.feed(message[3000...])
    #expect(end.pool.bytesInUse == 0 && end.heldBytes == 0 && end.pool.bytesKept >= 5000)
    #expect(end.seen.count == 2)
  }

  @Test func `a pool keeps no more than it may`() {
    let pool = GatherPool(keeping: 1000, lending: 1 << 20)
    let end = TestEnd(pool: pool)
    for _ in 0..<3 {
      end.feed(frame(2, bytes(5000))[..<4000])
      end.feed(frame(2, bytes(5000))[4000...])
    }
    #expect(end.seen.count == 3 && pool.bytesKept <= 1000 && pool.bytesInUse == 0)
  }

  @Test func `a pool that has lent all it may makes the message fail with 1013`() {
    let pool = GatherPool(keeping: 0, lending: 4096)
    let first = TestEnd(pool: pool)
    let second = TestEnd(pool: pool)
    first.feed(frame(2, bytes(3000))[..<1500])
    #expect(first.seen.isEmpty && pool.bytesInUse > 0)
    second.feed(frame(2, bytes(3000))[..<2500])
    #expect(second.seen == [.violation(1013)])
    first.release()
    #expect(pool.bytesInUse == 0)
  }

  @Test func `a connection that ends in the middle of a message gives its memory back`() {
    let end = TestEnd()
    end.feed(frame(1, bytes(100), fin: false) + frame(9, bytes(50)).prefix(20))
    #expect(end.pool.bytesInUse > 0)
    end.release()
    #expect(end.pool.bytesInUse == 0)
    end.feed(text("nothing more"))
    #expect(end.seen.isEmpty)
  }
}
