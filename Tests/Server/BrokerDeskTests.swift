import Chat
import Glibc
import Kafka
import Support
import Testing

@testable import Server

/// What the router's helper does for it, with real brokers.
@Suite(.serialized, .enabled(if: KafkaBroker.isApacheKafka, "needs Apache Kafka, which cannot be had here"))
struct BrokerDeskTests {
  private static let partitions: Int32 = 3
  private static let base = SeqSpace.base(generation: 1)

  /// A desk on topics with one copy each, and a member of the group that has all partitions.
  private func desk(_ broker: KafkaBroker) throws -> (BrokerDesk, RouterGroup) {
    let configuration = try KafkaConfiguration(brokers: broker.addresses)
    let names = TopicNames(prefix: "desk")
    let topics = try Topics(configuration, names: names, replication: 1)
    for plan in ClusterStart.plans(names, generation: 1, partitions: Self.partitions, Limits()) {
      try topics.ensure(plan)
    }
    let group = try RouterGroup(configuration, topics: names, generation: 1, instance: "s1")
    try eventually("a place in the group") {
      group.drain()
      return group.events.contains(.assigned([0, 1, 2]))
    }
    let marks = try Watermarks(configuration, topics: names, generation: 1)
    return (
      BrokerDesk(
        configuration, topics: topics, watermarks: marks, generation: 1, partitions: Self.partitions),
      group
    )
  }

  private func eventually(_ what: String, _ holds: () throws -> Bool) throws {
    let deadline = Deadline.after(.seconds(90))
    while try !holds() {
      guard !deadline.hasPassed else { throw TestFailure("\(what) did not come") }
      usleep(20_000)
    }
  }

  /// Rows and a position for each partition, and those for which that was done.
  private func commit(_ desk: BrokerDesk, _ group: RouterGroup, upto: Int64) -> Set<Int32> {
    group.drain()
    let seq = Self.base + upto
    let row = StateRow(
      chat: Array("room:a".utf8), seq: seq, value: .member(user: Array("bob".utf8), role: .member))
    let all = Int32(0)..<Self.partitions
    let answer = desk.perform(
      .commit(
        instance: "s1", isStandIn: false, all.map { StateCommit(partition: $0, upto: seq, rows: [row]) },
        group.metadata()))
    return Set(all.filter(answer.hasCommitted))
  }

  @Test func aPartitionWithoutALeaderHoldsUpNoOther() throws {
    let broker = try KafkaBroker(brokers: 3)
    let (desk, group) = try desk(broker)
    // Questions about a partition that nobody leads take their whole time, and positions do not wait for them.
    let positions = BrokerJob.commit(instance: "s1", isStandIn: false, [], group.metadata())
    #expect(positions.rank < BrokerJob.stateRange(GroupReference(group: group), 0).rank)
    try eventually("a first commit") { commit(desk, group, upto: 1) == [0, 1, 2] }
    try broker.kill(3)
    var done: Set<Int32> = []
    try eventually("a commit without the partition") {
      done = commit(desk, group, upto: 2)
      return done.count == 2
    }
    #expect(commit(desk, group, upto: 3) == done)
    let missing = Set(0..<Self.partitions).subtracting(done)
    #expect(try group.committed(missing.sorted()) == [Self.base + 1])
    // Who asks where such a partition ends is told that nobody knows, and holds up no other question either.
    let led = (0..<Self.partitions).filter { partition in
      if case .seq = desk.perform(.logEnd(partition)) { true } else { false }
    }
    #expect(led.count == 2)
    try broker.resume(3)
    try eventually("a commit with it again") { commit(desk, group, upto: 4) == [0, 1, 2] }
    #expect(try group.committed(missing.sorted()) == [Self.base + 4])
  }
}
