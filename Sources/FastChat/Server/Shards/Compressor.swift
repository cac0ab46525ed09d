import JSON
import WebSocket

/// Compresses what goes out to connections that agreed on permessage-deflate, one message at a time.
final class Compressor {
  /// Smaller messages stay as they are: what deflate saves of them is less than what it costs.
  static let bytesMin = 128
  /// Room that is kept for the next message.
  private static let roomKeptMax = 1 << 20

  private let deflaters = Deflaters()
  private var room = ByteBuffer(capacity: 64 << 10)

  /// Hands the compressed payload of `message` to `body`, valid for the call.
  func withCompressed<Result>(
    _ message: UnsafeRawBufferPointer, _ parameters: DeflateParameters,
    _ body: (UnsafeRawBufferPointer) -> Result
  ) -> Result {
    let deflater = deflaters.forWindow(parameters)
    room.removeAll(keepingAtMost: Compressor.roomKeptMax)
    let output = room.appendUninitialized(deflater.bound(message.count))
    let count = deflater.deflate(message, into: output)
    return body(UnsafeRawBufferPointer(rebasing: output[..<count]))
  }
}
