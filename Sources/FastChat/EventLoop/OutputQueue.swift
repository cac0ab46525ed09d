import CLinuxIO
import Glibc

/// A piece of a connection's output: the bytes `start..<end` of a block.
struct Segment {
  var block: BlockPointer
  var start: UInt32
  var end: UInt32
  var next: UInt32
  /// A use of a shared buffer: nothing may be appended to its block.
  var isShared: Bool
}

/// The output of all connections of a loop: lists of segments over pooled buffers.
///
/// What a connection says in a turn is put together in one private chunk and leaves with one write. A
/// connection without output holds no buffer. Bytes may be appended to a chunk whose beginning is being
/// sent: the kernel reads only the range that it was given.
struct OutputQueue {
  /// A shared buffer of up to so many bytes is copied behind bytes that wait already. An iovec more costs a
  /// write about 35 ns (16 of them 8 to 10 % of one), as much as copying a kilobyte, and a copy does not hold
  /// the shared buffer back until a slow socket has taken it. Alone in its turn it goes out by reference.
  static let copiedSharedBytes = 1_024
  /// Capacity that is asked for a connection's first chunk: a turn's worth of small frames.
  static let firstChunkBytes = 4_096 - MemoryLayout<Block>.size
  /// Where the doubling of further chunks ends.
  static let chunkBytes = 65_536 - MemoryLayout<Block>.size
  /// Pieces that one write gathers.
  static let iovecs = 64

  private struct State {
    var used: UInt32 = 0
    var firstFree: UInt32 = none
  }

  let pool: BufferPool
  private let segments: UnsafeMutablePointer<Segment>
  private let state: UnsafeMutablePointer<State>
  private let capacity: Int
  private let bytesMax: Int

  init(_ configuration: LoopConfiguration) throws(LoopError) {
    pool = BufferPool(
      liveBytesMax: configuration.totalOutputBytes, freeBytesMax: configuration.pooledBytes)
    capacity = configuration.segments
    bytesMax = configuration.outputBytes
    segments = try mapTable(of: Segment.self, count: capacity)
    state = .allocate(capacity: 1)
    state.initialize(to: State())
  }

  /// Each connection's output must have been dropped.
  func destroy() {
    unmapTable(segments, count: capacity)
    state.deallocate()
    pool.destroy()
  }

  // MARK: Appending

  /// Room for at least `n` bytes at the end of the output, in a private chunk; nil at a bound.
  @inline(__always)
  func room(_ connection: ConnectionPointer, _ n: Int) -> UnsafeMutableRawBufferPointer? {
    guard Int(connection.pointee.queued) + n <= bytesMax else { return nil }
    let last = connection.pointee.lastSegment
    if last != none {
      let segment = segments + Int(last)
      if !segment.pointee.isShared {
        let free = Int(segment.pointee.block.pointee.capacity) - Int(segment.pointee.end)
        if free >= n {
          return UnsafeMutableRawBufferPointer(
            start: segment.pointee.block.payload + Int(segment.pointee.end), count: free)
        }
      }
    }
    return roomInNewChunk(connection, n)
  }

  @inline(never)
  private func roomInNewChunk(
    _ connection: ConnectionPointer, _ n: Int
  ) -> UnsafeMutableRawBufferPointer? {
    var wanted = Self.firstChunkBytes
    let last = connection.pointee.lastSegment
    if last != none, !segments[Int(last)].isShared {
      wanted = min(Int(segments[Int(last)].block.pointee.capacity) * 4, Self.chunkBytes)
    }
    guard let block = pool.take(max(n, wanted)) else { return nil }
    guard link(connection, block, count: 0, isShared: false) else {
      pool.release(block)
      return nil
    }
    return UnsafeMutableRawBufferPointer(start: block.payload, count: Int(block.pointee.capacity))
  }

  /// Counts the first `n` bytes of `room` in.
  @inline(__always)
  func commit(_ connection: ConnectionPointer, _ n: Int, tick: Int64) {
    guard n > 0 else { return }
    precondition(connection.pointee.lastSegment != none, "committed without a reserve")
    let segment = segments + Int(connection.pointee.lastSegment)
    precondition(
      !segment.pointee.isShared
        && n <= Int(segment.pointee.block.pointee.capacity) - Int(segment.pointee.end),
      "committed more than was reserved")
    segment.pointee.end += UInt32(truncatingIfNeeded: n)
    count(connection, n, tick)
  }

  /// Appends a use of a shared buffer, or a copy of it where that is cheaper. False at a bound.
  @inline(__always)
  func share(_ connection: ConnectionPointer, _ block: BlockPointer, tick: Int64) -> Bool {
    let n = Int(block.pointee.count)
    guard Int(connection.pointee.queued) + n <= bytesMax else { return false }
    if connection.pointee.queued > 0, n <= Self.copiedSharedBytes {
      guard let room = room(connection, n) else { return false }
      room.baseAddress!.copyMemory(from: block.payload, byteCount: n)
      commit(connection, n, tick: tick)
      return true
    }
    guard link(connection, block, count: block.pointee.count, isShared: true) else { return false }
    block.pointee.references += 1
    count(connection, n, tick)
    return true
  }

  @inline(__always)
  private func count(_ connection: ConnectionPointer, _ n: Int, _ tick: Int64) {
    if connection.pointee.queued == 0 { connection.pointee.progressTick = tick }
    connection.pointee.queued += UInt32(truncatingIfNeeded: n)
  }

  private func link(
    _ connection: ConnectionPointer, _ block: BlockPointer, count: UInt32, isShared: Bool
  ) -> Bool {
    let index: UInt32
    if state.pointee.firstFree != none {
      index = state.pointee.firstFree
      state.pointee.firstFree = segments[Int(index)].next
    } else if state.pointee.used < capacity {
      index = state.pointee.used
      state.pointee.used += 1
    } else {
      return false
    }
    (segments + Int(index)).initialize(
      to: Segment(block: block, start: 0, end: count, next: none, isShared: isShared))
    if connection.pointee.lastSegment == none {
      connection.pointee.firstSegment = index
    } else {
      segments[Int(connection.pointee.lastSegment)].next = index
    }
    connection.pointee.lastSegment = index
    return true
  }

  // MARK: Leaving

  /// The next bytes to write, if they are in one piece: what most turns have.
  @inline(__always)
  func onlyPiece(_ connection: ConnectionPointer) -> UnsafeRawBufferPointer? {
    let first = connection.pointee.firstSegment
    guard first == connection.pointee.lastSegment else { return nil }
    let segment = segments + Int(first)
    return UnsafeRawBufferPointer(
      start: segment.pointee.block.payload + Int(segment.pointee.start),
      count: Int(segment.pointee.end - segment.pointee.start))
  }

  /// The next bytes to write, in at most `iovecs` pieces; gives how many.
  func gather(_ connection: ConnectionPointer, into vectors: UnsafeMutablePointer<iovec>) -> Int {
    var index = connection.pointee.firstSegment
    var pieces = 0
    while index != none, pieces < Self.iovecs {
      let segment = segments + Int(index)
      let length = Int(segment.pointee.end - segment.pointee.start)
      if length > 0 {
        vectors[pieces] = iovec(
          iov_base: segment.pointee.block.payload + Int(segment.pointee.start), iov_len: length)
        pieces += 1
      }
      index = segment.pointee.next
    }
    return pieces
  }

  /// The kernel took `n` bytes: gives their buffers back.
  func consume(_ connection: ConnectionPointer, _ n: Int, tick: Int64) {
    connection.pointee.queued -= UInt32(truncatingIfNeeded: n)
    connection.pointee.progressTick = tick
    if connection.pointee.queued == 0 {
      drop(connection)
      return
    }
    var rest = n
    while rest > 0 {
      let segment = segments + Int(connection.pointee.firstSegment)
      let length = Int(segment.pointee.end - segment.pointee.start)
      if length > rest {
        segment.pointee.start += UInt32(truncatingIfNeeded: rest)
        return
      }
      rest -= length
      unlinkFirst(connection)
    }
  }

  /// Forgets all output of a connection; nothing of it may be with the kernel.
  func drop(_ connection: ConnectionPointer) {
    while connection.pointee.firstSegment != none { unlinkFirst(connection) }
    connection.pointee.queued = 0
  }

  @inline(__always)
  private func unlinkFirst(_ connection: ConnectionPointer) {
    let index = connection.pointee.firstSegment
    let segment = segments + Int(index)
    pool.release(segment.pointee.block)
    connection.pointee.firstSegment = segment.pointee.next
    if segment.pointee.next == none { connection.pointee.lastSegment = none }
    segment.pointee.next = state.pointee.firstFree
    state.pointee.firstFree = index
  }
}
