import CRdkafka
public import Chat

/// The topics that keep the last row of each key. Each has the partitions of the log.
public enum CompactedTopic: Sendable {
  case state, reads
}

/// What came of reading a partition of such a topic.
public enum StateFetch {
  /// Of the state topic.
  case row(StateRow)
  /// Of the reads topic.
  case position(ReadMark)
  /// A record that is none of ours.
  case foreign
  /// All rows below the end that was named are read. Nothing comes after it in this reading.
  case ended
  /// The reading goes on by itself when the brokers do.
  case failed(KafkaError)
}

/// Reads the committed rows of the state topic, or of the reads topic, up to an end that was asked for before.
///
/// That end is asked uncommitted (`Watermarks.stateEnd`), after the committed position: what a transaction of
/// a router that died holds back is waited for, where the end of what is committed would pass it by (DESIGN
/// section 6). Read positions are written without transactions. One thread's. `descriptor` tells when to call `drain`.
public final class StateReader {
  private let fetcher: Fetcher
  private let state: TopicHandle
  private let reads: TopicHandle
  /// Where each partition's reading ends, and whether it has.
  private var ends: [Line: End] = [:]

  private struct Line: Hashable {
    let topic: CompactedTopic
    let partition: Int32
  }

  private struct End {
    let offset: Int64
    var isDone = false
  }

  /// Connects, and waits until the state topic is there, at most `KafkaConfiguration.waitMilliseconds`.
  public init(_ configuration: KafkaConfiguration, topics: TopicNames, partitions: Int32) throws(KafkaError) {
    fetcher = try Fetcher(
      configuration, own: [("isolation.level", "read_committed"), ("enable.partition.eof", "true")])
    state = try TopicHandle(fetcher.client, topics.state)
    reads = try TopicHandle(fetcher.client, topics.reads)
    try fetcher.client.waitFor(state, partitions: Int(partitions))
  }

  /// Becomes readable when there is something to drain.
  public var descriptor: Int32 { fetcher.descriptor }
  /// What the connection had to say since the last time.
  public func takeNotices() -> [KafkaNotice] { fetcher.client.takeNotices() }

  private func handle(_ topic: CompactedTopic) -> TopicHandle { topic == .state ? state : reads }

  /// Reads a partition from its beginning up to `end`, an offset; `ended` comes behind the last row.
  public func read(_ topic: CompactedTopic, partition: Int32, reading: UInt64, upto end: Int64)
    throws(KafkaError)
  {
    ends[Line(topic: topic, partition: partition)] = End(offset: end)
    try fetcher.read(handle(topic), partition, reading: reading, from: Int64(RD_KAFKA_OFFSET_BEGINNING))
  }

  /// Ends the reading of a partition.
  public func stop(_ topic: CompactedTopic, partition: Int32) {
    ends[Line(topic: topic, partition: partition)] = nil
    fetcher.stop(handle(topic), partition)
  }

  /// Hands over nothing of a partition until `resume`.
  public func pause(_ topic: CompactedTopic, partition: Int32) {
    fetcher.hold(handle(topic), partition, true)
  }

  /// What waits comes with the next drain, which no edge announces.
  public func resume(_ topic: CompactedTopic, partition: Int32) {
    fetcher.hold(handle(topic), partition, false)
  }

  /// Fetches what has come; what was fetched before is given back.
  /// - Returns: whether there may be more, for which no other edge comes.
  public func drain() -> Bool { fetcher.drain() }

  /// How much was fetched.
  public var count: Int { fetcher.count }

  /// The topic, the partition and the reading that fetched thing `i` is of.
  public func source(_ i: Int) -> (topic: CompactedTopic, partition: Int32, reading: UInt64) {
    let line = line(fetcher.message(i).pointee)
    return (line.topic, line.partition, fetcher.reading(i))
  }

  private func line(_ message: rd_kafka_message_t) -> Line {
    Line(topic: message.rkt == state.handle ? .state : .reads, partition: message.partition)
  }

  /// Fetched thing `i`; nil where it says nothing (an end that lies below the one that was named, rows behind
  /// it).
  public func fetched(_ i: Int) -> StateFetch? {
    let message = fetcher.message(i).pointee
    let line = line(message)
    guard let end = ends[line], !end.isDone else { return nil }
    switch message.err {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      guard message.offset < end.offset else { return finish(line) }
      return row(of: line.topic, message.keyBytes, message.valueBytes) ?? .foreign
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
      return message.offset >= end.offset ? finish(line) : nil
    default:
      return .failed(
        fetcher.client.error(message.err, "partition \(line.partition) of \(handle(line.topic).name)"))
    }
  }

  private func row(
    of topic: CompactedTopic, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer?
  ) -> StateFetch? {
    switch topic {
    case .state: StateCodec.decode(key: key, value: value).map { .row($0) }
    case .reads: ReadsCodec.decode(key: key, value: value).map { .position($0) }
    }
  }

  private func finish(_ line: Line) -> StateFetch {
    ends[line]?.isDone = true
    return .ended
  }
}
