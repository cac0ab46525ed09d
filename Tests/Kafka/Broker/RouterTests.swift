import Chat
import Glibc
import Support
import Testing

@testable import Kafka

extension BrokerTests {
  /// Who owns a partition, and what of its state counts.
  @Suite(.enabled(if: KafkaBroker.isApacheKafka, BrokerTests.needsApacheKafka))
  struct RouterTests {
    private func join(_ cluster: Cluster, _ instance: String) throws -> RouterGroup {
      try RouterGroup(
        cluster.configuration, topics: cluster.names, generation: Cluster.generation, instance: instance)
    }

    private func store(_ cluster: Cluster, _ instance: String) throws -> StateStore {
      try StateStore(
        cluster.configuration, topics: cluster.names, generation: Cluster.generation,
        partitions: cluster.partitions, instance: instance)
    }

    /// Drains until the member's last event is one that fits.
    @discardableResult
    private func wait(
      _ what: String, _ groups: RouterGroup..., where fits: ([GroupEvent?]) -> Bool
    ) throws -> [GroupEvent?] {
      try eventually(what) {
        for group in groups { group.drain() }
        return fits(groups.map(\.events.last))
      }
      return groups.map(\.events.last)
    }

    private func partitions(_ event: GroupEvent?) -> [Int32]? {
      if case .assigned(let partitions)? = event { partitions } else { nil }
    }

    private func row(_ n: Int64, _ user: String = "bob") -> StateRow {
      StateRow(
        chat: Array("room:a".utf8), seq: Cluster.base + n,
        value: .member(user: Array(user.utf8), role: .member))
    }

    /// All rows of a partition up to where it ends now, uncommitted ones included.
    private func restore(_ cluster: Cluster, _ partition: Int32, meanwhile: () throws -> Void = {}) throws
      -> [StateRow]
    {
      let marks = try Watermarks(cluster.configuration, topics: cluster.names, generation: Cluster.generation)
      let end = try marks.stateEnd(partition)
      let reader = try StateReader(
        cluster.configuration, topics: cluster.names, partitions: cluster.partitions)
      try reader.read(.state, partition: partition, reading: 3, upto: end)
      try meanwhile()
      var rows: [StateRow] = []
      var hasEnded = false
      try eventually("the last row") {
        _ = reader.drain()
        for i in 0..<reader.count {
          #expect(reader.source(i) == (.state, partition, 3))
          switch reader.fetched(i) {
          case .row(let row): rows.append(row)
          case .ended: hasEnded = true
          case .position, .foreign, .failed: throw TestFailure("not a row")
          case nil: break
          }
        }
        return hasEnded
      }
      return rows
    }

    @Test func aMemberThatComesBackHasItsPartitionsAtOnceAndNobodyElseNotices() throws {
      let cluster = try Cluster(partitions: 4)
      var first: RouterGroup? = try join(cluster, "s1")
      let second = try join(cluster, "s2")
      let shares = try wait("two shares", first!, second) {
        partitions($0[0])?.count == 2 && partitions($0[1])?.count == 2
      }
      second.eventsTaken()
      first = nil
      let again = try join(cluster, "s1")
      #expect(try wait("its share", again, second) { partitions($0[0]) != nil }[0] == shares[0])
      #expect(second.events.isEmpty)
    }

    /// Otherwise each server that joins would make the others' transactions fail.
    @Test func aTransactionUnderWayIsWaitedForBeforePartitionsAreDividedAnew() throws {
      let cluster = try Cluster(partitions: 2)
      let first = try join(cluster, "s1")
      try wait("all partitions", first) { partitions($0[0]) == [0, 1] }
      let store = try store(cluster, "s1")
      let member = first.metadata()
      first.isHeld = true
      let second = try join(cluster, "s2")
      try wait("that they are asked back", first, second) { $0[0] == .revoked }
      // Time in which the group would divide them if it did not wait.
      for _ in 0..<20 {
        first.drain()
        second.drain()
        usleep(50_000)
      }
      #expect(second.events.isEmpty)
      try store.commit([StateCommit(partition: 1, upto: Cluster.base + 4, rows: [row(1)])], as: member)
      first.isHeld = false
      try wait("two shares", first, second) {
        partitions($0[0])?.count == 1 && partitions($0[1])?.count == 1
      }
      let late = #expect(throws: KafkaError.self) {
        try store.commit([StateCommit(partition: 1, upto: Cluster.base + 5, rows: [])], as: member)
      }
      #expect(late?.cause == "ILLEGAL_GENERATION")
      #expect(try second.committed([1]) == [Cluster.base + 4])
    }

    @Test func aStandInFencesTheOneItStandsInFor() throws {
      let cluster = try Cluster(partitions: 2)
      let slow = try join(cluster, "s1")
      try wait("all partitions", slow) { partitions($0[0]) == [0, 1] }
      let slowStore = try store(cluster, "s1")
      let slowMember = slow.metadata()
      try slowStore.commit(
        [StateCommit(partition: 0, upto: Cluster.base + 4, rows: [row(1)])], as: slowMember)

      let standIn = try join(cluster, "s1")
      try wait("the stand-in's partitions", standIn) { partitions($0[0]) == [0, 1] }
      // Only its place in the group was taken so far: its transactions must fail by that alone.
      let failure = #expect(throws: KafkaError.self) {
        try slowStore.commit(
          [StateCommit(partition: 0, upto: Cluster.base + 9, rows: [row(9)])], as: slowMember)
      }
      #expect(failure?.code == .fenced, "\(String(describing: failure))")
      try wait("word of it", slow) { $0[0] == .fenced }

      let store = try store(cluster, "s1")
      #expect(try standIn.committed([0, 1]) == [Cluster.base + 4, nil])
      try store.commit(
        [StateCommit(partition: 0, upto: Cluster.base + 5, rows: [row(2, "eve")])], as: standIn.metadata())
      #expect(try standIn.committed([0]) == [Cluster.base + 5])
      #expect(try restore(cluster, 0) == [row(1), row(2, "eve")])
    }

    @Test func aStoreThatAnotherReplacedIsFenced() throws {
      let cluster = try Cluster(partitions: 1)
      let member = try join(cluster, "s1")
      try wait("the partition", member) { partitions($0[0]) == [0] }
      let first = try store(cluster, "s1")
      let second = try store(cluster, "s1")
      let failure = #expect(throws: KafkaError.self) {
        try first.commit(
          [StateCommit(partition: 0, upto: Cluster.base, rows: [row(1)])], as: member.metadata())
      }
      #expect(failure?.code == .fenced, "\(String(describing: failure))")
      try second.commit(
        [StateCommit(partition: 0, upto: Cluster.base, rows: [row(2)])], as: member.metadata())
      #expect(try restore(cluster, 0) == [row(2)])
    }

    @Test func rowsAndPositionsOfAKilledTransactionDoNotCountAndHoldNobodyUp() throws {
      let cluster = try Cluster(partitions: 1)
      let member = try join(cluster, "s1")
      try wait("the partition", member) { partitions($0[0]) == [0] }
      var dead: StateStore? = try store(cluster, "s1")
      let forgotten = StateRow(chat: Array("room:a".utf8), seq: 7, value: .forgottenOutcome)
      try dead?.commit(
        [StateCommit(partition: 0, upto: Cluster.base + 1, rows: [row(1), forgotten])], as: member.metadata())
      try dead?.write(
        [StateCommit(partition: 0, upto: Cluster.base + 2, rows: [row(2)])], as: member.metadata())
      dead = nil
      var heir: StateStore?
      let rows = try restore(cluster, 0) {
        // Its rows lie below the end; only who takes its place ends its transaction.
        heir = try store(cluster, "s1")
      }
      #expect(rows == [row(1), forgotten])
      #expect(try member.committed([0]) == [Cluster.base + 1])
      try heir?.commit(
        [StateCommit(partition: 0, upto: Cluster.base + 3, rows: [row(3)])], as: member.metadata())
      #expect(try restore(cluster, 0) == [row(1), forgotten, row(3)])
    }
  }
}
