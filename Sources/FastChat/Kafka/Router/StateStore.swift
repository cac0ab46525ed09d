import CRdkafka
public import Chat
import Glibc
import JSON

/// How far a partition was applied, and the rows that changed since the last time.
public struct StateCommit: Sendable {
  public var partition: Int32
  /// The seq of the last record applied.
  public var upto: Seq
  public var rows: [StateRow]

  public init(partition: Int32, upto: Seq, rows: [StateRow]) {
    self.partition = partition
    self.upto = upto
    self.rows = rows
  }
}

/// Writes state rows and committed positions in one transaction (DESIGN section 6): both or none, and none
/// by a router that another one has replaced.
///
/// All its calls wait for brokers: they belong on a helper's thread, one at a time.
public final class StateStore {
  /// Milliseconds after which a broker ends the transaction of one that is gone for good.
  public static let transactionMilliseconds = 10_000
  /// Milliseconds before a step that failed at once is tried again.
  private static let repeatMilliseconds: UInt32 = 20
  /// Names under which one instance writes, tried in turn. A transaction with rows for a partition whose leader
  /// died does not end before it has another one, whatever became of its producer, and keeps its name so long.
  /// What it did to positions has ended even so.
  static let namesMax = 3
  /// Milliseconds that a name is waited for, where there is another one: otherwise its last transaction ends
  /// within some tens.
  private static let nameMilliseconds: Int32 = 3_000

  private let client: KafkaClient
  private let topic: TopicHandle
  private let logTopic: String
  private let base: Seq
  private var key = ByteBuffer()
  private var value = ByteBuffer()

  /// Connects, and ends the transaction that a predecessor under this instance id left open. Waits.
  /// - Parameter instance: the same as in the group: a stand-in's is that of the dead one.
  /// - Throws: `unreachable`, `noTopic`, `unavailable`.
  public init(
    _ configuration: KafkaConfiguration, topics: TopicNames, generation: Int64, partitions: Int32,
    instance: String
  ) throws(KafkaError) {
    logTopic = topics.log(generation: generation)
    base = SeqSpace.base(generation: generation)
    let id = "\(topics.routerGroup).\(instance)"
    var place = 1
    while true {
      let client = try KafkaClient(
        RD_KAFKA_PRODUCER, configuration, defaults: [("linger.ms", "5")],
        own: [
          ("transactional.id", place == 1 ? id : "\(id)#\(place)"),
          ("transaction.timeout.ms", "\(Self.transactionMilliseconds)"),
        ])
      let topic = try TopicHandle(client, topics.state)
      try client.waitFor(topic, partitions: Int(partitions), led: false)
      do throws(KafkaError) {
        try Self.repeating("beginning to write state", client, mayBeUnended: place == Self.namesMax) {
          rd_kafka_init_transactions($0, Self.nameMilliseconds)
        }
      } catch {
        guard error.cause == Self.unended, place < Self.namesMax else { throw error }
        place += 1
        continue
      }
      self.client = client
      self.topic = topic
      return
    }
  }

  private static let unended = "CONCURRENT_TRANSACTIONS"

  /// What the connection had to say since the last time.
  public func takeNotices() -> [KafkaNotice] { client.drainNotices() }

  /// Writes all of it in one transaction.
  /// - Throws: `fenced` where another one took this one's place, with nothing written: this object is of no
  ///   use any more. Anything else: nothing was written, or the answer was lost; the same may be tried again,
  ///   since rows and positions are what they are.
  public func commit(_ commits: [StateCommit], as member: GroupMetadata) throws(KafkaError) {
    try write(commits, as: member)
    do throws(KafkaError) {
      try repeating("committing state") {
        rd_kafka_commit_transaction($0, KafkaConfiguration.waitMilliseconds)
      }
    } catch {
      abort()
      throw error
    }
  }

  /// Writes all of it into a transaction that is left open.
  func write(_ commits: [StateCommit], as member: GroupMetadata) throws(KafkaError) {
    if let failure = rd_kafka_begin_transaction(client.handle) {
      throw client.error(consuming: failure, "beginning a transaction")
    }
    do throws(KafkaError) {
      for commit in commits {
        for row in commit.rows { try produce(row, commit.partition) }
      }
      let offsets = PartitionList(
        logTopic, commits.map { (partition: $0.partition, offset: $0.upto + 1 - base) })
      try repeating("committing positions") {
        rd_kafka_send_offsets_to_transaction(
          $0, offsets.list, member.handle, KafkaConfiguration.waitMilliseconds)
      }
    } catch {
      abort()
      throw error
    }
  }

  private func produce(_ row: StateRow, _ partition: Int32) throws(KafkaError) {
    key.removeAll()
    value.removeAll()
    StateCodec.encodeKey(row, into: &key)
    let hasValue = StateCodec.encodeValue(row, into: &value)
    let deadline = Clock.milliseconds() + Int64(KafkaConfiguration.waitMilliseconds)
    while rd_kafka_produce(
      topic.handle, partition, Int32(RD_KAFKA_MSG_F_COPY),
      hasValue ? UnsafeMutableRawPointer(mutating: value.bytes.baseAddress) : nil, hasValue ? value.count : 0,
      key.bytes.baseAddress, key.count, nil) != 0
    {
      let cause = rd_kafka_last_error()
      guard cause == RD_KAFKA_RESP_ERR__QUEUE_FULL, Clock.milliseconds() < deadline else {
        throw client.error(cause, "writing a state row")
      }
      if let event = rd_kafka_queue_poll(client.mainQueue, 10) {
        client.take(event)
        rd_kafka_event_destroy(event)
      }
    }
  }

  /// Leaves nothing of an open transaction. What cannot be ended here ends by its timeout.
  private func abort() {
    if let failure = rd_kafka_abort_transaction(client.handle, KafkaConfiguration.waitMilliseconds) {
      rd_kafka_error_destroy(failure)
    }
  }

  /// Does a step of a transaction, again where librdkafka says that it may be tried again.
  private func repeating(_ what: String, _ step: (OpaquePointer) -> OpaquePointer?) throws(KafkaError) {
    try Self.repeating(what, client, mayBeUnended: true, step)
  }

  /// - Parameter mayBeUnended: false: there is another name to write under, where the last transaction of this one
  ///   does not end soon.
  private static func repeating(
    _ what: String, _ client: KafkaClient, mayBeUnended: Bool, _ step: (OpaquePointer) -> OpaquePointer?
  ) throws(KafkaError) {
    let begun = Clock.milliseconds()
    while let failure = step(client.handle) {
      let isUnended = rd_kafka_error_code(failure) == RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS
      let wait = isUnended && !mayBeUnended ? nameMilliseconds : KafkaConfiguration.waitMilliseconds
      guard rd_kafka_error_is_retriable(failure) != 0, Clock.milliseconds() - begun < wait else {
        throw client.error(consuming: failure, what)
      }
      rd_kafka_error_destroy(failure)
      usleep(repeatMilliseconds * 1_000)
    }
  }
}
