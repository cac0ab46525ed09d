import Chat
import Foundation
import Glibc
import Support
import Synchronization
import Testing

@testable import Kafka

extension BrokerTests {
  /// What one server sends another arrives, or is told to have failed.
  @Suite struct InboxTests {
    private let server = ServerEpoch(server: "s1", epoch: 0xFEED)

    private func batch(_ partition: Int32, bytes: Int = 100) -> Batch {
      // A hint of these takes about a hundred bytes.
      InboxCodecTests.batch(hints: max(1, bytes / 100), partition: partition)
    }

    /// Reads on until so many items came.
    private func take(_ wanted: Int, from consumer: InboxConsumer) throws -> (
      items: [InboxItem], records: Int
    ) {
      var items: [InboxItem] = []
      var records = 0
      try eventually("\(wanted) items") {
        _ = consumer.drain()
        for i in 0..<consumer.count {
          guard case .record(var record) = consumer.fetched(i) else {
            throw TestFailure("no record: \(consumer.fetched(i))")
          }
          records += 1
          while let item = record.next() { items.append(item) }
          #expect(!record.isBroken)
        }
        return items.count >= wanted
      }
      return (items, records)
    }

    @Test func aTurnsWordsForAServerGoAsOneRecordInOrder() throws {
      let cluster = try Cluster(partitions: 1)
      try cluster.makeInbox(server)
      let producer = try InboxProducer(cluster.configuration, topics: cluster.names)
      let consumer = try InboxConsumer(
        cluster.configuration, topics: cluster.names, partitions: 16, pins: TestPins())
      try consumer.read(server)
      #expect(try producer.send(batch(3), to: server))
      try producer.send(
        Verdict(
          origin: Origin(epoch: 0xFEED, session: SessionID(raw: 1), request: 2), outcome: .forbidden, seq: 3,
          time: 4),
        to: server)
      try producer.send(
        Ephemeral(chat: Array("room:a".utf8), origin: SessionID(raw: 5), json: Array("{}".utf8)), from: 6,
        to: server)
      try producer.send(ReplacedSession(server: server, session: SessionID(raw: 7)))
      producer.flush()
      let (items, records) = try take(4, from: consumer)
      #expect(records == 1)
      guard items.count == 4, case .batch(let batch) = items[0], case .verdict(let verdict) = items[1],
        case .ephemeral(_, let epoch) = items[2], case .replaced(let session) = items[3]
      else {
        Issue.record("other items: \(items)")
        return
      }
      #expect(batch.partition == 3 && verdict.outcome == .forbidden && epoch == 6 && session.raw == 7)

      // The next turn's is a record of its own.
      #expect(try producer.send(self.batch(4), to: server))
      producer.flush()
      #expect(try take(1, from: consumer).records == 1)
      #expect(producer.failures.isEmpty)
    }

    @Test func largeBatchesStayWhereTheyWereFetchedUntilTheLastOfThemGoes() throws {
      let cluster = try Cluster(partitions: 1)
      try cluster.makeInbox(server)
      let producer = try InboxProducer(cluster.configuration, topics: cluster.names)
      let pins = TestPins(max: 4)
      let large = batch(0, bytes: 50_000)
      var items: [InboxItem] = []
      do {
        let consumer = try InboxConsumer(
          cluster.configuration, topics: cluster.names, partitions: 16, pins: pins)
        try consumer.read(server)
        // Seven records of two batches each: the first four stay, the others are copied.
        for _ in 0..<7 {
          for _ in 0..<2 { #expect(try producer.send(large, to: server)) }
          producer.flush()
        }
        items = try take(14, from: consumer).items
        #expect(pins.count == 4)
        // Neither the next drain, nor the end of the reading, nor that of the consumer takes them away.
        _ = consumer.drain()
        consumer.stop()
      }
      var batches = items.compactMap { if case .batch(let batch) = $0 { batch } else { nil } }
      items = []
      #expect(batches.count == 14 && batches.filter(\.isLendable).count == 8)
      for batch in batches { #expect(batch.hints.bytes.elementsEqual(large.hints.bytes)) }
      #expect(pins.count == 4)
      batches.removeFirst()
      #expect(pins.count == 4)
      batches.removeFirst()
      #expect(pins.count == 3)
      // The last one, and with it librdkafka's handle, goes on another thread.
      let rest = Rest(batches)
      batches = []
      Thread.detachNewThread { rest.letGo() }
      try eventually("the end of what was kept") { pins.count == 0 }
    }

    @Test func whatIsTooMuchForARecordGoesInTwo() throws {
      let cluster = try Cluster(partitions: 1)
      try cluster.makeInbox(server)
      let producer = try InboxProducer(cluster.configuration, topics: cluster.names)
      let consumer = try InboxConsumer(
        cluster.configuration, topics: cluster.names, partitions: 16, pins: TestPins())
      try consumer.read(server)
      for partition in 0..<3 as Range<Int32> {
        #expect(try producer.send(batch(partition, bytes: 400_000), to: server))
      }
      producer.flush()
      let (items, records) = try take(3, from: consumer)
      #expect(records == 2)
      let partitions = items.map { if case .batch(let batch) = $0 { batch.partition } else { -1 as Int32 } }
      #expect(partitions == [0, 1, 2])
    }

    /// Nothing arrives at a broker that takes connections and never answers.
    @Test func anInboxTakesABoundedAmountThatIsOnItsWay() throws {
      let broker = try FakeServer { socket, _ in
        var byte: UInt8 = 0
        while recv(socket, &byte, 1, 0) > 0 {}
      }
      defer { broker.stop() }
      let producer = try InboxProducer(
        KafkaConfiguration(brokers: "127.0.0.1:\(broker.port)"), topics: TopicNames())
      let big = batch(0, bytes: 400_000)
      var sent = 0
      while try producer.send(big, to: server) { sent += InboxCodec.size(big) }
      #expect(
        sent > InboxProducer.targetBytes - 2 * InboxCodec.size(big) && sent <= InboxProducer.targetBytes)
    }

    @Test func whoIsNotSentToAnyMoreIsLetGoHoweverLateTheLastWordWas() throws {
      let cluster = try Cluster(partitions: 1)
      let gone = ServerEpoch(server: "gone", epoch: 1)
      try cluster.makeInbox(server)
      try cluster.makeInbox(gone)
      let producer = try InboxProducer(cluster.configuration, topics: cluster.names)
      let consumer = try InboxConsumer(
        cluster.configuration, topics: cluster.names, partitions: 16, pins: TestPins())
      func send(to server: ServerEpoch) throws {
        #expect(try producer.send(batch(3), to: server))
        producer.flush()
      }
      try send(to: gone)
      producer.forget(gone)
      try send(to: gone)
      // It arrived; its report comes by then or a little later.
      try consumer.read(gone)
      _ = try take(2, from: consumer)
      for _ in 0..<2 {
        producer.endRound()
        try send(to: server)
      }
      #expect(producer.failures.isEmpty)
      try eventually("an end") {
        producer.drain()
        producer.endRound()
        try send(to: server)
        return producer.openTopics == 1
      }
    }

    // The mock cluster makes a topic as soon as it is named.
    @Test(.enabled(if: KafkaBroker.isApacheKafka, BrokerTests.needsApacheKafka))
    func anInboxThatIsNotThereFailsByServerAndPartition() throws {
      let cluster = try Cluster(partitions: 1)
      let producer = try InboxProducer(cluster.configuration, topics: cluster.names)
      let gone = ServerEpoch(server: "gone", epoch: 1)
      #expect(try producer.send(batch(9), to: gone))
      producer.flush()
      try eventually("the failure") {
        producer.drain()
        return !producer.failures.isEmpty
      }
      #expect(producer.failures.map(\.server) == [gone] && producer.failures.map(\.partition) == [9])
      producer.forget(gone)
    }

    @Test(.enabled(if: KafkaBroker.isApacheKafka, BrokerTests.needsApacheKafka))
    func anInboxThatWasCutShortIsTold() throws {
      let cluster = try Cluster(partitions: 1)
      try cluster.makeInbox(server)
      let producer = try InboxProducer(cluster.configuration, topics: cluster.names)
      for _ in 0..<10 {
        #expect(try producer.send(batch(0), to: server))
        producer.flush()
      }
      let reader = try InboxConsumer(
        cluster.configuration, topics: cluster.names, partitions: 16, pins: TestPins())
      try reader.read(server)
      _ = try take(10, from: reader)
      try RawProducer(cluster.configuration).deleteRecords(of: cluster.names.inbox(server), below: 5)
      let late = try InboxConsumer(
        cluster.configuration, topics: cluster.names, partitions: 16, pins: TestPins())
      try late.read(server)
      try eventually("word that it was cut short") {
        _ = late.drain()
        return late.count > 0
      }
      guard case .outOfRange = late.fetched(0) else {
        Issue.record("not out of range: \(late.fetched(0))")
        return
      }
      // Read again, it gives what is left.
      try late.read(server)
      #expect(try take(5, from: late).items.count == 5)
    }

    @Test(.enabled(if: KafkaBroker.isApacheKafka, BrokerTests.needsApacheKafka))
    func anInboxThatIsGoneIsTold() throws {
      let cluster = try Cluster(partitions: 1)
      try cluster.makeInbox(server)
      let consumer = try InboxConsumer(
        cluster.configuration, topics: cluster.names, partitions: 16, pins: TestPins())
      try consumer.read(server)
      let producer = try InboxProducer(cluster.configuration, topics: cluster.names)
      #expect(try producer.send(batch(0), to: server))
      producer.flush()
      _ = try take(1, from: consumer)
      #expect(!consumer.isGone)
      try Topics(cluster.configuration, names: cluster.names).delete(cluster.names.inbox(server))
      try eventually("word that it is gone") {
        _ = consumer.drain()
        return consumer.isGone
      }
      let next = ServerEpoch(server: "s1", epoch: 2)
      try cluster.makeInbox(next)
      try consumer.read(next)
      #expect(!consumer.isGone)
      #expect(try producer.send(batch(0), to: next))
      producer.flush()
      #expect(try take(1, from: consumer).items.count == 1)
      #expect(!consumer.isGone)
    }
  }
}

/// What another thread is to let go.
private final class Rest: Sendable {
  private let batches: Mutex<[Batch]>

  init(_ batches: [Batch]) { self.batches = Mutex(batches) }

  func letGo() { batches.withLock { $0 = [] } }
}
