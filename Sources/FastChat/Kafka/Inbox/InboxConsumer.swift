import CRdkafka
public import Chat

/// What came of reading an inbox.
public enum InboxFetch {
  /// A record, to be read before the next drain.
  case record(InboxReader)
  /// The inbox was cut short: batches may be missing (a doubt of all shards).
  case outOfRange
  /// The reading goes on by itself when the brokers do.
  case failed(KafkaError)
}

/// Reads the inbox of one server in one epoch, from its beginning.
///
/// One thread's. `descriptor` tells when to call `drain`, which is called every second beside that.
public final class InboxConsumer {
  /// Bytes that a broker is asked for at once. Where the first batch of records is larger it comes alone, and
  /// is no larger than a producer makes them (1 MB), so that this is what one record may hold back.
  static let fetchBytes = 1 << 20

  private let fetcher: Fetcher
  private let pins: any Pinning
  private let topics: TopicNames
  private let partitions: Int32
  private var topic: TopicHandle?
  /// The inbox that was read last, or is being read.
  private var last: ServerEpoch?

  /// Connects; waits for nobody.
  /// - Parameters:
  ///   - partitions: of the log, which batches are of.
  ///   - pins: bounds what batches hold back that stay where they were fetched. At the bound they are copied.
  public init(
    _ configuration: KafkaConfiguration, topics: TopicNames, partitions: Int32, pins: any Pinning
  ) throws(KafkaError) {
    self.topics = topics
    self.partitions = partitions
    self.pins = pins
    fetcher = try Fetcher(configuration, own: [("fetch.message.max.bytes", "\(Self.fetchBytes)")])
  }

  /// Becomes readable when there is something to drain.
  public var descriptor: Int32 { fetcher.descriptor }
  /// What the connection had to say since the last time.
  public func takeNotices() -> [KafkaNotice] { fetcher.client.takeNotices() }

  /// Reads this inbox from its beginning, and no other one any more. What was fetched of another one and not
  /// read is gone.
  ///
  /// The first time that is its first record, so that one that was cut off is told; later the oldest that is
  /// left, since whoever reads again knows that batches are missing.
  public func read(_ server: ServerEpoch) throws(KafkaError) {
    stop()
    fetcher.client.partitionErrors.missesTopic = false
    let topic = try TopicHandle(fetcher.client, topics.inbox(server))
    self.topic = topic
    let beginning = server == last ? Int64(RD_KAFKA_OFFSET_BEGINNING) : 0
    last = server
    try fetcher.read(topic, 0, reading: server.epoch, from: beginning)
  }

  /// Reads no inbox any more.
  public func stop() {
    fetcher.release()
    if let topic { fetcher.stop(topic, 0) }
    topic = nil
  }

  /// Fetches what has come; what was fetched before is given back.
  /// - Returns: whether there may be more, for which no other edge comes.
  public func drain() -> Bool { fetcher.drain() }

  /// Whether the inbox itself is gone, as far as `drain` has seen: nothing comes of it any more, and what was
  /// sent is lost (a doubt of all shards).
  public var isGone: Bool { fetcher.client.partitionErrors.missesTopic }

  /// How much was fetched.
  public var count: Int { fetcher.count }

  /// Fetched thing `i`; to be asked for once, since large batches of a record take it with them.
  public func fetched(_ i: Int) -> InboxFetch {
    let message = fetcher.message(i)
    switch message.pointee.err {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      let record = message.pointee.valueBytes ?? UnsafeRawBufferPointer(start: nil, count: 0)
      return .record(
        InboxReader(record, partitions: partitions) { [fetcher, pins] in
          // Others may have been fetched with it, and be kept too: each counts the whole.
          pins.pin(bytes: max(Self.fetchBytes, record.count), holding: nil).map { fetcher.keep(i, pin: $0) }
        })
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: return .outOfRange
    default:
      return .failed(fetcher.client.error(message.pointee.err, "the inbox \(topic?.name ?? "")"))
    }
  }
}
