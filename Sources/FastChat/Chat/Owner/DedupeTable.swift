/// What the records of the last `Limits.dedupeSpanMilliseconds` of a partition came to, by (chat, from,
/// device, id): a pure function of the log, so that whoever starts, jumps or rebuilds fills it by reading
/// (DESIGN section 3, "Dedupe").
///
/// Entries stand in a ring in append order, in chunks, so that growing copies nothing and expiry gives
/// memory back from the front. 1,024 small tables with open addressing, chosen by the hash, hold the
/// entries' places in the ring; each grows by itself, so that no insertion waits for more than its own.
/// A place outside the ring is dead and is skipped: expiry and rollback never touch the tables.
///
/// ```
///  tables[hash.high >> 54]          ring of chunks
///  +----+----+----+----+            front                       end
///  |  0 | 17 |dead| 42 | ---------> |e17| ...  |e42| ...        |
///  +----+----+----+----+
/// ```
/// Memory: records a second x 480 s x about 50 bytes (40 of an entry, 6-16 of its place); at 10,000 a
/// second 240 MB.
public struct DedupeTable: ~Copyable {
  /// What a record came to.
  public struct Entry {
    public let key: KeyedHash.Value
    private let packed: UInt64
    /// When the server accepted the record.
    public let time: WallTime
    /// When the log took it; never falling from one entry to the next.
    public let appended: WallTime

    public init(key: KeyedHash.Value, seq: Seq, outcome: Outcome, time: WallTime, appended: WallTime) {
      self.key = key
      self.packed = UInt64(seq) << 8 | UInt64(outcome.rawValue)
      self.time = time
      self.appended = appended
    }

    public var seq: Seq { Seq(packed >> 8) }
    public var outcome: Outcome { Outcome(rawValue: UInt8(truncatingIfNeeded: packed))! }
  }

  /// Entries at most: 3.8 GB of them, which is 139,000 records a second. At the bound the owner refuses
  /// records instead of forgetting what it promised to remember.
  public static let maximumEntries = 1 << 26

  private static let chunkShift: UInt32 = 14
  private static let chunkEntries = 1 << Int(chunkShift)
  /// Room for twice the entries, so that a chunk under way at either end never meets another's place.
  private static let chunkPlaces = 2 * maximumEntries / chunkEntries
  private static let tableCount = 1 << 10
  private static let smallestTable = 16
  /// Places in the ring count modulo 2^31.
  private static let placeMask: UInt32 = 0x7FFF_FFFF

  /// 32 bits of a hash, with which a probe begins and most others are told apart without a look at their
  /// entries; a bit that tells it from an empty slot; 31 of a place.
  private struct Slot {
    var raw: UInt64

    static let empty = Slot(raw: 0)

    init(raw: UInt64) { self.raw = raw }

    @inline(__always)
    init(_ key: KeyedHash.Value, place: UInt32) {
      raw = key.low &<< 32 | UInt64(place | ~DedupeTable.placeMask)
    }

    var isEmpty: Bool { raw == 0 }
    var tag: UInt32 { UInt32(truncatingIfNeeded: raw &>> 32) }
    var place: UInt32 { UInt32(truncatingIfNeeded: raw) & DedupeTable.placeMask }
  }

  private struct Table {
    var slots: UnsafeMutablePointer<Slot>
    var mask: UInt32
    /// Slots that are not empty, dead ones included.
    var used: UInt32
  }

  private let capacity: Int
  private let tables: UnsafeMutablePointer<Table>
  private let chunks: UnsafeMutablePointer<UnsafeMutablePointer<Entry>?>
  /// A chunk that expiry emptied, for the next one needed.
  private var spare: UnsafeMutablePointer<Entry>?
  private var front: UInt32 = 0
  /// Entries in the ring.
  public private(set) var count = 0
  /// Entries ever appended and not rolled back: a mark for `truncate(to:)`.
  public private(set) var end: UInt64 = 0

  /// Makes an empty table that takes `capacity` entries at most.
  public init(capacity: Int = DedupeTable.maximumEntries) {
    precondition(capacity > 0 && capacity <= DedupeTable.maximumEntries)
    self.capacity = capacity
    tables = .allocate(capacity: Self.tableCount)
    for index in 0..<Self.tableCount {
      (tables + index).initialize(to: Self.emptyTable(Self.smallestTable))
    }
    chunks = .allocate(capacity: Self.chunkPlaces)
    chunks.initialize(repeating: nil, count: Self.chunkPlaces)
  }

  deinit {
    for index in 0..<Self.tableCount { tables[index].slots.deallocate() }
    tables.deallocate()
    for index in 0..<Self.chunkPlaces { chunks[index]?.deallocate() }
    chunks.deallocate()
    spare?.deallocate()
  }

  /// Whether no further entry fits.
  public var isFull: Bool { count >= capacity }

  /// What the first record of that name came to, where it counts for one that is appended now as `seq`
  /// at `appended`: its seq is lower, and its append time at most `Limits.dedupeSpanMilliseconds` below.
  public func first(_ key: KeyedHash.Value, before seq: Seq, appended: WallTime) -> Entry? {
    let table = tables[Int(key.high >> 54)]
    let tag = UInt32(truncatingIfNeeded: key.low)
    var index = tag & table.mask
    while !table.slots[Int(index)].isEmpty {
      let slot = table.slots[Int(index)]
      if slot.tag == tag, isLive(slot.place) {
        let entry = entry(at: slot.place)
        // One that does not count any more may stand before another of the same name that does.
        if entry.pointee.key == key, entry.pointee.seq < seq,
          appended - entry.pointee.appended <= Limits.dedupeSpanMilliseconds
        {
          return entry.pointee
        }
      }
      index = (index &+ 1) & table.mask
    }
    return nil
  }

  /// Remembers a record that has no entry yet. Entries come in the log's order; the table is not full.
  public mutating func append(_ entry: Entry) {
    precondition(count < capacity, "the owner asks isFull first")
    let place = (front &+ UInt32(count)) & Self.placeMask
    let chunk = chunkIndex(place)
    if chunks[chunk] == nil {
      chunks[chunk] = spare ?? .allocate(capacity: Self.chunkEntries)
      spare = nil
    }
    self.entry(at: place).initialize(to: entry)
    count += 1
    end += 1
    let index = Int(entry.key.high >> 54)
    if tables[index].used &* 3 >= tables[index].mask &* 2 { rebuild(index) }
    insert(Slot(entry.key, place: place), into: index)
  }

  /// Forgets what was appended after `end` was `mark`: the batch that brought it came to nothing.
  public mutating func truncate(to mark: UInt64) {
    precondition(mark <= end && end - mark <= UInt64(count), "a mark that expiry has passed")
    count -= Int(end - mark)
    end = mark
  }

  /// Forgets everything.
  public mutating func removeAll() {
    expire(before: .max)
    end = 0
  }

  /// Drops the entries that count for nothing appended at `appended` or later.
  public mutating func expire(at appended: WallTime) {
    expire(before: appended - Limits.dedupeSpanMilliseconds)
  }

  private mutating func expire(before time: WallTime) {
    while count > 0, entry(at: front).pointee.appended < time {
      let chunk = chunkIndex(front)
      front = (front &+ 1) & Self.placeMask
      count -= 1
      guard chunkIndex(front) != chunk, let emptied = chunks[chunk] else { continue }
      chunks[chunk] = nil
      if spare == nil { spare = emptied } else { emptied.deallocate() }
    }
  }

  // MARK: Places

  @inline(__always)
  private func isLive(_ place: UInt32) -> Bool {
    Int((place &- front) & Self.placeMask) < count
  }

  @inline(__always)
  private func chunkIndex(_ place: UInt32) -> Int {
    Int(place >> Self.chunkShift) & (Self.chunkPlaces - 1)
  }

  @inline(__always)
  private func entry(at place: UInt32) -> UnsafeMutablePointer<Entry> {
    chunks[chunkIndex(place)]! + Int(place) % Self.chunkEntries
  }

  private static func emptyTable(_ size: Int) -> Table {
    let slots = UnsafeMutablePointer<Slot>.allocate(capacity: size)
    slots.initialize(repeating: .empty, count: size)
    return Table(slots: slots, mask: UInt32(size - 1), used: 0)
  }

  /// Puts a slot at the first place of its probe sequence that is empty or dead.
  private mutating func insert(_ slot: Slot, into table: Int) {
    let slots = tables[table].slots
    let mask = tables[table].mask
    var index = slot.tag & mask
    while !slots[Int(index)].isEmpty {
      // The place itself may stand here since before a rollback: it is this entry's as well as any.
      let other = slots[Int(index)].place
      if other == slot.place || !isLive(other) { break }
      index = (index &+ 1) & mask
    }
    if slots[Int(index)].isEmpty { tables[table].used += 1 }
    slots[Int(index)] = slot
  }

  /// Drops a table's dead slots, and gives it three slots or more for each that is left, so that at least
  /// as many insertions as it has entries come before the next time.
  private mutating func rebuild(_ table: Int) {
    let old = tables[table]
    let newest = (front &+ UInt32(count) &- 1) & Self.placeMask
    var live = 0
    for index in 0...Int(old.mask) where isKept(old.slots[index], except: newest) { live += 1 }
    var size = Self.smallestTable
    while size < live * 3 { size *= 2 }
    tables[table] = Self.emptyTable(size)
    for index in 0...Int(old.mask) where isKept(old.slots[index], except: newest) {
      insert(old.slots[index], into: table)
    }
    old.slots.deallocate()
  }

  /// Whether a rebuilt table keeps a slot. The newest entry is the one being inserted: a slot that has
  /// its place is a leftover of a rollback.
  private func isKept(_ slot: Slot, except newest: UInt32) -> Bool {
    !slot.isEmpty && slot.place != newest && isLive(slot.place)
  }
}
