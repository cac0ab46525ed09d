import CRdkafka
import Chat
import JSON
import Synchronization

/// Records on their way to the log, and what becomes of each: told once, on the thread that learns it. That is a
/// thread of librdkafka's for what the brokers took, whoever appends for what is refused at once, and whoever
/// drains the producer for all else.
final class AppendsUnderWay: @unchecked Sendable {
  private let generation: Int64
  private let tell: @Sendable (DeliveryReport) -> Void
  private let lock = Mutex(())
  // Guarded by the lock.
  private var slots: Slots
  private var decoder: LogDecoder
  private var handle = 0
  /// Records whose place in the log the broker did not tell, to be appended once more as repeats.
  private var again = ByteBuffer(capacity: 1 << 10)

  private let untold = Atomic<Int>(0)
  private let answeredAt = Atomic<Tick>(.min)

  /// - Parameter tell: called for each record, from several threads. It neither waits nor calls the producer.
  init(
    capacity: Int, generation: Int64, partitions: Int32, tell: @escaping @Sendable (DeliveryReport) -> Void
  ) {
    slots = Slots(capacity: capacity)
    decoder = LogDecoder(partitions: partitions)
    self.generation = generation
    self.tell = tell
  }

  /// Records that nothing was told of yet.
  var count: Int { untold.load(ordering: .acquiring) }
  /// When the last one was acknowledged, a probe too.
  var acknowledgedAt: Tick? {
    let tick = answeredAt.load(ordering: .relaxed)
    return tick == .min ? nil : tick
  }

  // MARK: From whoever appends

  /// A place, as librdkafka carries it, for a record that is about to be handed over; nil where there is none.
  func insert(_ report: DeliveryReport) -> UnsafeMutableRawPointer? {
    untold.wrappingAdd(1, ordering: .relaxed)
    if let place = lock.withLock({ _ in slots.insert(report) }) { return Self.opaque(place) }
    untold.wrappingSubtract(1, ordering: .relaxed)
    return nil
  }

  /// It was not handed over, and is not to be told of.
  func takeBack(_ opaque: UnsafeMutableRawPointer?) {
    if take(opaque) != nil { untold.wrappingSubtract(1, ordering: .releasing) }
  }

  /// librdkafka does not take it, now or later.
  func refused(_ opaque: UnsafeMutableRawPointer?) { end(take(opaque), as: .fail(mayHavePersisted: false)) }

  // MARK: From librdkafka

  /// The hook for a new handle, whose records alone are told of from now on.
  func attach() -> DeliveryHook {
    let number = lock.withLock { _ in
      handle += 1
      return handle
    }
    return DeliveryHook { [self] in taken($0, by: number) }
  }

  /// The brokers took it.
  private func taken(_ message: UnsafePointer<rd_kafka_message_t>, by number: Int) {
    let now = Clock.tick()
    answeredAt.store(now, ordering: .relaxed)
    let offset = message.pointee.offset
    let ended = lock.withLock { _ -> (DeliveryReport, DeliveryPolicy.Decision)? in
      guard number == handle, let report = slots.remove(Self.place(message.pointee._private)) else {
        return nil
      }
      let decision = decide(.taken(offset: offset >= 0 ? offset : nil), report, now)
      guard decision == .appendAgain else { return (report, decision) }
      guard keep(message) else { return (report, .fail(mayHavePersisted: true)) }
      untold.wrappingSubtract(1, ordering: .releasing)
      return nil
    }
    if let (report, decision) = ended { end(report, as: decision) }
  }

  /// A delivery report: the brokers did not take it.
  func failed(_ message: UnsafePointer<rd_kafka_message_t>) {
    guard let report = take(message.pointee._private) else { return }
    let isCertain = rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED
    end(report, as: decide(isCertain ? .refused : .unknown, report, Clock.tick()))
  }

  /// The handle is given up with all that is under way on it.
  func failAll() {
    let reports = lock.withLock { _ in
      handle += 1
      return (0..<slots.span).compactMap { slots.remove($0) }
    }
    for report in reports { end(report, as: .fail(mayHavePersisted: true)) }
  }

  // MARK: To be appended again

  var hasAgain: Bool { lock.withLock { _ in !again.isEmpty } }

  /// Puts what is to be appended again behind `run`.
  func takeAgain(into run: inout ByteBuffer) {
    lock.withLock { _ in
      run.append(again.bytes)
      again.removeAll(keepingAtMost: 64 << 10)
    }
  }

  /// The message carries all that the record was.
  private func keep(_ message: UnsafePointer<rd_kafka_message_t>) -> Bool {
    guard let value = message.pointee.valueBytes,
      var append = decoder.decode(
        key: message.pointee.keyBytes, value: value, partition: message.pointee.partition)
    else { return false }
    append.isRepeat = true
    AppendCodec.encode(append, into: &again)
    return true
  }

  // MARK: Reports

  private func decide(
    _ answer: DeliveryPolicy.Report, _ report: DeliveryReport, _ now: Tick
  ) -> DeliveryPolicy.Decision {
    DeliveryPolicy.decide(
      answer, isFirstSend: report.isFirstSend, age: now - report.handedOver, generation: generation)
  }

  private func take(_ opaque: UnsafeMutableRawPointer?) -> DeliveryReport? {
    lock.withLock { _ in slots.remove(Self.place(opaque)) }
  }

  /// It counts as under way until it was told.
  private func end(_ report: DeliveryReport?, as decision: DeliveryPolicy.Decision) {
    guard var report else { return }
    report.decision = decision
    tell(report)
    untold.wrappingSubtract(1, ordering: .releasing)
  }

  /// A place as librdkafka carries it: never a null pointer, which is a record that nobody waits for.
  private static func opaque(_ place: Int) -> UnsafeMutableRawPointer? {
    UnsafeMutableRawPointer(bitPattern: place + 1)
  }
  private static func place(_ opaque: UnsafeMutableRawPointer?) -> Int { Int(bitPattern: opaque) - 1 }
}

/// What the reports of records on their way need, in slots that are used again.
private struct Slots: ~Copyable {
  private let slots: UnsafeMutablePointer<Slot>
  private var firstFree: Int32 = -1
  private var used: Int32 = 0
  private let capacity: Int
  private var count = 0

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

  /// Keeps what a report needs. Nil where it is full.
  mutating func insert(_ report: DeliveryReport) -> Int? {
    guard count < capacity else { return nil }
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
