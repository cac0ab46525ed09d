import CZlib

/// Compresses messages, one whole message at a time: no context is taken over from one to the next
/// (RFC 7692 section 7.1.1), so one serves all connections of a shard that agreed on its window.
public final class Deflater {
  /// Chat messages are small, and what costs is to clear the tables for each.
  private static let level: Int32 = 1
  private static let memoryLevel: Int32 = 8
  /// What zlib's bound leaves out: the empty block of a flush.
  private static let flushBytes = 16

  private let stream: UnsafeMutablePointer<z_stream>

  /// Makes a compressor with a window of 2^`windowBits` bytes, 9 to 15.
  public init(windowBits: Int) {
    precondition(DeflateParameters.windowBits.contains(windowBits))
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    let status = fc_deflate_init(stream, Deflater.level, -Int32(windowBits), Deflater.memoryLevel)
    precondition(status == Z_OK, "zlib has no memory to start with, or is another version")
  }

  deinit {
    deflateEnd(stream)
    stream.deallocate()
  }

  /// Room that is enough for a message of so many bytes, whatever it holds.
  public func bound(_ count: Int) -> Int {
    Int(deflateBound(stream, UInt(count))) + Deflater.flushBytes
  }

  /// Compresses a message into `room`, of `bound(message.count)` bytes: the payload of frames, the first
  /// of which has RSV1 set.
  ///
  /// - Returns: the number of bytes written; at least one (RFC 7692 section 7.2.3.6).
  public func deflate(_ message: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer) -> Int {
    precondition(room.count >= bound(message.count) && room.count <= Int(UInt32.max))
    deflateReset(stream)
    let input = message.assumingMemoryBound(to: UInt8.self).baseAddress
    stream.pointee.next_in = UnsafeMutablePointer(mutating: input)
    stream.pointee.avail_in = UInt32(message.count)
    stream.pointee.next_out = room.assumingMemoryBound(to: UInt8.self).baseAddress
    stream.pointee.avail_out = UInt32(room.count)
    let status = CZlib.deflate(stream, Z_SYNC_FLUSH)
    let written = room.count - Int(stream.pointee.avail_out)
    precondition(status == Z_OK && stream.pointee.avail_out > 0 && written > Inflater.tail.count)
    return written - Inflater.tail.count
  }
}

/// The compressors of a shard: one for each window that a client asked for, made when first needed.
public final class Deflaters {
  private var byWindow: [Deflater?] = Array(
    repeating: nil, count: DeflateParameters.windowBits.upperBound + 1)

  public init() {}

  public func forWindow(_ parameters: DeflateParameters) -> Deflater {
    if let made = byWindow[parameters.serverWindowBits] { return made }
    let made = Deflater(windowBits: parameters.serverWindowBits)
    byWindow[parameters.serverWindowBits] = made
    return made
  }
}
