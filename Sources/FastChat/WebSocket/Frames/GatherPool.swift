/// Memory for what cannot be handed out where it was received: frames that cross chunks, fragments,
/// inflated messages. One a shard.
///
/// Blocks are powers of two. Those given back are kept, up to a bound, in a list for each size, the link
/// in the block itself; so taking and giving back allocates nothing in the steady state. What is in use
/// is counted and bounded too: at the bound a message is refused with 1013.
public final class GatherPool {
  /// The smallest block in bytes: a control frame.
  private static let leastBits: UInt8 = 7
  /// The largest block in bytes: 2 GiB, more than any message limit.
  private static let mostBits: UInt8 = 31

  /// Bytes of the blocks that receivers hold.
  public private(set) var bytesInUse = 0
  /// Bytes of the blocks kept for later.
  public private(set) var bytesKept = 0

  private let mostInUse: Int
  private let mostKept: Int
  private let free: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  /// For the messages of all the shard's connections, one at a time.
  let inflater = Inflater()

  /// Makes a pool that keeps at most `keeping` bytes of free blocks and lends at most `lending` bytes.
  public init(keeping: Int, lending: Int) {
    mostKept = keeping
    mostInUse = lending
    let sizes = Int(GatherPool.mostBits) + 1
    free = .allocate(capacity: sizes)
    free.initialize(repeating: nil, count: sizes)
  }

  deinit {
    for bits in 0...Int(GatherPool.mostBits) {
      while let block = free[bits] {
        free[bits] = block.load(as: UnsafeMutableRawPointer?.self)
        block.deallocate()
      }
    }
    free.deallocate()
  }

  /// Adds bytes to the buffer. False, and nothing is added, where the pool has lent all it may.
  func append(_ bytes: UnsafeRawBufferPointer, to buffer: inout GatherBuffer) -> Bool {
    guard let start = bytes.baseAddress, bytes.count > 0 else { return true }
    guard reserve(bytes.count, in: &buffer), let base = buffer.base else { return false }
    (base + buffer.count).copyMemory(from: start, byteCount: bytes.count)
    buffer.count += bytes.count
    return true
  }

  /// Makes room for `extra` more bytes, at least doubling what is there.
  func reserve(_ extra: Int, in buffer: inout GatherBuffer) -> Bool {
    let wanted = buffer.count + extra
    guard wanted > buffer.capacity else { return true }
    let bits = max(GatherPool.leastBits, UInt8(UInt64.bitWidth - UInt64(wanted - 1).leadingZeroBitCount))
    guard bits <= GatherPool.mostBits, bytesInUse + 1 << bits <= mostInUse else { return false }
    let block = take(bits)
    if let old = buffer.base {
      block.copyMemory(from: old, byteCount: buffer.count)
      giveBack(old, buffer.bits)
    }
    buffer.base = block
    buffer.bits = bits
    return true
  }

  /// Takes the buffer's memory back; it is empty then.
  func giveBack(_ buffer: inout GatherBuffer) {
    guard let base = buffer.base else { return }
    giveBack(base, buffer.bits)
    buffer = GatherBuffer()
  }

  private func take(_ bits: UInt8) -> UnsafeMutableRawPointer {
    bytesInUse += 1 << bits
    guard let block = free[Int(bits)] else { return .allocate(byteCount: 1 << bits, alignment: 16) }
    free[Int(bits)] = block.load(as: UnsafeMutableRawPointer?.self)
    bytesKept -= 1 << bits
    return block
  }

  private func giveBack(_ block: UnsafeMutableRawPointer, _ bits: UInt8) {
    bytesInUse -= 1 << bits
    guard bytesKept + 1 << bits <= mostKept else { return block.deallocate() }
    block.storeBytes(of: free[Int(bits)], as: UnsafeMutableRawPointer?.self)
    free[Int(bits)] = block
    bytesKept += 1 << bits
  }
}

/// Bytes in a block of a pool. Empty it holds no block.
struct GatherBuffer {
  fileprivate(set) var base: UnsafeMutableRawPointer?
  fileprivate var bits: UInt8 = 0
  private var used: UInt32 = 0

  var count: Int {
    get { Int(used) }
    set { used = UInt32(newValue) }
  }

  var capacity: Int { base == nil ? 0 : 1 << bits }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  /// Room behind the bytes.
  var room: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(start: base.map { $0 + count }, count: capacity - count)
  }
}
