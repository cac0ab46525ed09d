import CRdkafka
public import Chat

/// What came of reading a partition of the state topic.
public enum StateFetch {
  case row(StateRow)
  /// A record that is none of ours.
  case foreign
  /// All committed rows below the end that was named are read. Nothing comes after it in this reading.
  case ended
  /// The reading goes on by itself when the brokers do.
  case failed(KafkaError)
}

/// Reads the committed rows of the state topic up to an end that was asked for before.
///
/// That end is asked uncommitted (`Watermarks.stateEnd`), after the committed position: what a transaction of
/// a router that died holds back is waited for, where the end of what is committed would pass it by (DESIGN
/// section 6). One thread's. `descriptor` tells when to call `drain`.
public final class StateReader {
  private let fetcher: Fetcher
  private let topic: TopicHandle
  /// Where each partition's reading ends, and whether it has.
  private var ends: [Int32: (offset: Int64, isDone: Bool)] = [:]

  /// Connects, and waits until the topic is there, at most `KafkaConfiguration.waitMilliseconds`.
  public init(_ configuration: KafkaConfiguration, topics: TopicNames, partitions: Int32) throws(KafkaError) {
    fetcher = try Fetcher(
      configuration, own: [("isolation.level", "read_committed"), ("enable.partition.eof", "true")])
    topic = try TopicHandle(fetcher.client, topics.state)
    try fetcher.client.waitFor(topic, partitions: Int(partitions))
  }

  /// Becomes readable when there is something to drain.
  public var descriptor: Int32 { fetcher.descriptor }
  /// What the connection had to say since the last time.
  public func takeNotices() -> [KafkaNotice] { fetcher.client.takeNotices() }

  /// Reads a partition from its beginning up to `end`, an offset; `ended` comes behind the last row.
  public func read(partition: Int32, reading: UInt64, upto end: Int64) throws(KafkaError) {
    ends[partition] = (end, false)
    try fetcher.read(topic, partition, reading: reading, from: Int64(RD_KAFKA_OFFSET_BEGINNING))
  }

  /// Ends the reading of a partition.
  public func stop(partition: Int32) {
    ends[partition] = nil
    fetcher.stop(topic, partition)
  }

  /// Hands over nothing of a partition until `resume`.
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

  /// Fetched thing `i`; nil where it says nothing (an end that lies below the one that was named, rows behind
  /// it).
  public func fetched(_ i: Int) -> StateFetch? {
    let message = fetcher.message(i).pointee
    guard let end = ends[message.partition], !end.isDone else { return nil }
    switch message.err {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      guard message.offset < end.offset else { return finish(message.partition) }
      guard let row = StateCodec.decode(key: message.keyBytes, value: message.valueBytes) else {
        return .foreign
      }
      return .row(row)
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
      return message.offset >= end.offset ? finish(message.partition) : nil
    default:
      return .failed(fetcher.client.error(message.err, "partition \(message.partition) of \(topic.name)"))
    }
  }

  private func finish(_ partition: Int32) -> StateFetch {
    ends[partition]?.isDone = true
    return .ended
  }
}
