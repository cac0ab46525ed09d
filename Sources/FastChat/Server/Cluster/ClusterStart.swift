import Chat
import Kafka

/// What a server finds out about the brokers before it serves, and makes there where it is not: topics, the log's
/// id, the connections. Waits.
struct ClusterStart {
  /// Milliseconds for the first word from a broker: an address that is wrong is said within 10 s.
  static let firstWordMilliseconds: Int32 = 6_000
  /// The log is kept for the window and a day more: who comes back at its end still has time to read.
  static let spareMilliseconds: Int64 = 24 * 3_600_000

  let configuration: KafkaConfiguration
  let names: TopicNames
  let topics: Topics
  let generation: Int64
  let partitions: Int32
  let logID: String
  let links: BrokerLinks

  init(
    _ cluster: ClusterConfiguration, serverID: String, limits: Limits, pins: Pins,
    report: @escaping @Sendable (DeliveryReport) -> Void
  ) throws(StartFailure) {
    do throws(KafkaError) {
      configuration = try Self.configuration(cluster, clientID: "fastchat-\(serverID)")
      names = TopicNames(prefix: cluster.topicPrefix)
      topics = try Topics(configuration, names: names, replication: Int(cluster.replication))
      _ = try topics.brokers(milliseconds: Self.firstWordMilliseconds)
      let newest = try topics.newestLog()
      generation = newest?.generation ?? 1
      partitions = newest?.partitions ?? cluster.partitions
      if partitions != cluster.partitions {
        Log.warning(
          "the log has another number of partitions than --partitions; it stays as it was made",
          ["partitions": "\(partitions)"])
      }
      for plan in Self.plans(names, generation: generation, partitions: partitions, limits) {
        for finding in try topics.ensure(plan) {
          Log.warning("a topic is not as planned", ["what": "\(finding)"])
        }
      }
      let candidate = Self.randomID()
      logID = try LogIdentity.establish(
        configuration, topics: names, partitions: partitions, candidate: candidate)
      links = try BrokerLinks(
        configuration, names, generation: generation, partitions: partitions, pins: pins, report: report)
    } catch {
      throw StartFailure(error.description)
    }
  }

  static func configuration(
    _ cluster: ClusterConfiguration, clientID: String
  ) throws(KafkaError) -> KafkaConfiguration {
    let settings = cluster.kafkaSettings.map { ($0.name, $0.value) }
    return try KafkaConfiguration(
      brokers: cluster.brokers, settings: Dictionary(settings) { $1 }, clientID: clientID)
  }

  /// The topics that all servers share.
  static func plans(
    _ names: TopicNames, generation: Int64, partitions: Int32, _ limits: Limits
  ) -> [TopicPlan] {
    [
      .log(
        names, generation: generation, partitions: partitions,
        retentionMilliseconds: limits.windowMilliseconds + spareMilliseconds),
      .state(names, partitions: partitions), .reads(names, partitions: partitions),
    ]
  }

  /// As an embedded store's: 128 random bits in hexadecimal.
  private static func randomID() -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: (0..<32).map { _ in digits.randomElement()! }, as: UTF8.self)
  }

  /// What the helper's thread works with.
  func makeDesk() throws(StartFailure) -> BrokerDesk {
    do throws(KafkaError) {
      return BrokerDesk(
        configuration, topics: topics,
        watermarks: try Watermarks(configuration, topics: names, generation: generation),
        generation: generation, partitions: partitions)
    } catch {
      throw StartFailure(error.description)
    }
  }
}
