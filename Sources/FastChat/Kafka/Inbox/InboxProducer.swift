import CRdkafka
public import Chat
import JSON

/// Writes to the inboxes of other servers: what a turn has for one server goes as one record.
///
/// Acknowledged by all in-sync brokers and in order (one request in flight a broker), but not idempotent: a
/// batch that comes twice is dropped where it arrives, and such a producer never fails for good.
///
/// One thread's. `descriptor` tells when to call `drain`, which is called every second beside that; records that
/// arrive announce nothing.
public final class InboxProducer {
  /// Milliseconds until a record is given up: a server whose inbox cannot be reached repairs itself later.
  public static let timeoutMilliseconds = 5_000
  /// Bytes on their way to one inbox at most; beyond them nothing is sent to it.
  public static let targetBytes = 8 << 20
  /// Milliseconds of a round: a server that nothing was sent to in a whole one is let go, whatever epoch it is
  /// of. A living one gets a batch every 5 s (DESIGN section 5).
  static let roundMilliseconds: Int64 = 30_000

  private let client: KafkaClient
  private let queue: EventQueue
  private let topics: TopicNames
  private let underWay = InboxesUnderWay()
  /// Read positions, by the same handle. A request of theirs takes one partition, and the records of inboxes wait
  /// for it: so they are to be handed over one or two partitions at a time.
  public let reads: ReadsProducer
  private var places: [ServerEpoch: Int] = [:]
  private var targets: [Target] = []
  private var dirty: [Int] = []
  private var roundBegan = Clock.milliseconds()

  /// Batches that did not reach their inbox, since `failuresTaken`: the owner's chain to that server is broken.
  public private(set) var failures: [(server: ServerEpoch, partition: Int32)] = []

  private final class Target {
    let server: ServerEpoch
    /// Nil once it was let go: the place is free.
    var topic: TopicHandle?
    var record = ByteBuffer(capacity: 1 << 10)
    /// Something was put into its record in this round.
    var isUsed = true

    init(_ server: ServerEpoch, _ topic: TopicHandle) {
      self.server = server
      self.topic = topic
    }
  }

  /// Connects; waits for nobody.
  public init(_ configuration: KafkaConfiguration, topics: TopicNames) throws(KafkaError) {
    self.topics = topics
    client = try KafkaClient(
      RD_KAFKA_PRODUCER, configuration,
      defaults: [("linger.ms", "0"), ("topic.metadata.propagation.max.ms", "3000")],
      own: [
        ("acks", "all"), ("max.in.flight.requests.per.connection", "1"),
        ("message.timeout.ms", "\(Self.timeoutMilliseconds)"), ("queue.buffering.max.messages", "100000"),
      ], events: RD_KAFKA_EVENT_DR, hook: underWay.hook)
    queue = try EventQueue(client, owning: rd_kafka_queue_get_main(client.handle))
    reads = try ReadsProducer(client, topics, underWay)
  }

  /// Becomes readable when there is something to drain.
  public var descriptor: Int32 { queue.descriptor }
  /// What the connection had to say since the last time.
  public func takeNotices() -> [KafkaNotice] { client.takeNotices() }
  /// Forgets the failures, which the caller has read.
  public func failuresTaken() { failures.removeAll(keepingCapacity: true) }

  // MARK: Sending

  /// Puts a batch with what goes to that server at the next `flush`.
  /// - Returns: false where its inbox takes nothing more: nothing was sent, and it is not told again.
  public func send(_ batch: Batch, to server: ServerEpoch) throws(KafkaError) -> Bool {
    guard let target = try room(for: InboxCodec.size(batch), of: server) else { return false }
    InboxCodec.append(batch, to: &target.record)
    return true
  }

  /// Puts a verdict with it; best effort, as everything below.
  public func send(_ verdict: Verdict, to server: ServerEpoch) throws(KafkaError) {
    guard let target = try room(for: InboxCodec.smallItem, of: server) else { return }
    InboxCodec.append(verdict, to: &target.record)
  }

  /// Puts an event that is not stored with it.
  /// - Parameter epoch: of the server that its session is connected to.
  public func send(_ event: Ephemeral, from epoch: Epoch, to server: ServerEpoch) throws(KafkaError) {
    let bytes = InboxCodec.smallItem + event.chat.count + event.json.count
    guard let target = try room(for: bytes, of: server) else { return }
    InboxCodec.append(event, from: epoch, to: &target.record)
  }

  /// Puts the word with it that a session was replaced.
  public func send(_ replaced: ReplacedSession) throws(KafkaError) {
    guard let target = try room(for: InboxCodec.smallItem, of: replaced.server) else { return }
    InboxCodec.append(replaced: replaced.session, to: &target.record)
  }

  /// Sends an empty record, so that whoever reads the inbox knows that it comes through.
  public func ping(_ server: ServerEpoch) throws(KafkaError) { _ = try room(for: 0, of: server) }

  /// The target with a record that has room for so many bytes more; nil where it takes nothing.
  private func room(for bytes: Int, of server: ServerEpoch) throws(KafkaError) -> Target? {
    let place = try place(of: server)
    let target = targets[place]
    target.isUsed = true
    guard underWay.bytes(at: place) + target.record.count + bytes <= Self.targetBytes else { return nil }
    if target.record.count + bytes > InboxCodec.recordBytes, !target.record.isEmpty { produce(place) }
    if target.record.isEmpty {
      InboxCodec.begin(into: &target.record)
      dirty.append(place)
    }
    return target
  }

  private func place(of server: ServerEpoch) throws(KafkaError) -> Int {
    if let place = places[server] { return place }
    let target = Target(server, try TopicHandle(client, topics.inbox(server)))
    // The place of somebody who was let go, or a new one.
    let place = targets.firstIndex { $0.topic == nil } ?? targets.count
    if place == targets.count { targets.append(target) } else { targets[place] = target }
    places[server] = place
    return place
  }

  /// Sends what was put together: one record a server.
  public func flush() {
    for place in dirty where !targets[place].record.isEmpty { produce(place) }
    dirty.removeAll(keepingCapacity: true)
  }

  private func produce(_ place: Int) {
    let target = targets[place]
    defer { target.record.removeAll(keepingAtMost: 64 << 10) }
    guard let topic = target.topic else { return fail(target.record.bytes, target.server) }
    let bytes = target.record.bytes
    let opaque = InboxesUnderWay.opaque(place)
    underWay.began(bytes.count, at: place)
    guard
      rd_kafka_produce(
        topic.handle, 0, Int32(RD_KAFKA_MSG_F_COPY), UnsafeMutableRawPointer(mutating: bytes.baseAddress),
        bytes.count, nil, 0, opaque) == 0
    else {
      underWay.ended(bytes.count, at: place)
      return fail(bytes, target.server)
    }
  }

  /// A server in an epoch that is over, as far as is known: it is let go now where nothing is on its way to it,
  /// and otherwise as everybody who is not sent to any more.
  public func forget(_ server: ServerEpoch) {
    guard let place = places[server] else { return }
    targets[place].isUsed = false
    letGo(place)
  }

  /// Ends a round; whoever was not sent to since the last one goes.
  func endRound() {
    for place in targets.indices where targets[place].topic != nil {
      if targets[place].isUsed { targets[place].isUsed = false } else { letGo(place) }
    }
  }

  private func letGo(_ place: Int) {
    let target = targets[place]
    guard underWay.bytes(at: place) == 0, target.record.isEmpty else { return }
    target.topic = nil
    places[target.server] = nil
  }

  /// Handles of topics that are held.
  var openTopics: Int { targets.count { $0.topic != nil } }

  // MARK: Reports

  /// Reads what did not arrive, into `failures`.
  public func drain() {
    while let event = queue.poll() {
      if rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR {
        while let message = rd_kafka_event_message_next(event) { failed(message.pointee) }
      } else {
        client.take(event)
      }
      rd_kafka_event_destroy(event)
    }
    let now = Clock.milliseconds()
    guard now - roundBegan >= Self.roundMilliseconds else { return }
    roundBegan = now
    endRound()
  }

  private func failed(_ message: rd_kafka_message_t) {
    guard let place = InboxesUnderWay.place(message._private) else { return reads.failed() }
    underWay.ended(message.len, at: place)
    if let record = message.valueBytes { fail(record, targets[place].server) }
  }

  /// A record carries what its failure has to name.
  private func fail(_ record: UnsafeRawBufferPointer, _ server: ServerEpoch) {
    // Our own: its partitions are.
    var reader = InboxReader(record, partitions: .max)
    while let item = reader.next() {
      if case .batch(let batch) = item { failures.append((server, batch.partition)) }
    }
  }
}
