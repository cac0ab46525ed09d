public import Chat

/// What became of a record that was handed to the log.
public struct DeliveryReport: Sendable, Equatable {
  public var origin: Origin
  public var partition: Int32
  /// When the server accepted it.
  public var time: WallTime
  /// A message that is no repeat: only such are answered by their report.
  public var isFirstSend: Bool
  /// When the record was handed over, by the caller's clock.
  public var handedOver: Tick
  /// As it was given with the record.
  public var stamp: UInt64
  /// Never `appendAgain`: the producer does that itself.
  public var decision: DeliveryPolicy.Decision
}

/// Records on their way to the log: what their reports need, in slots that are used again.
struct PendingAppends: ~Copyable {
  private let slots: UnsafeMutablePointer<Slot>
  private var firstFree: Int32 = -1
  private var used: Int32 = 0
  let capacity: Int
  private(set) var count = 0

  private struct Slot {
    var report: DeliveryReport
    /// The next free slot, or `taken`.
    var next: Int32
    static let taken: Int32 = -2
  }

  init(capacity: Int) {
    self.capacity = capacity
    // Pages of slots that were never used are never touched.
    slots = .allocate(capacity: capacity)
  }

  deinit { slots.deallocate() }

  var isFull: Bool { count == capacity }

  /// Keeps what a report needs. Not to be called where it is full.
  mutating func insert(_ report: DeliveryReport) -> Int {
    precondition(!isFull, "more records on their way than there are slots")
    let place: Int32
    if firstFree >= 0 {
      place = firstFree
      firstFree = slots[Int(place)].next
    } else {
      place = used
      used += 1
    }
    (slots + Int(place)).initialize(to: Slot(report: report, next: Slot.taken))
    count += 1
    return Int(place)
  }

  /// Takes it out again; nil where nothing stands there.
  mutating func remove(_ place: Int) -> DeliveryReport? {
    guard place >= 0, place < Int(used), slots[place].next == Slot.taken else { return nil }
    slots[place].next = firstFree
    firstFree = Int32(place)
    count -= 1
    return slots[place].report
  }

  /// Slots that have ever been used.
  var span: Int { Int(used) }
}
