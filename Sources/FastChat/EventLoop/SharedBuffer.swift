/// Bytes that several connections of one loop send without copying: a frame of a fan-out.
///
/// Made by `EventLoop.makeShared`, which gives the caller one count; each queued use holds another. The
/// caller fills `bytes` before the first `send`, hands it to as many connections as it likes, and then
/// gives its own count back with `EventLoop.release`. The count is not atomic: a buffer stays with its loop.
///
/// Made by `EventLoop.lend`, it has the bytes of somebody else, who is counted (once, however many it is sent
/// to) until the last of its sends is complete; nobody may write to them.
public struct SharedBuffer: BitwiseCopyable {
  let block: UnsafeMutablePointer<Block>

  /// The content; its length is what was asked for.
  public var bytes: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: block.payload, count: Int(block.pointee.count))
  }
}
