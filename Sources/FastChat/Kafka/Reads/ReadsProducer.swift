import CRdkafka
public import Chat
import JSON

/// Writes read positions, best effort: what the brokers do not take is counted and not written again.
///
/// It belongs to an `InboxProducer`, whose handle and delivery reports it shares: that one gives up as soon, and
/// never fails for good. One thread's.
public final class ReadsProducer {
  /// Positions on their way at most; what is beyond is dropped. The handle's queue has room for the inboxes beside.
  public static let pendingMax = 32_768

  private let topic: TopicHandle
  private var key = ByteBuffer(capacity: 256)
  private var value = ByteBuffer(capacity: 64)
  public private(set) var pendingCount = 0
  /// Positions that the brokers took, and that they did not.
  public private(set) var writtenCount = 0
  public private(set) var droppedCount = 0

  init(_ client: KafkaClient, _ topics: TopicNames) throws(KafkaError) {
    topic = try TopicHandle(client, topics.reads)
  }

  /// Hands a position over, which is copied.
  /// - Parameter partition: the chat's. The topic's key is not the chat, so no partitioner would find it.
  public func send(_ mark: ReadMark, partition: Int32) {
    guard pendingCount < Self.pendingMax else { return drop() }
    key.removeAll()
    value.removeAll()
    ReadsCodec.encodeKey(mark, into: &key)
    ReadsCodec.encodeValue(mark, into: &value)
    guard
      rd_kafka_produce(
        topic.handle, partition, Int32(RD_KAFKA_MSG_F_COPY),
        UnsafeMutableRawPointer(mutating: value.bytes.baseAddress), value.count, key.bytes.baseAddress,
        key.count,
        nil) == 0
    else { return drop() }
    pendingCount += 1
  }

  private func drop() { droppedCount += 1 }

  /// Whether a message is one of these.
  func owns(_ message: borrowing rd_kafka_message_t) -> Bool { message.rkt == topic.handle }

  func report(_ message: borrowing rd_kafka_message_t) {
    pendingCount -= 1
    if message.err == RD_KAFKA_RESP_ERR_NO_ERROR { writtenCount += 1 } else { drop() }
  }
}
