import CRdkafka

/// A topic as one handle of librdkafka knows it.
final class TopicHandle {
  let handle: OpaquePointer
  let name: String
  let client: KafkaClient

  init(_ client: KafkaClient, _ name: String) throws(KafkaError) {
    self.client = client
    self.name = name
    guard let handle = rd_kafka_topic_new(client.handle, name, nil) else {
      throw client.error(rd_kafka_last_error(), "the Kafka topic \(name)")
    }
    self.handle = handle
  }

  deinit { rd_kafka_topic_destroy(handle) }
}
