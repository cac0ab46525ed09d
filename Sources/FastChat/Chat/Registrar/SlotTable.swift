/// Values by key that are walked through in an order that depends on nothing but the history of the table:
/// a dictionary's own order differs from process to process, and a seed could not be replayed.
struct SlotTable<Key: Hashable, Value> {
  private var slots: [Value?] = []
  private var free: [Int] = []
  private var places: [Key: Int] = [:]

  var count: Int { places.count }
  /// How many slots there are, empty ones included.
  var addressable: Int { slots.count }

  func contains(_ key: Key) -> Bool { places[key] != nil }

  /// Setting nil removes.
  subscript(key: Key) -> Value? {
    get { places[key].flatMap { slots[$0] } }
    set {
      guard let newValue else { return remove(key) }
      if let place = places[key] {
        slots[place] = newValue
      } else if let place = free.popLast() {
        places[key] = place
        slots[place] = newValue
      } else {
        places[key] = slots.count
        slots.append(newValue)
      }
    }
  }

  /// The value in a slot, for a walk over all of them.
  subscript(slot slot: Int) -> Value? {
    get { slots[slot] }
    set { slots[slot] = newValue }
  }

  private mutating func remove(_ key: Key) {
    guard let place = places.removeValue(forKey: key) else { return }
    slots[place] = nil
    free.append(place)
  }
}

/// First in, first out.
struct Fifo<Element> {
  private var elements: [Element] = []
  private var head = 0

  var count: Int { elements.count - head }
  var isEmpty: Bool { count == 0 }
  var first: Element? { isEmpty ? nil : elements[head] }

  mutating func append(_ element: Element) { elements.append(element) }

  mutating func popFirst() -> Element? {
    guard head < elements.count else { return nil }
    let element = elements[head]
    head += 1
    // What was taken is dropped when it is half of all: each element moves once, on average.
    if head * 2 > elements.count {
      elements.removeFirst(head)
      head = 0
    }
    return element
  }

  mutating func removeAll() {
    elements.removeAll(keepingCapacity: true)
    head = 0
  }
}

/// Shards of one server: as many as a `SessionID` can name.
struct ShardSet: Equatable {
  private var words = SIMD4<UInt64>()

  var isEmpty: Bool { words == SIMD4() }

  func contains(_ shard: Int) -> Bool { words[shard >> 6] & (1 << UInt64(shard & 63)) != 0 }
  mutating func insert(_ shard: Int) { words[shard >> 6] |= 1 << UInt64(shard & 63) }
  mutating func remove(_ shard: Int) { words[shard >> 6] &= ~(1 << UInt64(shard & 63)) }
  mutating func formUnion(_ other: ShardSet) { words |= other.words }
}
