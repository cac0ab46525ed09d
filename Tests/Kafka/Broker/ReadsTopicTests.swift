import Chat
import Support
import Testing

@testable import Kafka

extension BrokerTests {
  /// Read positions through a broker.
  @Suite(.enabled(if: KafkaBroker.isApacheKafka, BrokerTests.needsApacheKafka))
  struct ReadsTopicTests {
    /// All of a partition, up to where it ends now, beside the same partition of the state topic.
    private func read(_ cluster: Cluster, _ partition: Int32) throws -> [ReadMark] {
      let marks = try Watermarks(cluster.configuration, topics: cluster.names, generation: Cluster.generation)
      let reader = try StateReader(
        cluster.configuration, topics: cluster.names, partitions: cluster.partitions)
      try reader.read(.state, partition: partition, reading: 4, upto: 0)
      try reader.read(.reads, partition: partition, reading: 4, upto: try marks.readsEnd(partition))
      var found: [ReadMark] = []
      var ended: Set<CompactedTopic> = []
      try eventually("both ends") {
        _ = reader.drain()
        for i in 0..<reader.count {
          let source = reader.source(i)
          #expect(source.partition == partition && source.reading == 4)
          switch reader.fetched(i) {
          case .position(let mark): found.append(mark)
          case .ended: ended.insert(source.topic)
          case .row, .foreign, .failed: throw TestFailure("not a position")
          case nil: break
          }
        }
        return ended == [.state, .reads]
      }
      return found
    }

    @Test func positionsAreReadFromTheirPartitionUpToTheEndThatWasAskedFor() throws {
      let cluster = try Cluster(partitions: 2)
      let producer = try InboxProducer(cluster.configuration, topics: cluster.names)
      let written = (0..<1_000).map { ReadsTests.mark("u\($0 % 300)", "room:r", Cluster.base + Seq($0)) }
      for mark in written { producer.reads.send(mark, partition: 1) }
      #expect(producer.reads.pendingCount == written.count)
      try eventually("the reports") {
        producer.drain()
        return producer.reads.pendingCount == 0
      }
      #expect(producer.reads.writtenCount == written.count && producer.reads.droppedCount == 0)
      #expect(producer.failures.isEmpty)
      let found = try read(cluster, 1)
      #expect(found.map(\.seq) == written.map(\.seq) && found.map(\.user) == written.map(\.user))
      #expect(try read(cluster, 0).isEmpty)
    }

    @Test func whatTheBrokersDoNotTakeIsCounted() throws {
      let cluster = try Cluster(partitions: 1)
      let producer = try InboxProducer(cluster.configuration, topics: cluster.names)
      // No broker has such a partition.
      producer.reads.send(ReadsTests.mark("a", "room:r", 5), partition: 7)
      try eventually("the report") {
        producer.drain()
        return producer.reads.droppedCount == 1
      }
      #expect(producer.reads.pendingCount == 0 && producer.reads.writtenCount == 0)
    }

    @Test func theTopicIsCompactedInSegmentsOfItsOwnSize() throws {
      let cluster = try Cluster(partitions: 1)
      let topics = try Topics(cluster.configuration, names: cluster.names)
      #expect(try topics.ensure(.reads(cluster.names, partitions: 1)).isEmpty)
      var other = TopicPlan.reads(cluster.names, partitions: 1)
      #expect(other.settings.contains { $0.name == "cleanup.policy" && $0.value == "compact" && $0.isVital })
      for i in other.settings.indices where other.settings[i].name == "segment.bytes" {
        other.settings[i].value = "1048576"
      }
      #expect(try topics.ensure(other).map(\.found) == ["\(TopicPlan.readsSegmentBytes)"])
    }
  }
}
