import CRdkafka

/// Partitions with offsets, as librdkafka takes and answers them.
struct PartitionList: ~Copyable {
  let list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>

  init(_ topic: String, _ partitions: some Collection<(partition: Int32, offset: Int64)>) {
    list = rd_kafka_topic_partition_list_new(Int32(partitions.count))
    for (partition, offset) in partitions {
      rd_kafka_topic_partition_list_add(list, topic, partition).pointee.offset = offset
    }
  }

  init(_ topic: String, _ partitions: some Collection<Int32>) {
    self.init(topic, partitions.map { (partition: $0, offset: Int64(RD_KAFKA_OFFSET_INVALID)) })
  }

  deinit { rd_kafka_topic_partition_list_destroy(list) }

  var elements: UnsafeMutableBufferPointer<rd_kafka_topic_partition_t> {
    UnsafeMutableBufferPointer(start: list.pointee.elems, count: Int(list.pointee.cnt))
  }
}
