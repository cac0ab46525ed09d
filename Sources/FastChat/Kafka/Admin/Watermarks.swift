import CRdkafka
public import Chat
import Glibc

/// Asks brokers how far topics reach.
///
/// All its calls wait for brokers, each at most `KafkaConfiguration.waitMilliseconds`: they belong on a
/// helper's thread, one at a time.
public final class Watermarks {
  private let client: KafkaClient
  private let names: TopicNames
  private let generation: Int64
  private var base: Seq { SeqSpace.base(generation: generation) }

  /// Connects; waits for nobody.
  public init(_ configuration: KafkaConfiguration, topics: TopicNames, generation: Int64) throws(KafkaError) {
    client = try KafkaClient(
      RD_KAFKA_CONSUMER, configuration,
      own: [("isolation.level", "read_uncommitted"), ("enable.auto.commit", "false")])
    names = topics
    self.generation = generation
  }

  /// What the connection had to say since the last time.
  public func takeNotices() -> [KafkaNotice] { client.drainNotices() }

  /// Where a partition of the log ends: the seq of its last record, "nothing yet" where it has none.
  public func logEnd(_ partition: Int32) throws(KafkaError) -> Seq {
    base + (try offset(names.log(generation: generation), partition, RD_KAFKA_OFFSET_END)) - 1
  }

  /// Where a partition of the log begins: the seq of its oldest record, the end's successor where it has none.
  public func logBeginning(_ partition: Int32) throws(KafkaError) -> Seq {
    base + (try offset(names.log(generation: generation), partition, RD_KAFKA_OFFSET_BEGINNING))
  }

  /// The offset behind the last record of a partition of the state topic, uncommitted ones included.
  public func stateEnd(_ partition: Int32) throws(KafkaError) -> Int64 {
    try offset(names.state, partition, RD_KAFKA_OFFSET_END)
  }

  /// The offset behind the last record of a partition of the reads topic.
  public func readsEnd(_ partition: Int32) throws(KafkaError) -> Int64 {
    try offset(names.reads, partition, RD_KAFKA_OFFSET_END)
  }

  /// Asked as if for a time: librdkafka's own question for the ends of a partition waits for minutes where its
  /// leader is gone, whatever time it is given.
  private func offset(_ topic: String, _ partition: Int32, _ place: Int32) throws(KafkaError) -> Int64 {
    let handle = try TopicHandle(client, topic)
    var found: Int64 = 0
    let cause = askingTheLeader {
      guard isLed(handle, [partition]) else { return RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE }
      let list = PartitionList(topic, [(partition: partition, offset: Int64(place))])
      let cause = rd_kafka_offsets_for_times(client.handle, list.list, KafkaConfiguration.waitMilliseconds)
      guard cause == RD_KAFKA_RESP_ERR_NO_ERROR, let element = list.elements.first else { return cause }
      found = element.offset
      return element.err
    }
    guard cause == RD_KAFKA_RESP_ERR_NO_ERROR, found >= 0 else {
      throw client.error(cause, "asking where partition \(partition) of \(topic) ends")
    }
    return found
  }

  /// False where one of the partitions has no leader, or nobody says so: a question to it would take all its time,
  /// and all other questions wait for that.
  private func isLed(_ topic: TopicHandle, _ partitions: [Int32]) -> Bool {
    guard let found = try? client.describeTopics(only: topic).topics.first else { return false }
    return found.leaderless.allSatisfy { !partitions.contains($0) }
  }

  /// The seq of the first record that the log took at that time or later, for each partition asked; nil
  /// where there is none.
  public func firstRecords(_ partitions: [Int32], since time: WallTime) throws(KafkaError) -> [Seq?] {
    let topic = names.log(generation: generation)
    var list = PartitionList(topic, partitions.map { (partition: $0, offset: time) })
    let handle = try TopicHandle(client, topic)
    var asked: Int32?
    let cause = askingTheLeader {
      guard isLed(handle, partitions) else { return RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE }
      list = PartitionList(topic, partitions.map { (partition: $0, offset: time) })
      let cause = rd_kafka_offsets_for_times(client.handle, list.list, KafkaConfiguration.waitMilliseconds)
      guard cause == RD_KAFKA_RESP_ERR_NO_ERROR else { return cause }
      let failed = list.elements.first { $0.err != RD_KAFKA_RESP_ERR_NO_ERROR }
      asked = failed?.partition
      return failed?.err ?? RD_KAFKA_RESP_ERR_NO_ERROR
    }
    guard cause == RD_KAFKA_RESP_ERR_NO_ERROR else {
      let what = asked.map { "asking partition \($0) of the log for a time" }
      throw client.error(cause, what ?? "asking the log for a time")
    }
    var seqs: [Seq?] = []
    for element in list.elements {
      seqs.append(element.offset < 0 ? nil : base + element.offset)
    }
    return seqs
  }

  /// Asks again where another broker leads by now: librdkafka asks the leader that it knows of, and learns of a new
  /// one only by its refresh every five minutes, unless it is told to look. A broker that was just made the leader
  /// may not know it yet.
  private func askingTheLeader(_ ask: () -> rd_kafka_resp_err_t) -> rd_kafka_resp_err_t {
    let deadline = Clock.milliseconds() + Self.movedMilliseconds
    var cause = ask()
    while Self.moved.contains(cause), Clock.milliseconds() < deadline,
      (try? client.describeTopics()) != nil
    {
      cause = ask()
      if Self.moved.contains(cause) { usleep(50_000) }
    }
    return cause
  }

  /// How long it is asked again.
  private static let movedMilliseconds: Int64 = 1_000
  private static let moved = [
    RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
    RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
    RD_KAFKA_RESP_ERR__TRANSPORT,
  ]
}
