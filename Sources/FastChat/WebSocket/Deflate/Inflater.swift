import CZlib

/// Inflates the messages of all connections of a shard, one whole message at a time: no context is taken
/// over from one to the next (RFC 7692 section 7.1.1), so none is kept.
final class Inflater {
  enum Outcome {
    case inflated
    /// Not deflate data, or not all of it.
    case invalid
    case tooBig
    case noMemory
  }

  /// The window of any sender fits into the largest one.
  private static let windowBits: Int32 = 15
  /// What a sender takes off the end of each message (RFC 7692 section 7.2.1): an empty stored block.
  static let tail: [4 of UInt8] = [0x00, 0x00, 0xFF, 0xFF]
  /// Chat text shrinks to about a third; the first block has room for that.
  private static let expectedRatio = 4
  /// The bit of zlib's `data_type` that says that it stands between two blocks.
  private static let betweenBlocks: Int32 = 128

  private let stream: UnsafeMutablePointer<z_stream>

  init() {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    let status = fc_inflate_init(stream, -Inflater.windowBits)
    precondition(status == Z_OK, "zlib has no memory to start with, or is another version")
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  /// Inflates the payload of one message, all fragments put together, to at most `limit` bytes.
  func inflate(
    _ payload: UnsafeRawBufferPointer, atMost limit: Int, into buffer: inout GatherBuffer, pool: GatherPool
  ) -> Outcome {
    inflateReset(stream)
    let expected = min(payload.count * Inflater.expectedRatio, limit) + 1
    guard pool.reserve(expected, in: &buffer) else { return .noMemory }
    var isFinal = false
    var outcome = feed(payload, limit, &buffer, pool, &isFinal)
    // A sender may end its message by a final block, to which the tail adds nothing.
    guard outcome == .inflated, !isFinal else { return outcome }
    outcome = withUnsafeBytes(of: Inflater.tail) { feed($0, limit, &buffer, pool, &isFinal) }
    guard outcome == .inflated else { return outcome }
    return stream.pointee.data_type & Inflater.betweenBlocks != 0 ? .inflated : .invalid
  }

  /// Inflates all of `bytes`, and tells whether they end with the end of a final block.
  private func feed(
    _ bytes: UnsafeRawBufferPointer, _ limit: Int, _ buffer: inout GatherBuffer, _ pool: GatherPool,
    _ isFinal: inout Bool
  ) -> Outcome {
    let input = bytes.assumingMemoryBound(to: UInt8.self).baseAddress
    stream.pointee.next_in = UnsafeMutablePointer(mutating: input)
    stream.pointee.avail_in = UInt32(bytes.count)
    while true {
      guard pool.reserve(1, in: &buffer) else { return .noMemory }
      // One byte more than the limit shows that there is more.
      let room = min(buffer.room.count, limit + 1 - buffer.count)
      stream.pointee.next_out = buffer.room.assumingMemoryBound(to: UInt8.self).baseAddress
      stream.pointee.avail_out = UInt32(room)
      let status = CZlib.inflate(stream, Z_SYNC_FLUSH)
      buffer.count += room - Int(stream.pointee.avail_out)
      guard buffer.count <= limit else { return .tooBig }
      switch status {
      case Z_OK, Z_BUF_ERROR:
        // BUF_ERROR: nothing left to read and nothing left to write, which is no error here.
        isFinal = false
        if stream.pointee.avail_in == 0 && stream.pointee.avail_out > 0 { return .inflated }
      case Z_STREAM_END:
        isFinal = true
        inflateReset(stream)
        if stream.pointee.avail_in == 0 { return .inflated }
      default:
        return .invalid
      }
    }
  }
}
