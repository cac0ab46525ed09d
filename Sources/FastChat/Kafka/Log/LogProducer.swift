import CRdkafka
public import Chat
import JSON

/// Appends records to the log: idempotent, acknowledged by all in-sync brokers, one request in flight a
/// broker, so that a batch forms while the one before it is under way (DESIGN section 6).
///
/// One thread's. It owns no loop: `descriptor` tells when to call `drain`, which is called every second
/// beside that.
public final class LogProducer {
  /// Milliseconds until a record that no broker took is given up.
  public static let timeoutMilliseconds = 30_000
  /// Records and bytes on their way at most; beyond them `append` takes none.
  public static let pendingRecords = 65_536
  public static let pendingKilobytes = 64 << 10
  /// Records that librdkafka is handed at once.
  private static let batchRecords = 1_024

  private let configuration: KafkaConfiguration
  private let topicName: String
  private let generation: Int64
  private let settings: [(String, String)]
  private var line: Line
  private var pending: PendingAppends
  private var values = ByteBuffer(capacity: 64 << 10)
  private let messages: UnsafeMutablePointer<rd_kafka_message_t>
  /// Where in the run each of `messages` ends.
  private let ends: UnsafeMutablePointer<Int>
  private var isLost = false
  private var retired: RetiredHandle?
  /// Records whose place in the log the broker did not tell, to be appended once more as repeats.
  private var again = ByteBuffer(capacity: 1 << 10)
  private var decoder: LogDecoder

  /// What came of records since `reportsTaken`.
  public private(set) var reports: [DeliveryReport] = []
  /// How often librdkafka failed for good and was begun anew.
  public private(set) var restarts = 0
  /// `append` met a failure for good: `drain` is to be called now, though no edge tells so.
  public private(set) var wantsDrain = false
  /// When the last record was acknowledged, a probe too, by the clock of `drain`; nil before the first one.
  public private(set) var acknowledgedAt: Tick?

  /// A handle and what hangs on it, replaced as one.
  fileprivate struct Line {
    let client: KafkaClient
    let topic: TopicHandle
    let queue: EventQueue

    init(_ configuration: KafkaConfiguration, _ settings: [(String, String)], _ name: String)
      throws(KafkaError)
    {
      client = try KafkaClient(
        RD_KAFKA_PRODUCER, configuration, defaults: [("linger.ms", "0")], own: settings,
        events: RD_KAFKA_EVENT_DR)
      topic = try TopicHandle(client, name)
      queue = try EventQueue(client, owning: rd_kafka_queue_get_main(client.handle))
    }
  }

  /// Connects, and waits until the topic is there, at most `KafkaConfiguration.waitMilliseconds`.
  /// - Parameters:
  ///   - pendingRecords: records on their way at most; at most `LogProducer.pendingRecords`.
  ///   - timeoutMilliseconds: until a record is given up.
  public init(
    _ configuration: KafkaConfiguration, topics: TopicNames, generation: Int64, partitions: Int32,
    pendingRecords: Int = LogProducer.pendingRecords,
    timeoutMilliseconds: Int = LogProducer.timeoutMilliseconds
  ) throws(KafkaError) {
    precondition(pendingRecords > 0 && pendingRecords <= Self.pendingRecords)
    self.configuration = configuration
    topicName = topics.log(generation: generation)
    self.generation = generation
    decoder = LogDecoder(partitions: partitions)
    settings = [
      ("enable.idempotence", "true"), ("acks", "all"), ("max.in.flight.requests.per.connection", "1"),
      ("message.timeout.ms", "\(timeoutMilliseconds)"),
      ("queue.buffering.max.messages", "\(pendingRecords)"),
      ("queue.buffering.max.kbytes", "\(Self.pendingKilobytes)"),
    ]
    line = try Line(configuration, settings, topicName)
    pending = PendingAppends(capacity: pendingRecords)
    messages = .allocate(capacity: Self.batchRecords)
    ends = .allocate(capacity: Self.batchRecords)
    try line.client.waitFor(line.topic, partitions: Int(partitions))
  }

  deinit {
    messages.deallocate()
    ends.deallocate()
  }

  /// Becomes readable when there is something to drain. Another one after a restart: ask again when
  /// `restarts` has changed.
  public var descriptor: Int32 { line.queue.descriptor }
  /// Records on their way.
  public var pendingCount: Int { pending.count }
  /// What the connection had to say since the last time.
  public func takeNotices() -> [KafkaNotice] { line.client.takeNotices() }
  /// Forgets the reports, which the caller has read.
  public func reportsTaken() { reports.removeAll(keepingCapacity: true) }

  // MARK: Appending

  /// Hands over a run of encoded appends (`AppendCodec`), in order.
  /// - Parameters:
  ///   - now: by the clock that `drain` is told too.
  ///   - stamp: comes back with each report, for whoever measures.
  /// - Returns: how many bytes of the run were taken. Fewer than all is back-pressure: the rest is handed
  ///   over again when reports have come.
  public func append(
    _ run: UnsafeRawBufferPointer, at now: Tick, stamp: UInt64 = 0
  ) -> Int {
    var taken = 0
    while taken < run.count {
      let (wanted, end) = prepare(run, from: taken, now, stamp)
      guard wanted > 0 else { return taken }
      rd_kafka_produce_batch(
        line.topic.handle, 0, Int32(RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_PARTITION), messages, Int32(wanted))
      let accepted = settle(wanted)
      guard accepted == wanted else { return accepted == 0 ? taken : ends[accepted - 1] }
      taken = end
    }
    return taken
  }

  /// Makes messages of the records from `start` on, as many as there is room for.
  private func prepare(
    _ run: UnsafeRawBufferPointer, from start: Int, _ now: Tick, _ stamp: UInt64
  ) -> (count: Int, end: Int) {
    values.removeAll(keepingAtMost: 4 << 20)
    var count = 0
    var offset = start
    while count < Self.batchRecords, !pending.isFull, let append = AppendCodec.decode(run, at: &offset) {
      let value = values.count
      LogCodec.encode(append, into: &values)
      let place = pending.insert(
        DeliveryReport(
          origin: append.origin, partition: append.partition, time: append.time,
          isFirstSend: append.kind == .message && !append.isRepeat, handedOver: now, stamp: stamp,
          decision: .fail(mayHavePersisted: false)))
      (messages + count).initialize(
        to: rd_kafka_message_t(
          err: RD_KAFKA_RESP_ERR_NO_ERROR, rkt: nil, partition: append.partition, payload: nil,
          len: values.count - value, key: UnsafeMutableRawPointer(mutating: append.chat.baseAddress),
          key_len: append.chat.count, offset: 0, _private: Self.opaque(place)))
      ends[count] = offset
      count += 1
    }
    // The values stand still now.
    var value = UnsafeMutableRawPointer(mutating: values.bytes.baseAddress)
    for i in 0..<count {
      messages[i].payload = value
      value = value.map { $0 + messages[i].len }
    }
    return (count, offset)
  }

  /// Looks what librdkafka said of each message: the number that were taken or refused for good, before the
  /// first one that has to wait.
  private func settle(_ count: Int) -> Int {
    var accepted = count
    for i in 0..<count {
      switch messages[i].err {
      case RD_KAFKA_RESP_ERR_NO_ERROR: continue
      case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        _ = pending.remove(Self.place(messages[i]._private))
        accepted = min(accepted, i)
      default:
        if messages[i].err == RD_KAFKA_RESP_ERR__FATAL {
          isLost = true
          wantsDrain = true
        }
        // Its decision says already that nothing was written.
        if let report = pending.remove(Self.place(messages[i]._private)) { reports.append(report) }
      }
    }
    return accepted
  }

  /// Appends a record that says nothing, so that `acknowledgedAt` tells whether the log takes records.
  /// - Parameter server: who asks.
  public func probe(partition: Int32, server: String, time: WallTime) {
    values.removeAll(keepingAtMost: 4 << 20)
    LogCodec.encodeProbe(server: server, time: time, into: &values)
    // Without a place of its own nothing is reported of it.
    rd_kafka_produce(
      line.topic.handle, partition, Int32(RD_KAFKA_MSG_F_COPY),
      UnsafeMutableRawPointer(mutating: values.bytes.baseAddress), values.count, nil, 0, nil)
  }

  // MARK: Reports

  /// Reads all delivery reports that there are into `reports`. Where librdkafka failed for good, what was
  /// on its way is reported as failed, and it begins anew.
  /// - Throws: where it could not be begun anew; the next call tries again.
  public func drain(at now: Tick) throws(KafkaError) {
    wantsDrain = false
    while let event = line.queue.poll() {
      if rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR {
        while let message = rd_kafka_event_message_next(event) { report(message, now) }
      } else if line.client.take(event) != nil {
        isLost = true
      }
      rd_kafka_event_destroy(event)
    }
    if isLost { try restart() }
    if !again.isEmpty { appendAgain(now) }
  }

  private func report(_ message: UnsafePointer<rd_kafka_message_t>, _ now: Tick) {
    if message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR { acknowledgedAt = now }
    guard var report = pending.remove(Self.place(message.pointee._private)) else { return }
    let answer: DeliveryPolicy.Report
    if message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR {
      answer = .taken(offset: message.pointee.offset >= 0 ? message.pointee.offset : nil)
    } else if rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED {
      answer = .refused
    } else {
      answer = .unknown
    }
    report.decision = DeliveryPolicy.decide(
      answer, isFirstSend: report.isFirstSend, age: now - report.handedOver, generation: generation)
    guard report.decision == .appendAgain else { return reports.append(report) }
    // The message carries all that the record was.
    guard let value = message.pointee.valueBytes,
      var append = decoder.decode(
        key: message.pointee.keyBytes, value: value, partition: message.pointee.partition)
    else {
      report.decision = .fail(mayHavePersisted: true)
      return reports.append(report)
    }
    append.isRepeat = true
    AppendCodec.encode(append, into: &again)
  }

  private func appendAgain(_ now: Tick) {
    let taken = append(again.bytes, at: now)
    again.removeFirst(taken)
  }

  /// An idempotent producer whose numbers the broker does not know any more takes nothing for ever.
  private func restart() throws(KafkaError) {
    for place in 0..<pending.span {
      guard var report = pending.remove(place) else { continue }
      report.decision = .fail(mayHavePersisted: true)
      reports.append(report)
    }
    // Nothing of what was told as failed may still be sent.
    rd_kafka_purge(
      line.client.handle,
      Int32(RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING))
    let successor = try Line(configuration, settings, topicName)
    retired = RetiredHandle(line)
    line = successor
    isLost = false
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

  /// A place as librdkafka carries it: never a null pointer.
  private static func opaque(_ place: Int) -> UnsafeMutableRawPointer? {
    UnsafeMutableRawPointer(bitPattern: place + 1)
  }
  private static func place(_ opaque: UnsafeMutableRawPointer?) -> Int { Int(bitPattern: opaque) - 1 }
}

/// A handle that failed for good. To let it go waits for librdkafka's threads.
public final class RetiredHandle: @unchecked Sendable {
  private let line: LogProducer.Line

  fileprivate init(_ line: LogProducer.Line) { self.line = line }
}
