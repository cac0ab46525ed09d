import CRdkafka
public import Chat
import JSON

/// Writes read positions, best effort: what the brokers do not take is counted and not written again.
///
/// It belongs to an `InboxProducer`, whose handle it shares: that one gives up as soon, and
/// never fails for good. One thread's. Its records carry no place.
public final class ReadsProducer {
  /// Positions on their way at most; what is beyond is dropped. The handle's queue has room for the inboxes beside.
  public static let pendingMax = 32_768

  private let topic: TopicHandle
  private var key = ByteBuffer(capacity: 256)
  private var value = ByteBuffer(capacity: 64)
  private let underWay: InboxesUnderWay
  private var sentCount = 0
  private var failedCount = 0
  /// Positions that the brokers did not take, or that were too many.
  public private(set) var droppedCount = 0

  init(_ client: KafkaClient, _ topics: TopicNames, _ underWay: InboxesUnderWay) throws(KafkaError) {
    topic = try TopicHandle(client, topics.reads)
    self.underWay = underWay
  }

  /// Positions that the brokers took.
  public var writtenCount: Int { underWay.readsWritten }
  public var pendingCount: Int { sentCount - failedCount - writtenCount }

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
    sentCount += 1
  }

  private func drop() { droppedCount += 1 }

  /// A delivery report of one of them: the brokers did not take it.
  func failed() {
    failedCount += 1
    drop()
  }
}
