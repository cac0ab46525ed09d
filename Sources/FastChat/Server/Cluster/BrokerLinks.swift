import Chat
import Kafka

/// The router's ways to and from the brokers, each with threads of librdkafka's own behind it.
final class BrokerLinks {
  /// Milliseconds without an acknowledged record after which a probe is appended.
  private static let quietMilliseconds: Tick = 2_000

  let configuration: KafkaConfiguration
  let names: TopicNames
  let producer: LogProducer
  let log: LogConsumer
  let state: StateReader
  let inbox: InboxConsumer
  let inboxes: InboxProducer
  private let partitions: Int32
  private var probedAt: Tick?
  private var lastAnswer: Tick?

  /// Connects, and waits for topics that are there already.
  /// - Parameter report: as `LogProducer` wants it.
  init(
    _ configuration: KafkaConfiguration, _ names: TopicNames, generation: Int64, partitions: Int32,
    pins: Pins, report: @escaping @Sendable (DeliveryReport) -> Void
  ) throws(KafkaError) {
    self.configuration = configuration
    self.names = names
    self.partitions = partitions
    producer = try LogProducer(
      configuration, topics: names, generation: generation, partitions: partitions, report: report)
    log = try LogConsumer(configuration, topics: names, generation: generation, partitions: partitions)
    state = try StateReader(configuration, topics: names, partitions: partitions)
    inbox = try InboxConsumer(configuration, topics: names, partitions: partitions, pins: pins)
    inboxes = try InboxProducer(configuration, topics: names)
  }

  /// What a loop watches, and what it drains then.
  var descriptors: [(Int32, Router.Sources)] {
    [
      (producer.descriptor, .producer), (log.descriptor, .log), (state.descriptor, .state),
      (inbox.descriptor, .inbox), (inboxes.descriptor, .inboxReports),
    ]
  }

  /// Where nobody writes, the server itself finds out whether the log takes records.
  func probe(_ router: Router) {
    let now = router.tick
    let last = max(producer.acknowledgedAt ?? .min, probedAt ?? .min)
    guard last == .min || now - last >= Self.quietMilliseconds else { return }
    // One leader may be away; that all are is what matters.
    let hasMissed = probedAt != nil && lastAnswer == producer.acknowledgedAt
    probedAt = now
    lastAnswer = producer.acknowledgedAt
    let asked = hasMissed ? 0..<partitions : { $0..<$0 + 1 }(Int32.random(in: 0..<partitions))
    for p in asked { producer.probe(partition: p, server: router.serverID, time: router.wall) }
  }

  /// What the connections had to say, into the log.
  func reportNotices() {
    let all =
      producer.takeNotices() + log.takeNotices() + state.takeNotices() + inbox.takeNotices()
      + inboxes.takeNotices()
    for notice in all { Self.report(notice) }
  }

  static func report(_ notice: KafkaNotice) {
    if notice.level <= 4 {
      Log.warning("kafka", ["says": notice.text])
    } else {
      Log.debug("kafka", ["says": notice.text])
    }
  }
}
