import CRdkafka
import Glibc
import Kafka
import Support

/// A producer that knows nothing of FastChat.
struct RawProducer {
  private let handle: OpaquePointer

  init(_ configuration: KafkaConfiguration) throws {
    let conf = rd_kafka_conf_new()
    rd_kafka_conf_set(conf, "bootstrap.servers", configuration.brokers, nil, 0)
    guard let handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, nil, 0) else { throw TestFailure("no producer") }
    self.handle = handle
  }

  /// Writes one record to partition 0 and waits until it stands there.
  func produce(to topic: String, key: String, value: String) throws {
    guard let place = rd_kafka_topic_new(handle, topic, nil) else { throw TestFailure("no topic \(topic)") }
    defer {
      rd_kafka_topic_destroy(place)
      rd_kafka_destroy(handle)
    }
    var value = Array(value.utf8)
    let key = Array(key.utf8)
    guard
      rd_kafka_produce(place, 0, Int32(RD_KAFKA_MSG_F_COPY), &value, value.count, key, key.count, nil) == 0,
      rd_kafka_flush(handle, 20_000) == RD_KAFKA_RESP_ERR_NO_ERROR
    else { throw TestFailure("nothing was written to \(topic)") }
  }

  /// Deletes the records below an offset of partition 0, as retention does.
  func deleteRecords(of topic: String, below offset: Int64) throws {
    defer { rd_kafka_destroy(handle) }
    let list = rd_kafka_topic_partition_list_new(1)
    rd_kafka_topic_partition_list_add(list, topic, 0).pointee.offset = offset
    var request = rd_kafka_DeleteRecords_new(list)
    rd_kafka_topic_partition_list_destroy(list)
    let queue = rd_kafka_queue_new(handle)
    rd_kafka_DeleteRecords(handle, &request, 1, nil, queue)
    let answer = rd_kafka_queue_poll(queue, 20_000)
    let cause = rd_kafka_event_error(answer)
    rd_kafka_event_destroy(answer)
    rd_kafka_queue_destroy(queue)
    rd_kafka_DeleteRecords_destroy(request)
    guard cause == RD_KAFKA_RESP_ERR_NO_ERROR else {
      throw TestFailure("records of \(topic) were not deleted")
    }
  }
}
