import JSON

/// Names that somebody refers to now, each with a small number that stands for it while it is referred to.
///
/// Looked up by bytes, without making a String of them. Open addressing with linear probing; a removal
/// shifts what probed past it back, so that there are no tombstones to sweep. The entries' numbers stay
/// put, so that other tables may be indexed by them.
struct NameTable: ~Copyable {
  private struct Entry {
    var bytes: UnsafeMutableRawBufferPointer
    var hash: UInt64
    var references: Int32
    /// The next free entry, where `references` is 0.
    var nextFree: Int32
  }

  private var entries: UnsafeMutablePointer<Entry>
  private var entryCapacity: Int
  private var entryCount = 0
  private var firstFree: Int32 = -1
  /// Entry numbers by hash; -1 is an empty place. A power of two, at most half full.
  private var index: UnsafeMutableBufferPointer<Int32>
  private(set) var count = 0
  private let seed: UInt64

  init(seed: UInt64) {
    self.seed = seed
    entryCapacity = 64
    entries = .allocate(capacity: entryCapacity)
    index = .allocate(capacity: 128)
    index.initialize(repeating: -1)
  }

  deinit {
    for i in 0..<entryCount where entries[i].references > 0 { entries[i].bytes.deallocate() }
    entries.deallocate()
    index.deallocate()
  }

  /// One more than the highest number that was ever given.
  var capacity: Int { entryCount }

  /// The name's number, if anybody refers to it.
  func find(_ name: UnsafeRawBufferPointer) -> Int32? {
    let hash = Hash.of(name, seed: seed)
    var place = Int(truncatingIfNeeded: hash) & (index.count - 1)
    while true {
      let number = index[place]
      if number < 0 { return nil }
      let entry = entries + Int(number)
      if entry.pointee.hash == hash, sameBytes(UnsafeRawBufferPointer(entry.pointee.bytes), name) {
        return number
      }
      place = (place + 1) & (index.count - 1)
    }
  }

  /// The name's number, with one reference more; entered if it was not there.
  mutating func retain(_ name: UnsafeRawBufferPointer) -> Int32 {
    if let number = find(name) {
      entries[Int(number)].references += 1
      return number
    }
    if (count + 1) * 2 > index.count { rehash() }
    let number: Int32
    if firstFree >= 0 {
      number = firstFree
      firstFree = entries[Int(number)].nextFree
    } else {
      if entryCount == entryCapacity { growEntries() }
      number = Int32(entryCount)
      entryCount += 1
    }
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: name.count, alignment: 1)
    copy.copyMemory(from: name)
    let hash = Hash.of(name, seed: seed)
    (entries + Int(number)).initialize(to: Entry(bytes: copy, hash: hash, references: 1, nextFree: -1))
    place(number, hash: hash)
    count += 1
    return number
  }

  /// One reference more to a name that is there.
  mutating func retain(_ number: Int32) {
    entries[Int(number)].references += 1
  }

  /// One reference less; true when it was the last and the name is gone.
  mutating func release(_ number: Int32) -> Bool {
    let entry = entries + Int(number)
    entry.pointee.references -= 1
    precondition(entry.pointee.references >= 0, "a name released more often than retained")
    guard entry.pointee.references == 0 else { return false }
    unplace(number, hash: entry.pointee.hash)
    entry.pointee.bytes.deallocate()
    entry.pointee.nextFree = firstFree
    firstFree = number
    count -= 1
    return true
  }

  /// The name itself, valid while it is referred to.
  func bytes(_ number: Int32) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(entries[Int(number)].bytes)
  }

  private mutating func place(_ number: Int32, hash: UInt64) {
    var place = Int(truncatingIfNeeded: hash) & (index.count - 1)
    while index[place] >= 0 { place = (place + 1) & (index.count - 1) }
    index[place] = number
  }

  private mutating func unplace(_ number: Int32, hash: UInt64) {
    let mask = index.count - 1
    var hole = Int(truncatingIfNeeded: hash) & mask
    while index[hole] != number { hole = (hole + 1) & mask }
    var next = (hole + 1) & mask
    while index[next] >= 0 {
      let home = Int(truncatingIfNeeded: entries[Int(index[next])].hash) & mask
      // What lies between its home and the hole would be found no more: it moves into the hole.
      if (next &- home) & mask >= (next &- hole) & mask {
        index[hole] = index[next]
        hole = next
      }
      next = (next + 1) & mask
    }
    index[hole] = -1
  }

  private mutating func rehash() {
    let old = index
    index = .allocate(capacity: old.count * 2)
    index.initialize(repeating: -1)
    for number in old where number >= 0 { place(number, hash: entries[Int(number)].hash) }
    old.deallocate()
  }

  private mutating func growEntries() {
    let new = UnsafeMutablePointer<Entry>.allocate(capacity: entryCapacity * 2)
    new.moveInitialize(from: entries, count: entryCount)
    entries.deallocate()
    entries = new
    entryCapacity *= 2
  }
}
