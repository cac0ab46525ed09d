import CRdkafka
public import Chat
import JSON

/// Writes records into a topic and waits until the brokers have them, for the commands of an operator.
public final class TopicWriter {
  private let client: KafkaClient
  private let topic: TopicHandle
  private var failure: KafkaError?
  private var waiting = 0

  /// Connects, and waits until the topic is there.
  public init(_ configuration: KafkaConfiguration, topic name: String, partitions: Int32) throws(KafkaError) {
    client = try KafkaClient(
      RD_KAFKA_PRODUCER, configuration, defaults: [("linger.ms", "5")],
      own: [("acks", "all"), ("enable.idempotence", "true")], events: RD_KAFKA_EVENT_DR)
    topic = try TopicHandle(client, name)
    try client.waitFor(topic, partitions: Int(partitions))
  }

  /// Hands a record over. Waits where there is no room.
  public func write(
    _ partition: Int32, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer
  ) throws(KafkaError) {
    let deadline = Clock.milliseconds() + 3 * Int64(KafkaConfiguration.waitMilliseconds)
    while rd_kafka_produce(
      topic.handle, partition, Int32(RD_KAFKA_MSG_F_COPY),
      UnsafeMutableRawPointer(mutating: value.baseAddress),
      value.count, key.baseAddress, key.count, nil) != 0
    {
      let cause = rd_kafka_last_error()
      guard cause == RD_KAFKA_RESP_ERR__QUEUE_FULL, Clock.milliseconds() < deadline else {
        throw client.error(cause, "writing to \(topic.name)")
      }
      poll(100)
    }
    waiting += 1
    poll(0)
    if let failure { throw failure }
  }

  public func write(_ row: StateRow, partition: Int32) throws(KafkaError) {
    var key = ByteBuffer()
    var value = ByteBuffer()
    StateCodec.encodeKey(row, into: &key)
    _ = StateCodec.encodeValue(row, into: &value)
    try write(partition, key: key.bytes, value: value.bytes)
  }

  /// Waits until all of it is acknowledged by all in-sync brokers.
  public func flush() throws(KafkaError) {
    let deadline = Clock.milliseconds() + 6 * Int64(KafkaConfiguration.waitMilliseconds)
    while waiting > 0, failure == nil {
      guard Clock.milliseconds() < deadline else {
        throw KafkaError(.unavailable, "the brokers do not take what is written to \(topic.name)")
      }
      poll(100)
    }
    if let failure { throw failure }
  }

  private func poll(_ milliseconds: Int32) {
    guard let event = rd_kafka_queue_poll(client.mainQueue, milliseconds) else { return }
    defer { rd_kafka_event_destroy(event) }
    guard rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR else {
      client.take(event)
      return
    }
    while let message = rd_kafka_event_message_next(event) {
      waiting -= 1
      if message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR, failure == nil {
        failure = client.error(message.pointee.err, "writing to \(topic.name)")
      }
    }
  }
}
