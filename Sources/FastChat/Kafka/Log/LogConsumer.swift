import CRdkafka
public import Chat

/// What came of reading a partition of the log.
public enum LogFetch {
  /// A record, valid until the next one is asked for and until the next drain.
  case record(LogRecord)
  /// A record that is not ours stands at this place: passed by, counted. With when the log took it.
  case foreign(Seq, appended: WallTime)
  /// An event of an older generation, with which this one begins: owners that read on pass it by.
  case refilled(RefilledEvent, Seq, appended: WallTime)
  /// Behind the last of these.
  case refillEnded(Seq, appended: WallTime)
  /// The place to begin with is not in the log (any more): nothing comes in this reading.
  case outOfRange
  /// The reading goes on by itself when the brokers do.
  case failed(KafkaError)
}

/// Reads partitions of the log by hand (DESIGN section 6).
///
/// One thread's. `descriptor` tells when to call `drain`, which is called every second beside that.
public final class LogConsumer {
  private let fetcher: Fetcher
  private let topic: TopicHandle
  private let base: Seq
  private var decoder: LogDecoder
  /// Records that were not ours.
  public private(set) var foreignCount = 0

  /// Connects, and waits until the topic is there, at most `KafkaConfiguration.waitMilliseconds`.
  /// - Parameter led: false: partitions that nobody leads are not waited for.
  public init(
    _ configuration: KafkaConfiguration, topics: TopicNames, generation: Int64, partitions: Int32,
    led: Bool = true
  ) throws(KafkaError) {
    fetcher = try Fetcher(configuration)
    topic = try TopicHandle(fetcher.client, topics.log(generation: generation))
    base = SeqSpace.base(generation: generation)
    decoder = LogDecoder(partitions: partitions)
    try fetcher.client.waitFor(topic, partitions: Int(partitions), led: led)
  }

  /// Becomes readable when there is something to drain.
  public var descriptor: Int32 { fetcher.descriptor }
  /// What the connection had to say since the last time.
  public func takeNotices() -> [KafkaNotice] { fetcher.client.takeNotices() }

  /// Begins to read a partition with the first record above `seq`, or with the oldest that is there, and
  /// ends what was read of it before. A place in time is asked of `Watermarks` first.
  /// - Parameter reading: comes back with all that comes of it.
  public func read(partition: Int32, reading: UInt64, after seq: Seq?) throws(KafkaError) {
    let offset = seq.map { max(0, $0 + 1 - base) } ?? Int64(RD_KAFKA_OFFSET_BEGINNING)
    try fetcher.read(topic, partition, reading: reading, from: offset)
  }

  /// Where a partition ends as far as what was fetched of it told; nil before anything was.
  public func knownEnd(partition: Int32) -> Seq? {
    var low: Int64 = 0
    var high: Int64 = 0
    guard
      rd_kafka_get_watermark_offsets(fetcher.client.handle, topic.name, partition, &low, &high)
        == RD_KAFKA_RESP_ERR_NO_ERROR, high >= 0
    else { return nil }
    return base + high - 1
  }

  /// Ends the reading of a partition.
  public func stop(partition: Int32) { fetcher.stop(topic, partition) }
  /// Hands over nothing of a partition until `resume`; a bounded number of records waits in memory.
  public func pause(partition: Int32) { fetcher.hold(topic, partition, true) }
  /// What waits comes with the next drain, which no edge announces.
  public func resume(partition: Int32) { fetcher.hold(topic, partition, false) }

  /// Fetches what has come; what was fetched before is given back.
  /// - Returns: whether there may be more, for which no other edge comes.
  public func drain() -> Bool { fetcher.drain() }

  /// How much was fetched.
  public var count: Int { fetcher.count }

  /// The partition and the reading that fetched thing `i` is of.
  public func source(_ i: Int) -> (partition: Int32, reading: UInt64) {
    (fetcher.message(i).pointee.partition, fetcher.reading(i))
  }

  /// Fetched thing `i`.
  public func fetched(_ i: Int) -> LogFetch {
    let message = fetcher.message(i)
    switch message.pointee.err {
    case RD_KAFKA_RESP_ERR_NO_ERROR: break
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: return .outOfRange
    default:
      return .failed(
        fetcher.client.error(message.pointee.err, "partition \(message.pointee.partition) of \(topic.name)"))
    }
    let seq = base + message.pointee.offset
    let appended = rd_kafka_message_timestamp(message, nil)
    guard let value = message.pointee.valueBytes,
      let append = decoder.decode(
        key: message.pointee.keyBytes, value: value, partition: message.pointee.partition)
    else {
      if let value = message.pointee.valueBytes {
        if let event = RefillCodec.decode(key: message.pointee.keyBytes, value: value) {
          return .refilled(event, seq, appended: appended)
        }
        if RefillCodec.isEnd(value) { return .refillEnded(seq, appended: appended) }
      }
      if message.pointee.valueBytes.map(LogCodec.isProbe) != true { countForeign(message.pointee) }
      return .foreign(seq, appended: appended)
    }
    return .record(LogRecord(seq: seq, appended: appended, append: append))
  }

  /// The first one is told too: somebody may want to know who else writes to the log.
  private func countForeign(_ message: rd_kafka_message_t) {
    foreignCount += 1
    guard foreignCount == 1 else { return }
    fetcher.client.note(
      level: 4,
      "\(topic.name), partition \(message.partition), offset \(message.offset): not a record of FastChat's, and "
        + "passed by; more of them are only counted")
  }

  /// Takes the message of fetched thing `i` out, so that its value outlives the next drain.
  public func keep(_ i: Int) -> KeptMessage { fetcher.keep(i) }
}
