import CRdkafka
public import Chat

/// What a member of the routers' group is told.
public enum GroupEvent: Sendable, Equatable {
  /// These partitions are this member's from now on, and no others.
  case assigned([Int32])
  /// No partition is this member's any more.
  case revoked
  /// Another process took this member's place under its instance id: this object is of no use any more, and
  /// is let go.
  case fenced
  /// The membership ended for another reason: this object is of no use any more.
  case failed(KafkaError)
}

/// Membership in the group of routers: which partitions this one owns (DESIGN section 6). It reads nothing:
/// owners read their partitions by hand.
///
/// Static membership: whoever joins under the same instance id takes its partitions at once, and the one
/// before is fenced. Eager assignment. One thread's, but for `metadata` and `committed`. `descriptor` tells
/// when to call `drain`; it must be called every second, or the group puts this member out.
public final class RouterGroup {
  /// Milliseconds that the group keeps the place of a member that is gone.
  public static let sessionMilliseconds = 30_000

  private let client: KafkaClient
  private let queue: EventQueue
  private let logTopic: String
  private let base: Seq
  private var isOver = false
  /// Since when the group waits to be given the partitions back, in milliseconds; nil where it does not.
  private var owesAnswerSince: Int64?
  /// Milliseconds that it waits at most: all its members stand still so long.
  private static let heldMilliseconds: Int64 = 3_000

  /// The group waits with dividing its partitions anew as long as this is set, but not for long: a transaction
  /// under way names this membership as it is, and fails under the next one, to be tried again.
  public var isHeld = false {
    didSet { if !isHeld { answerRevocation() } }
  }

  /// What happened since `eventsTaken`, in order.
  public private(set) var events: [GroupEvent] = []

  /// Joins; the first event tells with what. Waits for nobody.
  /// - Parameters:
  ///   - instance: the server's id, or that of the dead one whose place this one takes.
  ///   - sessionMilliseconds: as `RouterGroup.sessionMilliseconds`; brokers allow 6,000 and more.
  public init(
    _ configuration: KafkaConfiguration, topics: TopicNames, generation: Int64, instance: String,
    sessionMilliseconds: Int = RouterGroup.sessionMilliseconds
  ) throws(KafkaError) {
    logTopic = topics.log(generation: generation)
    base = SeqSpace.base(generation: generation)
    client = try KafkaClient(
      RD_KAFKA_CONSUMER, configuration,
      own: [
        ("group.id", topics.routerGroup), ("group.instance.id", instance),
        ("session.timeout.ms", "\(sessionMilliseconds)"),
        ("partition.assignment.strategy", "range,roundrobin"),
        ("enable.auto.commit", "false"), ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "error"),
      ], events: RD_KAFKA_EVENT_REBALANCE)
    rd_kafka_poll_set_consumer(client.handle)
    queue = try EventQueue(client, owning: rd_kafka_queue_get_consumer(client.handle))
    let topics = PartitionList(logTopic, [Int32(RD_KAFKA_PARTITION_UA)])
    let cause = rd_kafka_subscribe(client.handle, topics.list)
    guard cause == RD_KAFKA_RESP_ERR_NO_ERROR else {
      throw client.error(cause, "joining the group \(logTopic)")
    }
  }

  /// Becomes readable when there is something to drain.
  public var descriptor: Int32 { queue.descriptor }
  /// What the connection had to say since the last time.
  public func takeNotices() -> [KafkaNotice] { client.takeNotices() }
  /// Forgets the events, which the caller has read.
  public func eventsTaken() { events.removeAll() }

  /// Reads what the group has to say into `events`.
  public func drain() {
    while let event = queue.poll() {
      if rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE {
        rebalance(event)
      } else if let cause = client.take(event) {
        end(cause)
      }
      rd_kafka_event_destroy(event)
    }
    if let since = owesAnswerSince, Clock.milliseconds() - since >= Self.heldMilliseconds {
      answerRevocation()
    }
  }

  private func rebalance(_ event: OpaquePointer) {
    guard rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS,
      let list = rd_kafka_event_topic_partition_list(event)
    else {
      if !isOver { events.append(.revoked) }
      owesAnswerSince = owesAnswerSince ?? Clock.milliseconds()
      if !isHeld { answerRevocation() }
      return
    }
    let partitions = (0..<Int(list.pointee.cnt)).map { list.pointee.elems[$0].partition }
    // The group wants to hear that they are taken; what is assigned here would also be read here.
    let nothing = PartitionList(logTopic, [] as [Int32])
    rd_kafka_assign(client.handle, nothing.list)
    events.append(.assigned(partitions.sorted()))
  }

  private func answerRevocation() {
    guard owesAnswerSince != nil else { return }
    owesAnswerSince = nil
    rd_kafka_assign(client.handle, nil)
  }

  private func end(_ cause: rd_kafka_resp_err_t) {
    guard !isOver else { return }
    isOver = true
    let error = client.error(cause, "the group of routers")
    events.append(error.code == .fenced ? .fenced : .failed(error))
  }

  // MARK: For helpers

  /// This membership as the transactions of a `StateStore` name it: of a fenced member they fail.
  public func metadata() -> GroupMetadata { GroupMetadata(rd_kafka_consumer_group_metadata(client.handle)) }

  /// The committed position of each partition asked, the seq of a last record; nil where there is none.
  /// Waits at most `KafkaConfiguration.waitMilliseconds`: for any thread but a loop's.
  public func committed(_ partitions: [Int32]) throws(KafkaError) -> [Seq?] {
    let list = PartitionList(logTopic, partitions)
    let cause = rd_kafka_committed(client.handle, list.list, KafkaConfiguration.waitMilliseconds)
    guard cause == RD_KAFKA_RESP_ERR_NO_ERROR else {
      throw client.error(cause, "asking for committed positions")
    }
    var positions: [Seq?] = []
    for element in list.elements {
      guard element.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
        throw client.error(element.err, "asking for the committed position of partition \(element.partition)")
      }
      positions.append(element.offset < 0 ? nil : base + element.offset - 1)
    }
    return positions
  }
}

/// A membership in the group at one moment.
public final class GroupMetadata: @unchecked Sendable {
  let handle: OpaquePointer?

  init(_ handle: OpaquePointer?) { self.handle = handle }

  deinit { if let handle { rd_kafka_consumer_group_metadata_destroy(handle) } }
}
