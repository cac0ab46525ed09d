import Chat
import EventLoop
import Glibc
import Kafka
import Redis

/// What was found of a cluster's Kafka.
struct KafkaFacts: Sendable {
  /// Why the brokers could not be asked, in one line.
  var failure: String?
  var brokers = 0
  /// Partitions of the newest log; nil where there is none yet.
  var partitions: Int32?
  /// Topics that `serve` would make.
  var missing: [String] = []
  /// What is there and other than planned.
  var findings: [TopicFinding] = []

  /// Asks the brokers, and makes nothing.
  static func gather(_ cluster: ClusterConfiguration, _ limits: Limits) -> KafkaFacts {
    var facts = KafkaFacts()
    do throws(KafkaError) {
      let configuration = try ClusterStart.configuration(cluster, clientID: "fastchat-doctor")
      let names = TopicNames(prefix: cluster.topicPrefix)
      let topics = try Topics(configuration, names: names, replication: Int(cluster.replication))
      facts.brokers = try topics.brokers(milliseconds: ClusterStart.firstWordMilliseconds)
      let newest = try topics.newestLog()
      facts.partitions = newest?.partitions
      let plans = ClusterStart.plans(
        names, generation: newest?.generation ?? 1, partitions: newest?.partitions ?? cluster.partitions,
        limits
      )
      for plan in plans {
        if let found = try topics.look(at: plan) {
          facts.findings += found
        } else {
          facts.missing.append(plan.name)
        }
      }
    } catch {
      facts.failure = error.description
    }
    return facts
  }
}

/// What was found of a cluster's Redis.
struct RedisFacts: Sendable {
  /// One primary, and what it says of itself.
  struct Primary: Sendable {
    var host = ""
    var version = ""
    var policy = "noeviction"
    var limitBytes = 0
    var usedBytes = 0
    var appends = true
    var replicas = 0
    /// Whether it takes writes only while replicas are near.
    var needsReplicas = false
    /// How far its clock is ahead of this machine's, beyond what the way there explains.
    var aheadMilliseconds: Int64 = 0
  }

  /// Why not all primaries could be asked, in one line.
  var failure: String?
  var primaries: [Primary] = []

  /// Asks all primaries, and writes nothing.
  static func gather(_ cluster: ClusterConfiguration) -> RedisFacts {
    var facts = RedisFacts()
    do throws(StartFailure) {
      var configuration = LoopConfiguration()
      configuration.connections = 64
      let loop = try starting { () throws(LoopError) in try EventLoop(configuration) }
      defer { loop.shutdown() }
      facts.primaries = try RedisStart.look(try RedisStart.address(cluster), loop: loop)
    } catch {
      facts.failure = error.message
    }
    return facts
  }
}

extension RedisFacts.Primary {
  /// From the sections of `INFO`; nil where one is no answer.
  init?(
    host: String, server: RedisInfo?, memory: RedisInfo?, persistence: RedisInfo?, replication: RedisInfo?
  ) {
    guard let server, let memory, let persistence, let replication else { return nil }
    func number(_ text: String?) -> Int { text.flatMap { Int($0) } ?? 0 }
    self.host = host
    version = server["redis_version"] ?? ""
    policy = memory["maxmemory_policy"] ?? ""
    limitBytes = number(memory["maxmemory"])
    usedBytes = number(memory["used_memory"])
    appends = persistence["aof_enabled"] == "1"
    replicas = number(replication["connected_slaves"])
    // `INFO` tells how many replicas are good only where some are asked for.
    needsReplicas = replication["min_slaves_good_slaves"] != nil
  }

  /// - Parameters:
  ///   - clock: the answer to `TIME`.
  ///   - asked: when it was asked here, and answered.
  mutating func compare(_ clock: RedisReply?, asked: ClosedRange<WallTime>) {
    guard let there = clock?.clock else { return }
    if there > asked.upperBound { aheadMilliseconds = there - asked.upperBound }
    if there < asked.lowerBound { aheadMilliseconds = there - asked.lowerBound }
  }
}
