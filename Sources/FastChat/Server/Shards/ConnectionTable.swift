import EventLoop

/// The connections of a shard, by the slot that the loop gave them: structs in a slab, found by one compare
/// of generations. Memory of slots that were never used is not touched.
struct ConnectionTable: ~Copyable {
  private let slab: UnsafeMutablePointer<Connection>
  /// The generation of the connection in a slot; 0 where there is none.
  private let generations: UnsafeMutablePointer<UInt32>
  /// Under which name the session of a slot stands in the directory. Outlives the connection, since its end
  /// is told after it.
  private let devices: UnsafeMutablePointer<DeviceKey>
  private let capacity: Int
  /// Slots that were ever used are below.
  private(set) var used = 0
  private(set) var count = 0

  init(capacity: Int) {
    self.capacity = capacity
    slab = .allocate(capacity: capacity)
    generations = .allocate(capacity: capacity)
    generations.initialize(repeating: 0, count: capacity)
    devices = .allocate(capacity: capacity)
  }

  deinit {
    for slot in 0..<used where generations[slot] != 0 { (slab + slot).deinitialize(count: 1) }
    slab.deallocate()
    generations.deallocate()
    devices.deallocate()
  }

  mutating func open(_ id: ConnectionID, isAdmin: Bool) {
    let slot = Int(id.slot)
    precondition(slot < capacity && generations[slot] == 0, "the loop gave a slot that is in use")
    (slab + slot).initialize(to: Connection(isAdmin: isAdmin))
    generations[slot] = id.generation
    used = max(used, slot + 1)
    count += 1
  }

  /// Forgets a connection, whose receiver has given back its memory.
  mutating func remove(_ id: ConnectionID) {
    let slot = Int(id.slot)
    precondition(generations[slot] == id.generation, "a connection ends once")
    generations[slot] = 0
    (slab + slot).deinitialize(count: 1)
    count -= 1
  }

  @inline(__always)
  func isOpen(_ id: ConnectionID) -> Bool { generations[Int(id.slot)] == id.generation }

  /// The connection, which is open.
  @inline(__always)
  func at(_ id: ConnectionID) -> UnsafeMutablePointer<Connection> { slab + Int(id.slot) }

  /// The connection, if it is still open.
  @inline(__always)
  func find(_ id: ConnectionID) -> UnsafeMutablePointer<Connection>? { isOpen(id) ? at(id) : nil }

  func setDevice(_ device: DeviceKey, inSlot slot: Int) { (devices + slot).initialize(to: device) }

  /// The device that was set for the slot last.
  func device(inSlot slot: Int) -> DeviceKey { devices[slot] }

  /// The connection in a slot below `used`, if there is one.
  @inline(__always)
  func id(inSlot slot: Int) -> ConnectionID? {
    let generation = generations[slot]
    return generation == 0 ? nil : ConnectionID(slot: UInt32(slot), generation: generation)
  }
}
