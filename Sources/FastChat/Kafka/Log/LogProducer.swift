import CRdkafka
public import Chat
import JSON
import Synchronization

/// Appends records to the log: idempotent, acknowledged by all in-sync brokers, one request in flight a
/// broker, so that a batch forms while the one before it is under way (DESIGN section 6).
///
/// Any thread appends: librdkafka puts all that waits for a partition into one request, whoever it came from. What
/// becomes of a record is told on the thread that learns it. All else is one thread's, whose loop it does not own:
/// `descriptor` tells when to call `drain`, which is called every second beside that.
public final class LogProducer: @unchecked Sendable {
  /// Milliseconds until a record that no broker took is given up.
  public static let timeoutMilliseconds = 30_000
  /// Records and bytes on their way at most; beyond them `append` takes none.
  public static let pendingRecords = 65_536
  public static let pendingKilobytes = 64 << 10
  /// Milliseconds between two tries to begin anew.
  private static let restartMilliseconds: Tick = 1_000
  /// Records that librdkafka is handed at once.
  private static let batchRecords = 1_024

  private let configuration: KafkaConfiguration
  private let topicName: String
  private let settings: [(String, String)]
  private let underWay: AppendsUnderWay
  private let lock = Mutex(())
  // Guarded by the lock. The thread that drains is the only one that replaces `line`, and reads it without.
  private var line: Line
  private var values = ByteBuffer(capacity: 64 << 10)
  private let messages: UnsafeMutablePointer<rd_kafka_message_t>
  /// Where in the run each of `messages` ends.
  private let ends: UnsafeMutablePointer<Int>
  private let isLost = Atomic<Bool>(false)

  // Of the thread that drains.
  private var retired: RetiredHandle?
  /// What is appended once more, and was not yet.
  private var again = ByteBuffer()
  /// When it may be begun anew.
  private var restartAt: Tick = .min
  /// How often librdkafka failed for good and was begun anew.
  public private(set) var restarts = 0

  /// A handle and what hangs on it, replaced as one.
  fileprivate struct Line {
    let client: KafkaClient
    let topic: TopicHandle
    let queue: EventQueue

    init(
      _ configuration: KafkaConfiguration, _ settings: [(String, String)], _ name: String,
      _ hook: DeliveryHook
    ) throws(KafkaError) {
      client = try KafkaClient(
        RD_KAFKA_PRODUCER, configuration, defaults: [("linger.ms", "0")], own: settings,
        events: RD_KAFKA_EVENT_DR, hook: hook)
      topic = try TopicHandle(client, name)
      queue = try EventQueue(client, owning: rd_kafka_queue_get_main(client.handle))
    }
  }

  /// Connects, and waits until the topic is there, at most `KafkaConfiguration.waitMilliseconds`.
  /// - Parameters:
  ///   - pendingRecords: records on their way at most; at most `LogProducer.pendingRecords`.
  ///   - timeoutMilliseconds: until a record is given up.
  ///   - report: what became of a record, for each once, from several threads, those of librdkafka among them: it
  ///     neither waits nor calls the producer.
  public init(
    _ configuration: KafkaConfiguration, topics: TopicNames, generation: Int64, partitions: Int32,
    pendingRecords: Int = LogProducer.pendingRecords,
    timeoutMilliseconds: Int = LogProducer.timeoutMilliseconds,
    report: @escaping @Sendable (DeliveryReport) -> Void
  ) throws(KafkaError) {
    precondition(pendingRecords > 0 && pendingRecords <= Self.pendingRecords)
    self.configuration = configuration
    topicName = topics.log(generation: generation)
    settings = [
      ("enable.idempotence", "true"), ("acks", "all"), ("max.in.flight.requests.per.connection", "1"),
      ("message.timeout.ms", "\(timeoutMilliseconds)"),
      ("queue.buffering.max.messages", "\(pendingRecords)"),
      ("queue.buffering.max.kbytes", "\(Self.pendingKilobytes)"),
    ]
    underWay = AppendsUnderWay(
      capacity: pendingRecords, generation: generation, partitions: partitions, tell: report)
    line = try Line(configuration, settings, topicName, underWay.attach())
    messages = .allocate(capacity: Self.batchRecords)
    ends = .allocate(capacity: Self.batchRecords)
    try line.client.waitFor(line.topic, partitions: Int(partitions))
  }

  deinit {
    messages.deallocate()
    ends.deallocate()
  }

  /// Records on their way: what became of them was not told yet.
  public var pendingCount: Int { underWay.count }
  /// When the last record was acknowledged, a probe too, as the loops' ticks; nil before the first one.
  public var acknowledgedAt: Tick? { underWay.acknowledgedAt }
  /// `drain` is to be called soon, though the descriptor does not tell so: a failure for good, or something to be
  /// appended again. To be asked by the thread that drains.
  public var wantsDrain: Bool { mayRestart || !again.isEmpty || underWay.hasAgain }
  private var mayRestart: Bool { isLost.load(ordering: .relaxed) && Clock.tick() >= restartAt }

  // MARK: Appending

  /// Hands over a run of encoded appends (`AppendCodec`), in order.
  /// - Parameter stamp: comes back with each report, for whoever measures.
  /// - Returns: how many bytes of the run were taken. Fewer than all is back-pressure: the rest is handed
  ///   over again later.
  public func append(_ run: UnsafeRawBufferPointer, stamp: UInt64 = 0) -> Int {
    let now = Clock.tick()
    return lock.withLock { _ in
      var taken = 0
      while taken < run.count {
        let (wanted, end) = prepare(run, from: taken, now, stamp)
        guard wanted > 0 else { return taken }
        rd_kafka_produce_batch(
          line.topic.handle, 0, Int32(RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_PARTITION), messages, Int32(wanted)
        )
        let accepted = settle(wanted)
        guard accepted == wanted else { return accepted == 0 ? taken : ends[accepted - 1] }
        taken = end
      }
      return taken
    }
  }

  /// Makes messages of the records from `start` on, as many as there is room for.
  private func prepare(
    _ run: UnsafeRawBufferPointer, from start: Int, _ now: Tick, _ stamp: UInt64
  ) -> (count: Int, end: Int) {
    values.removeAll(keepingAtMost: 4 << 20)
    var count = 0
    var end = start
    var offset = start
    while count < Self.batchRecords, let append = AppendCodec.decode(run, at: &offset) {
      let report = DeliveryReport(
        origin: append.origin, partition: append.partition, time: append.time,
        isFirstSend: append.kind == .message && !append.isRepeat, handedOver: now, stamp: stamp,
        decision: .fail(mayHavePersisted: false))
      guard let place = underWay.insert(report) else { break }
      let value = values.count
      LogCodec.encode(append, into: &values)
      (messages + count).initialize(
        to: rd_kafka_message_t(
          err: RD_KAFKA_RESP_ERR_NO_ERROR, rkt: nil, partition: append.partition, payload: nil,
          len: values.count - value, key: UnsafeMutableRawPointer(mutating: append.chat.baseAddress),
          key_len: append.chat.count, offset: 0, _private: place))
      end = offset
      ends[count] = end
      count += 1
    }
    // The values stand still now.
    var value = UnsafeMutableRawPointer(mutating: values.bytes.baseAddress)
    for i in 0..<count {
      messages[i].payload = value
      value = value.map { $0 + messages[i].len }
    }
    return (count, end)
  }

  /// Looks what librdkafka said of each message: the number that were taken or refused for good, before the
  /// first one that has to wait.
  private func settle(_ count: Int) -> Int {
    var accepted = count
    for i in 0..<count {
      switch messages[i].err {
      case RD_KAFKA_RESP_ERR_NO_ERROR: continue
      case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        underWay.takeBack(messages[i]._private)
        accepted = min(accepted, i)
      default:
        if messages[i].err == RD_KAFKA_RESP_ERR__FATAL { isLost.store(true, ordering: .relaxed) }
        underWay.refused(messages[i]._private)
      }
    }
    return accepted
  }

  /// Appends a record that says nothing, so that `acknowledgedAt` tells whether the log takes records.
  /// - Parameter server: who asks.
  public func probe(partition: Int32, server: String, time: WallTime) {
    lock.withLock { _ in
      values.removeAll(keepingAtMost: 4 << 20)
      LogCodec.encodeProbe(server: server, time: time, into: &values)
      // Without a place of its own nothing is told of it.
      rd_kafka_produce(
        line.topic.handle, partition, Int32(RD_KAFKA_MSG_F_COPY),
        UnsafeMutableRawPointer(mutating: values.bytes.baseAddress), values.count, nil, 0, nil)
    }
  }

  // MARK: From the thread that drains

  /// Becomes readable when there is something to drain. Another one after a restart: ask again when
  /// `restarts` has changed.
  public var descriptor: Int32 { line.queue.descriptor }
  /// What the connection had to say since the last time.
  public func takeNotices() -> [KafkaNotice] { line.client.takeNotices() }

  /// Takes in what failed, and appends again what has to be. Where librdkafka failed for good, what was on its way
  /// is reported as failed, and it begins anew.
  /// - Throws: where it could not be begun anew; the next call tries again.
  public func drain() throws(KafkaError) {
    while let event = line.queue.poll() {
      if rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR {
        while let message = rd_kafka_event_message_next(event) { underWay.failed(message) }
      } else if line.client.take(event) != nil {
        isLost.store(true, ordering: .relaxed)
      }
      rd_kafka_event_destroy(event)
    }
    if mayRestart { try restart() }
    underWay.takeAgain(into: &again)
    if !again.isEmpty { again.removeFirst(append(again.bytes)) }
  }

  /// An idempotent producer whose numbers the broker does not know any more takes nothing for ever.
  private func restart() throws(KafkaError) {
    restartAt = Clock.tick() + Self.restartMilliseconds
    // Nothing of what is told as failed may still be sent. It takes nothing new meanwhile.
    lock.withLock { _ in
      underWay.failAll()
      rd_kafka_purge(
        line.client.handle,
        Int32(RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING))
    }
    // Nobody who appends waits for its threads.
    let successor = try Line(configuration, settings, topicName, underWay.attach())
    retired = RetiredHandle(line)
    lock.withLock { _ in
      line = successor
      isLost.store(false, ordering: .relaxed)
    }
    restartAt = .min
    restarts += 1
  }

  /// What the last restart replaced, once. Its descriptor is open until it goes: whoever watches it unwatches it
  /// first. It is let go on a thread that may wait.
  public func takeRetired() -> RetiredHandle? {
    defer { retired = nil }
    return retired
  }

  /// Fails as librdkafka would where a broker lost its state; for tests of what happens then.
  func failForTest() {
    rd_kafka_test_fatal_error(line.client.handle, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "a test")
  }
}

/// A handle that failed for good. To let it go waits for librdkafka's threads.
public final class RetiredHandle: @unchecked Sendable {
  private let line: LogProducer.Line

  fileprivate init(_ line: LogProducer.Line) { self.line = line }
}
