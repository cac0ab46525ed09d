public import Chat

/// A topic as it has to be (DESIGN section 6).
public struct TopicPlan: Sendable {
  /// One setting of the topic at the brokers.
  public struct Setting: Sendable {
    public var name: String
    public var value: String
    /// Whether another value would break a promise; otherwise it is only worth a word.
    public var isVital: Bool
  }

  public var name: String
  public var partitions: Int32
  public var settings: [Setting]

  /// Partitions of a log unless told otherwise: each costs brokers and routers requests.
  public static let defaultPartitions: Int32 = 16
  /// Copies of each partition, where there are brokers enough.
  public static let copies = 3
  /// How long an inbox keeps what it got.
  public static let inboxMilliseconds: Int64 = 600_000

  /// - Parameter retentionMilliseconds: of the log, the promised window and more; -1 for ever.
  public static func log(
    _ topics: TopicNames, generation: Int64, partitions: Int32, retentionMilliseconds: Int64
  ) -> TopicPlan {
    TopicPlan(
      name: topics.log(generation: generation), partitions: partitions,
      settings: [
        Setting(name: "cleanup.policy", value: "delete", isVital: true),
        Setting(name: "message.timestamp.type", value: "LogAppendTime", isVital: true),
        Setting(name: "retention.ms", value: "\(retentionMilliseconds)", isVital: true),
        Setting(name: "retention.bytes", value: "-1", isVital: false),
        Setting(name: "unclean.leader.election.enable", value: "false", isVital: true),
      ])
  }

  public static func state(_ topics: TopicNames, partitions: Int32) -> TopicPlan {
    TopicPlan(name: topics.state, partitions: partitions, settings: compacted)
  }

  public static func reads(_ topics: TopicNames, partitions: Int32) -> TopicPlan {
    TopicPlan(name: topics.reads, partitions: partitions, settings: compacted + [readsSegment])
  }

  public static func mark(_ topics: TopicNames, generation: Int64) -> TopicPlan {
    TopicPlan(name: topics.mark(generation: generation), partitions: 1, settings: compacted)
  }

  public static func inbox(_ topics: TopicNames, _ server: ServerEpoch) -> TopicPlan {
    TopicPlan(
      name: topics.inbox(server), partitions: 1,
      settings: [
        Setting(name: "cleanup.policy", value: "delete", isVital: false),
        Setting(name: "retention.ms", value: "\(inboxMilliseconds)", isVital: false),
        // What is retained goes by whole segments, and only closed ones.
        Setting(name: "segment.ms", value: "\(inboxMilliseconds)", isVital: false),
      ])
  }

  /// Bytes of a segment of the reads topic. The one that is being written is never compacted: at Kafka's own size
  /// of 1 GiB a rebuild would read a long past of positions that have gone up since.
  public static let readsSegmentBytes = 64 << 20
  private static let readsSegment = Setting(
    name: "segment.bytes", value: "\(readsSegmentBytes)", isVital: false)

  private static let compacted = [
    Setting(name: "cleanup.policy", value: "compact", isVital: true),
    Setting(name: "unclean.leader.election.enable", value: "false", isVital: true),
  ]

  /// Copies, and of these how many have a record before it is acknowledged, with so many brokers.
  /// - Parameter wanted: copies; 0: three, or as many as there are brokers.
  static func copies(brokers: Int, wanted: Int = 0) -> (replicas: Int, inSync: Int) {
    let replicas = wanted > 0 ? wanted : max(1, min(copies, brokers))
    return (replicas, max(1, replicas - 1))
  }
}

/// A topic that is other than it has to be.
public struct TopicFinding: Sendable, Equatable, CustomStringConvertible {
  public var topic: String
  public var setting: String
  public var wanted: String
  public var found: String
  /// A promise would be broken: such a topic is refused.
  public var isVital: Bool

  public var description: String { "the Kafka topic \(topic) has \(setting) \(found), not \(wanted)" }
}
