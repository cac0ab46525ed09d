import Chat
import JSON
import Support
import Testing

@testable import Kafka

extension BrokerTests {
  /// A broker of its own dies as by a power cut of its process, and comes back.
  @Suite(.enabled(if: KafkaBroker.isApacheKafka, BrokerTests.needsApacheKafka))
  struct DeathTests {
    @Test func whatWasAcknowledgedOutlivesABrokerThatIsKilledUnderLoad() throws {
      let broker = try KafkaBroker()
      defer { broker.stop() }
      let cluster = try Cluster(partitions: 2, on: broker)
      let producer = try cluster.producer()
      let impatient = try ReportedProducer(cluster, pendingRecords: 10, timeoutMilliseconds: 1_000)
      let consumer = try cluster.consumer()
      for partition in 0..<2 as Range<Int32> {
        try consumer.read(partition: partition, reading: 1, after: nil)
      }
      let sent = cluster.records(0..<3_000)
      var reports = try producer.deliver(Array(sent[..<1_000]))

      // Half of the rest is on its way when the broker dies, the other half is handed over while it is down.
      let waiting = run(Array(sent[1_000..<2_000]))
      let taken = producer.log.append(waiting.bytes)
      #expect(taken == waiting.count)
      try broker.kill()
      let down = run(Array(sent[2_000...]))
      _ = producer.log.append(down.bytes)
      try producer.log.drain()
      #expect(producer.log.pendingCount > 0)
      // What failed is told once, and by its delivery report: the hook says nothing of it.
      let failed = try impatient.deliver(cluster.records(5_000..<5_010))
      let ends = failed.filter { if case .fail = $0.decision { true } else { false } }
      #expect(failed.count == 10 && ends.count == 10 && impatient.log.pendingCount == 0)
      try broker.resume()
      try eventually("all reports", .after(.seconds(40))) {
        try producer.log.drain()
        return producer.log.pendingCount == 0
      }
      reports += producer.takeReports()

      // The idempotent producer leaves no gap and writes nothing twice.
      let read = try consumer.take(sent.count, .after(.seconds(40)))
      #expect(read.count == sent.count)
      for partition in 0..<2 as Range<Int32> {
        #expect(
          read.filter { $0.partition == partition }.map(\.record) == sent.filter { $0.partition == partition }
        )
      }
      let places = Dictionary(uniqueKeysWithValues: read.map { ($0.record.origin.request, $0.seq) })
      var acknowledged = 0
      for report in reports {
        guard case .acknowledge(let seq) = report.decision else { continue }
        acknowledged += 1
        #expect(places[report.origin.request] == seq)
      }
      #expect(acknowledged >= 1_000)
    }
  }
}
