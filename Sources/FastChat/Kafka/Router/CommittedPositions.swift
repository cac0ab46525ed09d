import CRdkafka
public import Chat

/// Asks how far the group of routers has committed, without being a member of it, or says so for a group that has
/// no members.
///
/// Its calls wait for brokers, at most `KafkaConfiguration.waitMilliseconds`.
public final class CommittedPositions {
  private let client: KafkaClient
  private let logTopic: String
  private let base: Seq

  /// Connects; waits for nobody.
  public init(_ configuration: KafkaConfiguration, topics: TopicNames, generation: Int64) throws(KafkaError) {
    client = try KafkaClient(
      RD_KAFKA_CONSUMER, configuration,
      own: [("group.id", topics.routerGroup), ("enable.auto.commit", "false")])
    logTopic = topics.log(generation: generation)
    base = SeqSpace.base(generation: generation)
  }

  /// The seq of the last record that is committed of a partition; nil where nothing ever was.
  public func committed(_ partition: Int32) throws(KafkaError) -> Seq? {
    let list = PartitionList(logTopic, [partition])
    var cause = rd_kafka_committed(client.handle, list.list, KafkaConfiguration.waitMilliseconds)
    let element = list.elements[0]
    if cause == RD_KAFKA_RESP_ERR_NO_ERROR { cause = element.err }
    guard cause == RD_KAFKA_RESP_ERR_NO_ERROR else {
      throw client.error(cause, "asking for the committed position of partition \(partition)")
    }
    return element.offset < 0 ? nil : base + element.offset - 1
  }

  /// Commits for all partitions at once, from 0 on; false where the group has members yet: one that is gone keeps
  /// its place for `RouterGroup.sessionMilliseconds`.
  public func commit(_ positions: [Seq]) throws(KafkaError) -> Bool {
    let list = PartitionList(
      logTopic, positions.indices.map { (partition: Int32($0), offset: positions[$0] + 1 - base) })
    var cause = rd_kafka_commit(client.handle, list.list, 0)
    if cause == RD_KAFKA_RESP_ERR_NO_ERROR {
      cause = list.elements.first { $0.err != RD_KAFKA_RESP_ERR_NO_ERROR }?.err ?? cause
    }
    switch cause {
    case RD_KAFKA_RESP_ERR_NO_ERROR: return true
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
      RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
      return false
    default: throw client.error(cause, "committing positions")
    }
  }
}
