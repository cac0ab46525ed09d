import Testing
import WebSocket

@Suite struct FrameHeaderTests {
  /// The lengths at which the form changes, and around them.
  private static let lengths = [0, 1, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537, 1 << 24, 1 << 40]

  private func decode(_ bytes: [UInt8]) -> FrameHeader.Decoded {
    bytes.withUnsafeBytes { FrameHeader.decode($0) }
  }

  @Test(arguments: lengths) func `a header comes back as it was written, in the shortest form`(count: Int)
    throws
  {
    for key in [nil, UInt32(0x1234_5678)] {
      for (opcode, fin, rsv1) in [
        (FrameHeader.Opcode.text, true, false), (.binary, false, true), (.continuation, true, false),
      ] {
        let header = FrameHeader(opcode: opcode, fin: fin, rsv1: rsv1, maskKey: key, payloadCount: count)
        var room = [UInt8](repeating: 0xEE, count: FrameHeader.mostBytes)
        let size = room.withUnsafeMutableBytes { header.encode(into: $0) }
        #expect(size == FrameHeader.encodedSize(payload: count, masked: key != nil))
        #expect(room[size...].allSatisfy { $0 == 0xEE })
        guard case .header(header, size: size) = decode(room) else {
          Issue.record("\(decode(room))")
          return
        }
        for short in 0..<size {
          guard case .needMore = decode(Array(room[..<short])) else {
            Issue.record("\(short) bytes of \(size)")
            return
          }
        }
      }
    }
  }

  @Test func `a server's header is written without a mask`() {
    var room = [UInt8](repeating: 0, count: 4)
    let size = room.withUnsafeMutableBytes {
      FrameHeader.encode(opcode: .text, count: 300, into: $0)
    }
    #expect(size == 4 && room == [0x81, 126, 1, 44])
  }

  @Test(
    arguments: [
      [0x91, 0x00], [0xA1, 0x00], [0xB1, 0x00], [0x83, 0x00], [0x87, 0x80], [0x8B, 0x80], [0x8F, 0x80],
      [0x09, 0x80], [0x08, 0x80], [0xC9, 0x80], [0x89, 0xFE], [0x88, 0xFF], [0x8A, 0x7E],
      [0x81, 126, 0, 125], [0x82, 0xFE, 0, 0], [0x81, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF],
      [0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
    ] as [[UInt8]]) func `what no end may send is a violation as soon as it shows`(bytes: [UInt8])
  {
    guard case .violation = decode(bytes) else {
      Issue.record("\(decode(bytes))")
      return
    }
  }
}

@Suite struct MaskTests {
  private let key: [UInt8] = [0x01, 0x23, 0x45, 0x67]

  @Test func `every length at every alignment and offset is masked byte by byte`() {
    let word = key.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
    var random = Seeded(state: 7)
    let plain = random.bytes(120)
    for alignment in 0..<8 {
      for length in 0...100 {
        for offset in 0..<5 {
          var bytes = plain
          bytes.withUnsafeMutableBytes { bytes in
            let part = UnsafeMutableRawBufferPointer(rebasing: bytes[alignment..<alignment + length])
            Mask.apply(key: word, offset: offset, to: part)
          }
          var expected = plain
          for index in 0..<length { expected[alignment + index] ^= key[(offset + index) % 4] }
          if bytes != expected { Issue.record("alignment \(alignment) length \(length) offset \(offset)") }
        }
      }
    }
  }
}
