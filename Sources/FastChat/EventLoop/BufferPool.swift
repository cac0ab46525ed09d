/// The head of a pooled buffer; its bytes follow. Of a buffer that is lent they are elsewhere, and who keeps
/// them stands where they would be.
struct Block {
  /// Holders: 1 for a private chunk, one a use for a shared buffer.
  var references: UInt32
  var sizeClass: UInt32
  /// Bytes that are content (a shared buffer).
  var count: UInt32
  /// Bytes that fit.
  var capacity: UInt32
  /// The next free one of the class.
  var next: BlockPointer?
  /// Where the bytes begin.
  var payload: UnsafeMutableRawPointer
}

typealias BlockPointer = UnsafeMutablePointer<Block>

extension BlockPointer {
  @inline(__always)
  var payload: UnsafeMutableRawPointer { pointee.payload }

  /// What follows the head.
  @inline(__always)
  fileprivate var room: UnsafeMutableRawPointer { UnsafeMutableRawPointer(self + 1) }
}

/// Output buffers in classes of 1, 4, 16, ... KiB. A freed one is used again by the next who asks, last in,
/// first out; beyond `pooledBytes` of free ones, memory goes back to the system. What is out at one time is
/// bounded by `totalOutputBytes`.
struct BufferPool {
  private static let classes = 6
  private static let smallestBits = 10
  /// The class of what is larger than the largest, and is not pooled.
  private static let outsize: UInt32 = 255

  private struct State {
    var free: (BlockPointer?, BlockPointer?, BlockPointer?, BlockPointer?, BlockPointer?, BlockPointer?) =
      (nil, nil, nil, nil, nil, nil)
    var liveBytes = 0
    var freeBytes = 0
  }

  private let state: UnsafeMutablePointer<State>
  private let free: UnsafeMutablePointer<BlockPointer?>
  private let liveBytesMax: Int
  private let freeBytesMax: Int

  init(liveBytesMax: Int, freeBytesMax: Int) {
    state = .allocate(capacity: 1)
    state.initialize(to: State())
    free = UnsafeMutableRawPointer(state).assumingMemoryBound(to: BlockPointer?.self)
    self.liveBytesMax = liveBytesMax
    self.freeBytesMax = freeBytesMax
  }

  /// Gives the free buffers and the pool's own memory back. What is out must be back.
  func destroy() {
    for index in 0..<Self.classes {
      while let block = free[index] {
        free[index] = block.pointee.next
        UnsafeMutableRawPointer(block).deallocate()
      }
    }
    state.deallocate()
  }

  /// Bytes of the buffers that are out.
  var liveBytes: Int { state.pointee.liveBytes }

  /// A buffer for at least `n` bytes, with one holder; nil at the bound.
  func take(_ n: Int) -> BlockPointer? {
    let needed = n + MemoryLayout<Block>.size
    let bits = Int.bitWidth - (needed - 1).leadingZeroBitCount
    let index = max(0, (bits - Self.smallestBits + 1) / 2)
    let pooled = index < Self.classes
    let bytes = pooled ? 1 << (Self.smallestBits + 2 * index) : needed
    guard state.pointee.liveBytes + bytes <= liveBytesMax else { return nil }
    state.pointee.liveBytes += bytes
    let block: BlockPointer
    if pooled, let reused = free[index] {
      free[index] = reused.pointee.next
      state.pointee.freeBytes -= bytes
      block = reused
    } else {
      block = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 16)
        .bindMemory(to: Block.self, capacity: 1)
      block.pointee.sizeClass = pooled ? UInt32(index) : Self.outsize
      block.pointee.capacity = UInt32(bytes - MemoryLayout<Block>.size)
      block.pointee.payload = block.room
    }
    block.pointee.references = 1
    block.pointee.count = 0
    block.pointee.next = nil
    return block
  }

  /// One holder fewer; the last one's buffer is free.
  @inline(__always)
  func release(_ block: BlockPointer) {
    block.pointee.references -= 1
    if block.pointee.references == 0 { give(block) }
  }

  /// A buffer, with one holder, whose bytes are elsewhere and stay there as long as `owner` lives: until the
  /// last holder's release. Nil at the bound, which counts the head alone.
  func lend(_ bytes: UnsafeRawBufferPointer, keptBy owner: AnyObject) -> BlockPointer? {
    guard let start = bytes.baseAddress, let block = take(MemoryLayout<UnsafeRawPointer>.size) else {
      return nil
    }
    block.room.storeBytes(of: Unmanaged.passRetained(owner).toOpaque(), as: UnsafeMutableRawPointer.self)
    block.pointee.payload = UnsafeMutableRawPointer(mutating: start)
    block.pointee.count = UInt32(bytes.count)
    return block
  }

  /// The bytes that were lent are not needed any more.
  @inline(never)
  private func endLending(_ block: BlockPointer) {
    block.pointee.payload = block.room
    Unmanaged<AnyObject>.fromOpaque(block.room.load(as: UnsafeMutableRawPointer.self)).release()
  }

  private func give(_ block: BlockPointer) {
    if block.pointee.payload != block.room { endLending(block) }
    let bytes = Int(block.pointee.capacity) + MemoryLayout<Block>.size
    state.pointee.liveBytes -= bytes
    guard block.pointee.sizeClass != Self.outsize, state.pointee.freeBytes + bytes <= freeBytesMax else {
      UnsafeMutableRawPointer(block).deallocate()
      return
    }
    let index = Int(block.pointee.sizeClass)
    block.pointee.next = free[index]
    free[index] = block
    state.pointee.freeBytes += bytes
  }
}
