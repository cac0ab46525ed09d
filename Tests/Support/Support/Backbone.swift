import Foundation

/// What the servers of the integration tests stand on: each its own embedded store, or, with
/// `FASTCHAT_BACKBONE=cluster`, the run's Kafka broker and a Redis of its own.
public enum Backbone {
  public static let isCluster = ProcessInfo.processInfo.environment["FASTCHAT_BACKBONE"] == "cluster"

  /// What the server of a test shares with nobody: a Redis, and topics under a prefix of its own at the broker
  /// that all tests share.
  final class Place {
    private let redis: RedisServerProcess
    let flags: [String]

    init() throws {
      guard KafkaBroker.isApacheKafka else {
        throw TestFailure("a cluster needs Apache Kafka: the mock cluster makes no topics")
      }
      redis = try RedisServerProcess()
      let prefix = "t" + UUID().uuidString.prefix(13)
      flags = [
        "--kafka", try KafkaBroker.shared.get().addresses, "--redis", "127.0.0.1:\(redis.port)",
        "--kafka-prefix", prefix, "--partitions", "2", "--server-id", "local",
      ]
    }
  }
}
