import CZlib
import Testing
import WebSocket

/// Compresses apart from the code under test: raw deflate with a flush, or a final block, at its end.
private func zlib(_ bytes: [UInt8], level: Int32, flush: Int32 = Z_SYNC_FLUSH, windowBits: Int32 = 15)
  -> [UInt8]
{
  var stream = z_stream()
  precondition(fc_deflate_init(&stream, level, -windowBits, 8) == Z_OK)
  defer { deflateEnd(&stream) }
  var input = bytes
  var output = [UInt8](repeating: 0, count: bytes.count * 2 + 100)
  input.withUnsafeMutableBufferPointer { input in
    output.withUnsafeMutableBufferPointer { output in
      stream.next_in = input.baseAddress
      stream.avail_in = UInt32(input.count)
      stream.next_out = output.baseAddress
      stream.avail_out = UInt32(output.count)
      _ = deflate(&stream, flush)
    }
  }
  output.removeLast(Int(stream.avail_out))
  return output
}

/// A message as RFC 7692 section 7.2.1 compresses it.
private func compressed(_ bytes: [UInt8], level: Int32 = 6) -> [UInt8] {
  bytes.isEmpty ? [0] : Array(zlib(bytes, level: level).dropLast(4))
}

/// The frames of one compressed message, cut into fragments at `cuts`.
private func fragments(_ opcode: UInt8, _ payload: [UInt8], cuts: [Int]) -> [UInt8] {
  let starts = [0] + cuts
  return zip(starts, cuts + [payload.count]).flatMap { start, end in
    let isFirst = start == 0
    return frame(
      isFirst ? opcode : 0, payload[start..<end], fin: end == payload.count, rsv: isFirst ? 4 : 0)
  }
}

@Suite struct InflateTests {
  @Test(
    arguments: [
      [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00],
      [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00],
      [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00],
      [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00],
    ] as [[UInt8]]) func `the examples of RFC 7692 are read`(payload: [UInt8])
  {
    #expect(receivedAnyhow(frame(1, payload, rsv: 4), deflate: true) == [.text("Hello")])
    for cut in 1..<payload.count {
      #expect(received(fragments(1, payload, cuts: [cut]), deflate: true) == [.text("Hello")])
    }
  }

  @Test func `a final block that nothing follows ends its message`() {
    let payload = zlib(Array("Hello".utf8), level: 6, flush: Z_FINISH)
    #expect(receivedAnyhow(frame(1, payload, rsv: 4), deflate: true) == [.text("Hello")])
  }

  @Test func `empty messages and empty fragments`() {
    #expect(receivedAnyhow(frame(1, [0], rsv: 4), deflate: true) == [.text("")])
    // No bytes at all are not the empty message: a block is missing (RFC 7692 section 7.2.3.6).
    #expect(receivedAnyhow(frame(2, [], rsv: 4), deflate: true) == [.violation(1007)])
    let payload = compressed(Array("Hello".utf8))
    let wire = frame(1, [], fin: false, rsv: 4) + frame(0, payload, fin: false) + frame(9, [1]) + frame(0, [])
    #expect(receivedAnyhow(wire, deflate: true) == [.ping([1]), .text("Hello")])
  }

  @Test func `compressed and plain messages follow each other`() {
    let payload = compressed(Array("aaaaaaaaaaaaaaaa".utf8))
    let wire = frame(1, payload, rsv: 4) + text("plain") + frame(1, payload, rsv: 4) + text("é", fin: true)
    #expect(
      receivedAnyhow(wire, deflate: true)
        == [.text("aaaaaaaaaaaaaaaa"), .text("plain"), .text("aaaaaaaaaaaaaaaa"), .text("é")])
  }

  @Test(arguments: [Int32(0), 1, 9]) func `messages of all sizes and levels come back`(level: Int32) {
    var random = Seeded(state: UInt64(level))
    for size in [1, 100, 1000, 65_535, 65_536, 200_000] {
      for message in [random.bytes(size), [UInt8](repeating: 7, count: size)] {
        let wire = frame(2, compressed(message, level: level), rsv: 4)
        #expect(received(wire, cuts: [wire.count / 3], deflate: true) == [.binary(message)])
      }
    }
  }

  @Test func `text is checked when it is inflated`() {
    #expect(received(frame(1, compressed([0xC3, 0x28]), rsv: 4), deflate: true) == [.violation(1007)])
    #expect(received(frame(1, compressed([0xE2, 0x82]), rsv: 4), deflate: true) == [.violation(1007)])
    #expect(received(frame(2, compressed([0xC3, 0x28]), rsv: 4), deflate: true) == [.binary([0xC3, 0x28])])
  }

  @Test func `the limit is of what is inflated`() {
    let message = [UInt8](repeating: 0x61, count: 1000)
    for wire in [frame(1, compressed(message), rsv: 4), fragments(1, compressed(message), cuts: [3])] {
      #expect(receivedAnyhow(wire, most: 1000, deflate: true).count == 1)
      #expect(received(wire, most: 1000, deflate: true) == [.text(String(repeating: "a", count: 1000))])
      #expect(received(wire, most: 999, deflate: true) == [.violation(1009)])
    }
    // Incompressible data is longer compressed, and still within the limit.
    var random = Seeded(state: 3)
    let noise = random.bytes(70_000)
    let wire = frame(2, compressed(noise), rsv: 4)
    #expect(wire.count > 70_000)
    #expect(received(wire, most: 70_000, deflate: true) == [.binary(noise)])
  }

  @Test func `a small message that inflates to a huge one costs no more than the limit`() {
    let bomb = compressed([UInt8](repeating: 0, count: 50_000_000), level: 9)
    #expect(bomb.count < 60_000)
    let end = TestEnd(most: 65_536, deflate: true, pool: GatherPool(keeping: 1 << 20, lending: 1 << 18))
    end.feed(frame(2, bomb, rsv: 4))
    #expect(end.seen == [.violation(1009)])
    #expect(end.pool.bytesInUse == 0)
  }

  @Test func `a header over what any message of the limit needs is refused before it is buffered`() {
    let end = TestEnd(most: 1000, deflate: true)
    end.feed(frame(2, [UInt8](repeating: 0, count: 5000), rsv: 4).prefix(8))
    #expect(end.seen == [.violation(1009)])
  }

  @Test func `damaged and cut data are refused with 1007`() {
    let payload = compressed(Array("Hello, hello, hello, hello, wonderful compressed world".utf8))
    for length in 1..<payload.count {
      let seen = received(frame(2, payload[..<length], rsv: 4), deflate: true)
      #expect(seen == [.violation(1007)], "first \(length) of \(payload.count)")
    }
    #expect(received(frame(2, [0x07], rsv: 4), deflate: true) == [.violation(1007)])
    #expect(received(frame(2, [0xFF, 0xFF, 0xFF, 0xFF], rsv: 4), deflate: true) == [.violation(1007)])
  }

  @Test func `damaged data leave nothing behind for the next connection`() {
    let pool = GatherPool(keeping: 1 << 20, lending: 1 << 20)
    let good = frame(1, compressed(Array("Hello".utf8)), rsv: 4)
    for _ in 0..<3 {
      let bad = TestEnd(deflate: true, pool: pool)
      bad.feed(frame(1, [0xF2, 0x48, 0xCD], rsv: 4))
      #expect(bad.seen == [.violation(1007)])
      let end = TestEnd(deflate: true, pool: pool)
      end.feed(good)
      #expect(end.seen == [.text("Hello")])
    }
  }

  @Test func `random damage never takes more than the limit`() {
    var random = Seeded(state: 0xDEF1)
    let payload = compressed(random.bytes(300).map { $0 & 0x1F })
    for _ in 0..<2000 {
      var damaged = payload
      for _ in 0...random.below(3) {
        damaged[random.below(damaged.count)] = UInt8(truncatingIfNeeded: random.next())
      }
      switch received(frame(2, damaged, rsv: 4), most: 400, deflate: true) {
      case [.violation(1007)], [.violation(1009)]: break
      case let seen:
        guard seen.count == 1, case .binary(let bytes) = seen[0], bytes.count <= 400 else {
          Issue.record("\(seen)")
          return
        }
      }
    }
  }
}

@Suite struct DeflaterTests {
  private func deflated(_ message: [UInt8], _ deflater: Deflater) -> [UInt8] {
    var room = [UInt8](repeating: 0, count: deflater.bound(message.count))
    let count = room.withUnsafeMutableBytes { room in
      message.withUnsafeBytes { deflater.deflate($0, into: room) }
    }
    return Array(room[..<count])
  }

  @Test(arguments: [9, 12, 15]) func `what we compress is read back, each message by itself`(bits: Int) {
    let deflater = Deflater(windowBits: bits)
    var random = Seeded(state: UInt64(bits))
    for size in [0, 1, 5, 180, 1000, 70_000, 300_000] {
      for message in [
        random.bytes(size), random.bytes(size).map { $0 & 3 }, [UInt8](repeating: 9, count: size),
      ] {
        let payload = deflated(message, deflater)
        #expect(!payload.isEmpty)
        #expect(received(frame(2, payload, rsv: 4), deflate: true) == [.binary(message)])
        #expect(payload == deflated(message, deflater), "no message depends on the one before it")
      }
    }
  }

  @Test func `an empty message is one byte`() {
    #expect(deflated([], Deflater(windowBits: 15)) == [0])
  }

  @Test func `a small window is kept to`() {
    // Inflated by a window of 512 bytes, in steps, so that no longer one is at hand.
    var random = Seeded(state: 1)
    let block = random.bytes(700)
    let message = block + block + block
    let payload = deflated(message, Deflater(windowBits: 9)) + [0, 0, 0xFF, 0xFF]
    var stream = z_stream()
    precondition(fc_inflate_init(&stream, -9) == Z_OK)
    defer { inflateEnd(&stream) }
    var output: [UInt8] = []
    var input = payload
    input.withUnsafeMutableBufferPointer { input in
      stream.next_in = input.baseAddress
      stream.avail_in = UInt32(input.count)
      var status = Z_OK
      while status == Z_OK, stream.avail_in > 0 {
        var room = [UInt8](repeating: 0, count: 64)
        room.withUnsafeMutableBufferPointer { room in
          stream.next_out = room.baseAddress
          stream.avail_out = UInt32(room.count)
          status = inflate(&stream, Z_SYNC_FLUSH)
        }
        output += room[..<(64 - Int(stream.avail_out))]
      }
    }
    #expect(output == message)
  }
}
