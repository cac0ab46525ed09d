import Chat

/// Every chat's head in the writer's memory, by the keyed hash of its name. A chat's id is its place in
/// the array, counted from 1: ids are given without gaps and chats are never removed.
///
/// Memory: 32 bytes a chat, and 5-11 of the table that finds it.
struct ChatTable: ~Copyable {
  struct Entry {
    let key: KeyedHash.Value
    var head: Seq
    /// Events that the chat ever had.
    var events: UInt32
    /// Its head changed in the batch under way.
    var isTouched: Bool
  }

  /// Chats at most, 5.8 GB of them: records that would begin another are refused.
  static let maximumChats = 1 << 27

  private var entries: UnsafeMutablePointer<Entry>
  private var capacity = 1024
  private(set) var count = 0
  /// Ids; 0 is an empty slot.
  private var slots: UnsafeMutablePointer<UInt32>
  private var mask = 2047

  init() {
    entries = .allocate(capacity: capacity)
    slots = .allocate(capacity: mask + 1)
    slots.initialize(repeating: 0, count: mask + 1)
  }

  deinit {
    entries.deallocate()
    slots.deallocate()
  }

  var isFull: Bool { count >= Self.maximumChats }

  /// The chat's id, 0 for one that never had an event.
  @inline(__always)
  func id(_ key: KeyedHash.Value) -> Int {
    var slot = Int(truncatingIfNeeded: key.low) & mask
    while slots[slot] != 0 {
      let id = Int(slots[slot])
      if entries[id - 1].key == key { return id }
      slot = (slot + 1) & mask
    }
    return 0
  }

  /// The entry of an id, to be read or changed in place before the next `append`.
  @inline(__always)
  subscript(id: Int) -> UnsafeMutablePointer<Entry> { entries + (id - 1) }

  /// Adds a chat that is not there yet and gives its id.
  mutating func append(_ key: KeyedHash.Value, head: Seq, events: UInt32) -> Int {
    if count == capacity { grow() }
    entries[count] = Entry(key: key, head: head, events: events, isTouched: false)
    count += 1
    place(count)
    return count
  }

  /// Forgets the chats with ids above `newCount`.
  mutating func truncate(to newCount: Int) {
    precondition(newCount <= count)
    while count > newCount {
      remove(count)
      count -= 1
    }
  }

  @inline(__always)
  private func home(_ id: Int) -> Int { Int(truncatingIfNeeded: entries[id - 1].key.low) & mask }

  private func place(_ id: Int) {
    var slot = home(id)
    while slots[slot] != 0 { slot = (slot + 1) & mask }
    slots[slot] = UInt32(id)
  }

  /// Empties an id's slot, and moves those behind it up that could not be found any more.
  private func remove(_ id: Int) {
    var hole = home(id)
    while slots[hole] != id { hole = (hole + 1) & mask }
    var slot = (hole + 1) & mask
    while slots[slot] != 0 {
      let distance = (slot - home(Int(slots[slot]))) & mask
      if distance >= (slot - hole) & mask {
        slots[hole] = slots[slot]
        hole = slot
      }
      slot = (slot + 1) & mask
    }
    slots[hole] = 0
  }

  private mutating func grow() {
    let larger = UnsafeMutablePointer<Entry>.allocate(capacity: capacity * 2)
    larger.update(from: entries, count: count)
    entries.deallocate()
    entries = larger
    capacity *= 2
    slots.deallocate()
    mask = capacity * 2 - 1
    slots = .allocate(capacity: mask + 1)
    slots.initialize(repeating: 0, count: mask + 1)
    for id in 1...count { place(id) }
  }
}
