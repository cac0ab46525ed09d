/// The slab of connections. Slots are used again last in, first out, so that the hot ones stay in the cache.
package struct ConnectionTable {
  private struct State {
    /// Slots that were ever used; above it the memory is untouched.
    var used: UInt32 = 0
    var firstFree: UInt32 = none
    var live = 0
  }

  /// Bytes of a connection's hot part.
  package static let connectionBytes = MemoryLayout<Connection>.stride

  let capacity: Int
  private let base: ConnectionPointer
  private let state: UnsafeMutablePointer<State>

  init(capacity: Int) throws(LoopError) {
    self.capacity = capacity
    base = try mapTable(of: Connection.self, count: capacity)
    state = .allocate(capacity: 1)
    state.initialize(to: State())
  }

  func destroy() {
    unmapTable(base, count: capacity)
    state.deallocate()
  }

  /// Slots that are not free.
  @inline(__always)
  var live: Int { state.pointee.live }

  @inline(__always)
  subscript(slot: Int) -> ConnectionPointer { base + slot }

  @inline(__always)
  func id(_ slot: Int) -> ConnectionID {
    ConnectionID(slot: UInt32(truncatingIfNeeded: slot), generation: base[slot].generation)
  }

  /// The connection of an id that the caller may use; nil if it is gone.
  @inline(__always)
  func usable(_ id: ConnectionID) -> ConnectionPointer? {
    let slot = Int(id.slot)
    guard slot < capacity else { return nil }
    let connection = base + slot
    guard connection.pointee.generation == id.generation,
      connection.pointee.state == .open || connection.pointee.state == .connecting
    else { return nil }
    return connection
  }

  /// The connection of an id as long as it has a descriptor, over or not.
  func living(_ id: ConnectionID) -> ConnectionPointer? {
    let slot = Int(id.slot)
    guard slot < capacity, base[slot].generation == id.generation, base[slot].state != .free else {
      return nil
    }
    return base + slot
  }

  /// Takes a slot for a socket; nil if none is left.
  func allocate(descriptor: Int32, state initial: Connection.State, lingerBytes: Int) -> Int? {
    let slot: Int
    if state.pointee.firstFree != none {
      slot = Int(state.pointee.firstFree)
      state.pointee.firstFree = base[slot].nextFree
    } else if state.pointee.used < capacity {
      slot = Int(state.pointee.used)
      state.pointee.used += 1
    } else {
      return nil
    }
    state.pointee.live += 1
    let connection = base + slot
    connection.pointee.generation &+= 1
    if connection.pointee.generation == 0 { connection.pointee.generation = 1 }
    connection.pointee.descriptor = descriptor
    connection.pointee.flags = []
    connection.pointee.state = initial
    connection.pointee.failure = 0
    connection.pointee.queued = 0
    connection.pointee.confirmed = 0
    connection.pointee.firstSegment = none
    connection.pointee.lastSegment = none
    connection.pointee.lingerBytes = UInt32(clamping: lingerBytes)
    return slot
  }

  func free(_ slot: Int) {
    base[slot].state = .free
    base[slot].nextFree = state.pointee.firstFree
    state.pointee.firstFree = UInt32(slot)
    state.pointee.live -= 1
  }

  /// Each slot that is not free. For shutting down.
  func forEachLive(_ body: (Int) -> Void) {
    for slot in 0..<Int(state.pointee.used) where base[slot].state != .free { body(slot) }
  }
}

/// Slots whose wishes the end of the turn hands to the kernel. Each is in it once at most.
struct DirtyList {
  let capacity: Int
  private let list: UnsafeMutablePointer<UInt32>
  private let used: UnsafeMutablePointer<Int>

  init(capacity: Int) throws(LoopError) {
    self.capacity = capacity
    list = try mapTable(of: UInt32.self, count: capacity)
    used = .allocate(capacity: 1)
    used.initialize(to: 0)
  }

  func destroy() {
    unmapTable(list, count: capacity)
    used.deallocate()
  }

  @inline(__always)
  var count: Int { used.pointee }

  @inline(__always)
  subscript(index: Int) -> Int { Int(list[index]) }

  @inline(__always)
  func insert(_ slot: Int, _ connection: ConnectionPointer) {
    guard !connection.pointee.flags.contains(.dirty) else { return }
    connection.pointee.flags.insert(.dirty)
    list[used.pointee] = UInt32(truncatingIfNeeded: slot)
    used.pointee += 1
  }

  /// Keeps an entry for the next turn, at a place that was passed already.
  @inline(__always)
  func keep(_ slot: Int, at index: Int) { list[index] = UInt32(truncatingIfNeeded: slot) }

  @inline(__always)
  func truncate(to count: Int) { used.pointee = count }
}
