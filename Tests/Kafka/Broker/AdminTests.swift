import Chat
import Support
import Testing

@testable import Kafka

extension BrokerTests {
  /// Topics are made as planned, and those that are not are told apart.
  @Suite(.enabled(if: KafkaBroker.isApacheKafka, BrokerTests.needsApacheKafka))
  struct AdminTests {
    private func plan(_ cluster: Cluster, partitions: Int32 = 4, retention: Int64 = 3_600_000) -> TopicPlan {
      .log(
        cluster.names, generation: Cluster.generation, partitions: partitions,
        retentionMilliseconds: retention)
    }

    @Test func aTopicThatIsThereAsPlannedIsTaken() throws {
      let cluster = try Cluster(partitions: 4)
      let topics = try Topics(cluster.configuration, names: cluster.names)
      #expect(try topics.brokers() == 1)
      #expect(try topics.ensure(plan(cluster)).isEmpty)
      #expect(try topics.ensure(.state(cluster.names, partitions: 4)).isEmpty)
      #expect(try topics.ensure(.reads(cluster.names, partitions: 4)).isEmpty)
      #expect(
        try topics.ensure(plan(cluster, retention: 60_000)).map(\.isVital) == [false], "kept for longer")
    }

    @Test func aTopicThatWouldBreakAPromiseIsRefusedByName() throws {
      let cluster = try Cluster(partitions: 4)
      let topics = try Topics(cluster.configuration, names: cluster.names)
      let tooShort = #expect(throws: KafkaError.self) {
        try topics.ensure(plan(cluster, retention: 7_200_000))
      }
      #expect(tooShort?.code == .wrongTopic)
      #expect(tooShort?.message.contains("has retention.ms 3600000, not 7200000") == true)
      let otherCount = #expect(throws: KafkaError.self) { try topics.ensure(plan(cluster, partitions: 8)) }
      #expect(otherCount?.code == .wrongTopic)
      #expect(otherCount?.message.contains("has 4 partitions, not 8") == true)

      // One that somebody else made, with what brokers do unless told.
      let names = TopicNames(prefix: cluster.names.prefix + "-bare")
      var bare = plan(cluster)
      bare.name = names.reads
      bare.settings = []
      try topics.ensure(bare)
      let deleting = #expect(throws: KafkaError.self) {
        try topics.ensure(.reads(names, partitions: 4))
      }
      #expect(deleting?.message.contains("has cleanup.policy delete, not compact") == true)
    }

    @Test func inboxesAreListedAndDeleted() throws {
      let cluster = try Cluster(partitions: 1)
      let topics = try Topics(cluster.configuration, names: cluster.names)
      let servers = [ServerEpoch(server: "s-1", epoch: 1), ServerEpoch(server: "s-1", epoch: .max)]
      for server in servers { try topics.ensure(.inbox(cluster.names, server)) }
      #expect(Set(try topics.inboxes()) == Set(servers))
      try topics.delete(cluster.names.inbox(servers[0]))
      try topics.delete(cluster.names.inbox(servers[0]))
      try eventually("its end") { try topics.inboxes() == [servers[1]] }
      #expect(try topics.exists(cluster.names.inbox(servers[1])))
      #expect(try !topics.exists(cluster.names.inbox(servers[0])))
    }

    @Test func aPartThatNeedsATopicSaysWhichOneIsMissing() throws {
      let cluster = try Cluster(partitions: 1)
      let failure = #expect(throws: KafkaError.self) {
        try LogConsumer(cluster.configuration, topics: cluster.names, generation: 9, partitions: 1)
      }
      #expect(failure?.code == .noTopic && failure?.message.contains("\(cluster.names.prefix).log.9") == true)
    }

    @Test func placesInTimeAndEndsAreThoseOfTheRecords() throws {
      let cluster = try Cluster(partitions: 2)
      let marks = try Watermarks(cluster.configuration, topics: cluster.names, generation: Cluster.generation)
      #expect(try marks.logEnd(0) == SeqSpace.nothingYet(generation: Cluster.generation))
      #expect(try marks.firstRecords([0, 1], since: 0) == [nil, nil])
      let sent = cluster.records(0..<20)
      _ = try cluster.producer().deliver(sent)
      let consumer = try cluster.consumer()
      let here = Int64(sent.count { $0.partition == 0 })
      #expect(try marks.logEnd(0) == Cluster.base + here - 1)
      #expect(try marks.logBeginning(0) == Cluster.base)
      #expect(try marks.stateEnd(0) == 0)

      try consumer.read(partition: 0, reading: 1, after: nil)
      guard case .record(let first) = try consumer.takeAny() else {
        Issue.record("no record")
        return
      }
      #expect(first.appended > 1_700_000_000_000, "when the log took it, not when the server did")
      #expect(try marks.firstRecords([0], since: first.appended) == [first.seq])
      #expect(try marks.firstRecords([0], since: first.appended + 3_600_000) == [nil])
    }
  }
}
