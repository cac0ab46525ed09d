import CRdkafka
import Glibc

/// The log's id, by which clients know whether their cursors are of this log (DESIGN section 6).
///
/// It is the first record of the state topic's partition 0, written by the first server of the cluster before
/// anything else is. Where several begin at once, each may write one: compaction keeps the order of records, and
/// all have keys of their own, so that the first stays the first. None of them is a row (`StateCodec`).
public enum LogIdentity {
  /// Reads the id, or makes `candidate` it where there is none. Waits.
  /// - Parameter candidate: printable ASCII, random.
  public static func establish(
    _ configuration: KafkaConfiguration, topics: TopicNames, partitions: Int32, candidate: String
  ) throws(KafkaError) -> String {
    if let id = try read(configuration, topics: topics, partitions: partitions) { return id }
    try write(candidate, configuration, topics)
    guard let id = try read(configuration, topics: topics, partitions: partitions) else {
      throw KafkaError(.unavailable, "the log's id was written to \(topics.state) and is not there")
    }
    return id
  }

  /// Reads the id; nil where nobody wrote one. Waits.
  public static func read(
    _ configuration: KafkaConfiguration, topics: TopicNames, partitions: Int32
  ) throws(KafkaError) -> String? {
    let fetcher = try Fetcher(
      configuration, own: [("isolation.level", "read_committed"), ("enable.partition.eof", "true")])
    let topic = try TopicHandle(fetcher.client, topics.state)
    try fetcher.client.waitFor(topic, partitions: Int(partitions))
    return try first(fetcher, topic)
  }

  private static let keyHead = "\n@"

  /// The first record's id; nil where the topic is empty.
  private static func first(_ fetcher: Fetcher, _ topic: TopicHandle) throws(KafkaError) -> String? {
    try fetcher.read(topic, 0, reading: 1, from: Int64(RD_KAFKA_OFFSET_BEGINNING))
    defer {
      fetcher.release()
      fetcher.stop(topic, 0)
    }
    let deadline = Clock.milliseconds() + Int64(KafkaConfiguration.waitMilliseconds)
    while Clock.milliseconds() < deadline {
      _ = fetcher.drain()
      guard fetcher.count > 0 else {
        usleep(5_000)
        continue
      }
      let message = fetcher.message(0).pointee
      switch message.err {
      case RD_KAFKA_RESP_ERR__PARTITION_EOF: return nil
      case RD_KAFKA_RESP_ERR_NO_ERROR:
        let key = String(decoding: message.keyBytes, as: UTF8.self)
        guard key.hasPrefix(keyHead) else {
          throw KafkaError(
            .wrongTopic,
            "the Kafka topic \(topic.name) does not begin with the log's id: it is not FastChat's")
        }
        return String(key.dropFirst(keyHead.count))
      default: continue
      }
    }
    throw KafkaError(.unreachable, "no broker told the first record of the Kafka topic \(topic.name)")
  }

  private static func write(_ id: String, _ configuration: KafkaConfiguration, _ topics: TopicNames)
    throws(KafkaError)
  {
    let client = try KafkaClient(
      RD_KAFKA_PRODUCER, configuration, own: [("acks", "all"), ("enable.idempotence", "true")])
    let topic = try TopicHandle(client, topics.state)
    var key = keyHead + id
    var value = "{\"log\":\"\(id)\"}"
    let failure = key.withUTF8 { key in
      value.withUTF8 { value in
        rd_kafka_produce(
          topic.handle, 0, Int32(RD_KAFKA_MSG_F_COPY), UnsafeMutableRawPointer(mutating: value.baseAddress),
          value.count, key.baseAddress, key.count, nil)
      }
    }
    guard failure == 0 else { throw client.error(rd_kafka_last_error(), "writing the log's id") }
    let cause = rd_kafka_flush(client.handle, KafkaConfiguration.waitMilliseconds)
    guard cause == RD_KAFKA_RESP_ERR_NO_ERROR else { throw client.error(cause, "writing the log's id") }
  }
}
