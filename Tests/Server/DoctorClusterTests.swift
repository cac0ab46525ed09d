import Testing

@testable import Kafka
@testable import Server

/// What `fastchat doctor` says of a cluster's brokers and Redis.
@Suite struct DoctorClusterTests {
  private static var configuration: Configuration {
    var configuration = Configuration()
    configuration.cluster = ClusterConfiguration(
      brokers: "k:9092", kafkaSettings: [], redis: "r:6379", topicPrefix: "fastchat", partitions: 16,
      replication: 0)
    return configuration
  }

  private static var good: Facts {
    var facts = DoctorMachine.good
    facts.kafka = KafkaFacts(brokers: 3, partitions: 16)
    facts.redis = RedisFacts(primaries: [RedisFacts.Primary(host: "10.0.0.7:6379", version: "7.0.15")])
    return facts
  }

  private func findings(
    _ configuration: Configuration = Self.configuration, _ spoil: (inout Facts) -> Void
  ) -> [String: Finding] {
    var facts = Self.good
    spoil(&facts)
    let report = DoctorProgram.examine(facts, configuration)
    return Dictionary(uniqueKeysWithValues: report.findings.map { ($0.check, $0) })
  }

  private func finding(_ check: String, _ spoil: (inout Facts) -> Void) throws -> Finding {
    try #require(findings(Self.configuration, spoil)[check])
  }

  @Test func aClusterIsAskedForInThePlaceOfTheDisk() {
    let found = findings { _ in }
    #expect(found.values.allSatisfy { $0.level == .fine })
    #expect(found["kafka"]?.found == "3 brokers")
    #expect(found["redis"]?.found == "10.0.0.7:6379 is Redis 7.0.15, a primary")
    for check in ["data", "file system", "disk space", "fsync"] { #expect(found[check] == nil) }
    let alone = findings(Configuration()) { _ in }
    #expect(alone["kafka"] == nil && alone["redis"] == nil && alone["data"]?.level == .fine)
  }

  @Test func whatCannotBeAskedIsBrokenOnceAndInOneLine() {
    let found = findings {
      $0.kafka = KafkaFacts(failure: "no Kafka broker of k:9092\ncould be asked")
      $0.redis = RedisFacts(failure: "Redis r:6379: no answer")
    }
    #expect(found["kafka"]?.level == .broken && found["redis"]?.level == .broken)
    #expect(found["kafka"]?.found == "no Kafka broker of k:9092 could be asked")
    #expect(found.values.count { $0.level == .broken } == 2)
  }

  @Test func oneBrokerIsSaidAndTooFewForTheCopiesAskedForAreBroken() throws {
    #expect(try finding("kafka") { $0.kafka?.brokers = 1 }.level == .change)
    var configuration = Self.configuration
    configuration.cluster?.replication = 5
    let found = findings(configuration) { $0.kafka?.missing = ["fastchat.log.1"] }
    #expect(found["kafka"]?.level == .broken)
    // Once the topics are there nothing is made any more.
    #expect(findings(configuration) { _ in }["kafka"]?.level == .fine)
  }

  @Test func topicsAreRefusedOrSaidAsServeWould() throws {
    func topic(_ setting: String, isVital: Bool) -> TopicFinding {
      TopicFinding(topic: "fastchat.log.1", setting: setting, wanted: "a", found: "b", isVital: isVital)
    }
    let soft = topic("retention.bytes", isVital: false)
    let hard = topic("cleanup.policy", isVital: true)
    #expect(try finding("topics") { $0.kafka?.findings = [soft] }.level == .change)
    let both = try finding("topics") { $0.kafka?.findings = [soft, hard] }
    #expect(both.level == .broken)
    #expect(both.found == "the Kafka topic fastchat.log.1 has cleanup.policy b, not a")
    #expect(try finding("topics") { $0.kafka?.partitions = 4 }.how == ["--partitions 4"])
    let new = try finding("topics") { $0.kafka?.missing = ["fastchat.log.1"] }
    #expect(new.level == .fine && new.found.contains("serve makes them"))
  }

  @Test func aRedisThatThrowsKeysAwayIsBrokenWhereItHasALimit() throws {
    let unlimited = try finding("redis memory") { $0.redis?.primaries[0].policy = "allkeys-lru" }
    #expect(unlimited.level == .change)
    let limited = try finding("redis memory") {
      $0.redis?.primaries[0].policy = "allkeys-lru"
      $0.redis?.primaries[0].limitBytes = 1 << 30
    }
    #expect(limited.level == .broken)
    let how = "redis-cli -h 10.0.0.7 -p 6379 config set maxmemory-policy noeviction, and in its redis.conf"
    #expect(limited.how == [how])
  }

  @Test func ofSeveralPrimariesTheWorstIsNamed() throws {
    let found = try finding("redis disk") {
      var other = RedisFacts.Primary(host: "10.0.0.8:6379", version: "7.2.0")
      other.appends = false
      $0.redis?.primaries.append(other)
    }
    #expect(found.level == .change && found.found.hasPrefix("10.0.0.8:6379: not appendonly"))
  }

  @Test func replicasAndClocksAreLookedAt() throws {
    #expect(try finding("redis replicas") { $0.redis?.primaries[0].replicas = 2 }.level == .change)
    let near = try finding("redis replicas") {
      $0.redis?.primaries[0].replicas = 2
      $0.redis?.primaries[0].needsReplicas = true
    }
    #expect(near.level == .fine)
    let behind = try finding("redis clock") { $0.redis?.primaries[0].aheadMilliseconds = -90_000 }
    #expect(behind.level == .change && behind.found == "90000 ms behind this machine's")
    #expect(try finding("redis clock") { $0.redis?.primaries[0].aheadMilliseconds = 40 }.level == .fine)
  }
}
