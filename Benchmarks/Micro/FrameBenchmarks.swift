import CMicroFloors
import WebSocket

/// Frames in and out: RFC 6455 section 5, without a socket.
enum FrameBenchmarks {
  /// Below 0x80, so that masked ASCII is ASCII too and a frame can be unmasked again and again in its place.
  private static let key: UInt32 = 0x0102_0304
  private static let sizes = [(64, "64 B"), (1_024, "1 KiB"), (65_536, "64 KiB")]

  static func all() -> [Candidate] {
    sizes.flatMap { size, words in
      [
        Candidate("unmask \(words)") { unmask(size, $0) },
        Candidate("receive binary \(words)") { decode(size, $0, .binary) },
        Candidate("receive text \(words)") { decode(size, $0, .text) },
        Candidate("encode \(words)") { encode(size, $0) },
      ]
    } + [Candidate("receive Cyrillic text 1 KiB", cyrillic)]
  }

  private static func unmask(_ size: Int, _ name: String) -> Benchmark {
    let bytes = permanent(Array(repeating: 0x61, count: size))
    return Benchmark(
      name: name, floorName: "XOR by words",
      ours: { times in for _ in 0..<times { Mask.apply(key: key, to: bytes) } },
      floor: { floor_unmask(address(bytes), size, key, $0) })
  }

  private static func decode(_ size: Int, _ name: String, _ opcode: FrameHeader.Opcode) -> Benchmark {
    let frame = permanent(masked(opcode, Array(repeating: 0x61, count: size)))
    let isText = opcode == .text
    let pool = makePool()
    return Benchmark(
      name: name,
      floorName: isText ? "header, XOR, ASCII test" : "header, XOR",
      ours: { receive(frame, pool, $0) },
      floor: { times in
        keep(
          isText
            ? floor_decode_ascii(address(frame), frame.count, times)
            : floor_decode(address(frame), frame.count, times))
      })
  }

  /// Text that is not ASCII has to be valid at each time, so it is copied before.
  private static func cyrillic(_ name: String) -> Benchmark {
    let text = Array(String(repeating: "Привет, мир. ", count: 48).utf8)
    let original = permanent(masked(.text, text))
    let frame = permanent(Array(original))
    let plain = permanent(text)
    let pool = makePool()
    return Benchmark(
      name: name, floorName: "copy, header, XOR, UTF-8 by scalars",
      ours: { times in
        for _ in 0..<times {
          frame.copyMemory(from: UnsafeRawBufferPointer(original))
          receive(frame, pool, 1)
        }
      },
      floor: { times in
        for _ in 0..<times {
          frame.copyMemory(from: UnsafeRawBufferPointer(original))
          keep(floor_decode(address(frame), frame.count, 1))
          keep(floor_utf8(address(plain), plain.count, 1))
        }
      })
  }

  private static func encode(_ size: Int, _ name: String) -> Benchmark {
    let payload = permanent(Array(repeating: 0x61, count: size))
    let room = permanent(Array(repeating: 0, count: size + FrameHeader.mostBytes))
    return Benchmark(
      name: name, floorName: "header, memcpy",
      ours: { times in
        for _ in 0..<times {
          let header = FrameHeader.encode(opcode: .text, count: size, into: room)
          UnsafeMutableRawBufferPointer(rebasing: room[header...]).copyMemory(
            from: UnsafeRawBufferPointer(payload))
          keep(room.baseAddress)
        }
      },
      floor: { keep(floor_encode(address(room), address(payload), size, $0)) })
  }

  private static func makePool() -> GatherPool { GatherPool(keeping: 1 << 20, lending: 1 << 20) }

  @inline(never)
  private static func receive(_ frame: UnsafeMutableRawBufferPointer, _ pool: GatherPool, _ times: Int) {
    var receiver = Receiver(role: .server, maxMessageBytes: 1 << 20)
    for _ in 0..<times {
      var offset = 0
      var messages = 0
      loop: while true {
        switch receiver.next(frame, &offset, pool: pool) {
        case .text, .binary: messages += 1
        case .needMore: break loop
        default: preconditionFailure("a frame that the receiver refuses")
        }
      }
      precondition(messages == 1)
    }
    receiver.release(to: pool)
  }

  private static func masked(_ opcode: FrameHeader.Opcode, _ payload: [UInt8]) -> [UInt8] {
    var frame = [UInt8](repeating: 0, count: payload.count + FrameHeader.mostBytes)
    return frame.withUnsafeMutableBytes { room in
      let header = FrameHeader(opcode: opcode, maskKey: key, payloadCount: payload.count)
      let start = header.encode(into: room)
      let rest = UnsafeMutableRawBufferPointer(rebasing: room[start..<start + payload.count])
      rest.copyBytes(from: payload)
      Mask.apply(key: key, to: rest)
      return Array(room[..<(start + payload.count)])
    }
  }
}

func address(_ bytes: UnsafeMutableRawBufferPointer) -> UnsafeMutablePointer<UInt8> {
  bytes.baseAddress!.assumingMemoryBound(to: UInt8.self)
}
