import Chat
import Dispatch
import Glibc
import JSON
import Support
import Testing

@testable import Kafka

extension BrokerTests {
  /// What goes into the log comes out of it, at the places that were reported.
  @Suite struct LogTests {
    @Test func recordsComeBackWhereTheirReportsSaid() throws {
      let cluster = try Cluster()
      let sent = cluster.records(0..<3_000)
      let reports = try cluster.producer().deliver(sent)

      let consumer = try cluster.consumer()
      for partition in 0..<cluster.partitions {
        try consumer.read(partition: partition, reading: 7, after: nil)
      }
      let read = try consumer.take(sent.count)
      #expect(read.count == sent.count && read.allSatisfy { $0.reading == 7 })

      for partition in 0..<cluster.partitions {
        let here = read.filter { $0.partition == partition }
        #expect(here.map(\.record) == sent.filter { $0.partition == partition }, "all of it in order")
        #expect(here.map(\.seq) == (0..<here.count).map { Cluster.base + Int64($0) })
        let acknowledged = reports.filter { $0.partition == partition }
        #expect(acknowledged.map(\.decision) == here.map { .acknowledge($0.seq) })
        #expect(acknowledged.map(\.origin) == here.map(\.record.origin))
      }
      #expect(reports.allSatisfy { $0.isFirstSend && $0.time == 1_700_000_000_000 })
    }

    @Test func repeatsAndJoinsAreLeftToTheOwner() throws {
      let cluster = try Cluster()
      var again = cluster.record(0, chat: "room:a")
      again.isRepeat = true
      var join = cluster.record(1, chat: "room:a")
      join.kind = .join
      join.body = ""
      let reports = try cluster.producer().deliver([again, join])
      #expect(reports.map(\.decision) == [.leaveToOwner, .leaveToOwner])
    }

    @Test func whatIsReadWakesWhoeverWaitsAndAReportNeedsNobodyToDrain() throws {
      let cluster = try Cluster()
      let producer = try cluster.producer()
      let consumer = try cluster.consumer()
      let record = cluster.record(0, chat: "room:a")
      try consumer.read(partition: record.partition, reading: 1, after: nil)
      let bytes = run([record])
      let taken = producer.log.append(bytes.bytes, stamp: 5)
      #expect(taken == bytes.count)
      try eventually("the report") { producer.log.pendingCount == 0 }
      #expect(producer.takeReports().map(\.stamp) == [5] && producer.log.acknowledgedAt != nil)
      #expect(becomesReadable(consumer.descriptor))
      #expect(try consumer.take(1).map(\.record) == [record])
    }

    @Test func whatDoesNotFitIsNotTakenAndGoesLater() throws {
      let cluster = try Cluster(partitions: 1)
      // It waits a while with what it is given, so that nothing arrives while it is being filled.
      let slow = try KafkaConfiguration(brokers: cluster.broker.addresses, settings: ["linger.ms": "500"])
      let producer = try ReportedProducer(cluster, configuration: slow, pendingRecords: 10)
      let sent = cluster.records(0..<25)
      let all = run(sent)
      let taken = producer.log.append(all.bytes)
      #expect(taken == run(Array(sent[..<10])).count)

      _ = try producer.deliver(Array(sent[10...]))
      let consumer = try cluster.consumer()
      try consumer.read(partition: 0, reading: 1, after: nil)
      #expect(try consumer.take(25).map(\.record) == sent)
    }

    /// As shards do. What each one appends stays in its order, and every record has its own report.
    @Test func manyThreadsAppend() throws {
      let cluster = try Cluster(partitions: 2)
      let producer = try cluster.producer(pendingRecords: 100)
      let threads = 4
      let perThread = 500
      let log = producer.log
      let group = DispatchGroup()
      for thread in 0..<threads {
        DispatchQueue.global().async(group: group) {
          let all = run(cluster.records(thread * perThread..<(thread + 1) * perThread))
          var taken = 0
          while taken < all.count {
            taken += log.append(UnsafeRawBufferPointer(rebasing: all.bytes[taken...]))
            usleep(100)
          }
        }
      }
      #expect(group.wait(timeout: .now() + 60) == .success)
      try eventually("all reports") { log.pendingCount == 0 }
      let reports = producer.takeReports()
      #expect(reports.count == threads * perThread)
      #expect(Set(reports.map(\.origin.request)).count == reports.count)

      let consumer = try cluster.consumer()
      for partition in 0..<2 as Range<Int32> {
        try consumer.read(partition: partition, reading: 1, after: nil)
      }
      let read = try consumer.take(reports.count)
      let places = Dictionary(uniqueKeysWithValues: read.map { ($0.record.origin.request, $0.seq) })
      for report in reports { #expect(report.decision == .acknowledge(places[report.origin.request]!)) }
      for partition in 0..<2 as Range<Int32> {
        for thread in 0..<threads {
          let requests = read.filter { $0.partition == partition }.map { Int($0.record.origin.request) }
            .filter { ($0 - 1) / perThread == thread }
          #expect(requests == requests.sorted())
        }
      }
    }

    @Test func aReadingBeginsWhereItIsToldAndNothingOfTheOneBeforeFollows() throws {
      let cluster = try Cluster(partitions: 1)
      _ = try cluster.producer().deliver(cluster.records(0..<2_000))
      let consumer = try cluster.consumer()
      for reading in 1...20 as ClosedRange<UInt64> {
        // The one before has more in its queue than was taken of it.
        let first = Int64(reading) * 50
        try consumer.read(partition: 0, reading: reading, after: Cluster.base + first - 1)
        let read = try consumer.take(10)
        #expect(read.allSatisfy { $0.reading == reading })
        #expect(read.map(\.seq) == (0..<read.count).map { Cluster.base + first + Int64($0) })
      }
    }

    @Test func aPausedPartitionHandsNothingOverAndLosesNothing() throws {
      let cluster = try Cluster(partitions: 2)
      let sent = cluster.records(0..<400)
      _ = try cluster.producer().deliver(sent)
      let consumer = try cluster.consumer()
      try consumer.read(partition: 0, reading: 1, after: nil)
      try consumer.read(partition: 1, reading: 2, after: nil)
      consumer.pause(partition: 0)
      let other = sent.filter { $0.partition == 1 }
      #expect(try consumer.take(other.count).map(\.record) == other)
      #expect(consumer.drain() == false && consumer.count == 0)
      consumer.resume(partition: 0)
      let held = sent.filter { $0.partition == 0 }
      #expect(try consumer.take(held.count).map(\.record) == held)
    }

    @Test func aPlaceThatIsNotThereIsTold() throws {
      let cluster = try Cluster(partitions: 1)
      _ = try cluster.producer().deliver(cluster.records(0..<3))
      let consumer = try cluster.consumer()
      try consumer.read(partition: 0, reading: 1, after: Cluster.base + 100)
      guard case .outOfRange = try consumer.takeAny() else {
        Issue.record("not out of range: \(consumer.fetched(0))")
        return
      }
      // Another reading of the same partition goes well.
      try consumer.read(partition: 0, reading: 2, after: nil)
      #expect(try consumer.take(3).map(\.reading) == [2, 2, 2])
    }

    @Test func recordsThatAreNotOursArePassedByAndCounted() throws {
      let cluster = try Cluster(partitions: 1)
      try RawProducer(cluster.configuration).produce(
        to: cluster.names.log(generation: Cluster.generation), key: "someone else's", value: "x")
      _ = try cluster.producer().deliver(cluster.records(0..<1))
      let consumer = try cluster.consumer()
      try consumer.read(partition: 0, reading: 1, after: nil)
      guard case .foreign(let seq, _) = try consumer.takeAny() else {
        Issue.record("not foreign: \(consumer.fetched(0))")
        return
      }
      #expect(seq == Cluster.base && consumer.foreignCount == 1)
      #expect(consumer.takeNotices().filter { $0.text.contains("passed by") }.count == 1)
    }

    @Test func aMessageThatIsKeptOutlivesTheNextDrain() throws {
      let cluster = try Cluster(partitions: 1)
      _ = try cluster.producer().deliver(cluster.records(0..<50))
      let kept: KeptMessage
      do {
        let consumer = try cluster.consumer()
        try consumer.read(partition: 0, reading: 1, after: nil)
        _ = try consumer.takeAny()
        kept = consumer.keep(0)
        _ = consumer.drain()
      }
      #expect(
        String(decoding: kept.value, as: UTF8.self).contains("\"id\":\"m0\""), "the consumer itself is gone")
    }

    @Test func aProducerThatFailedForGoodTellsItsSendersAndBeginsAnew() throws {
      let cluster = try Cluster(partitions: 1)
      let producer = try cluster.producer()
      _ = try producer.deliver(cluster.records(0..<10))
      producer.log.failForTest()
      let reports = try producer.deliver(cluster.records(10..<20))
      for report in reports {
        guard case .fail = report.decision else {
          Issue.record("\(report.decision)")
          continue
        }
      }
      #expect(producer.log.restarts == 1 && producer.log.pendingCount == 0)
      let after = try producer.deliver(cluster.records(20..<30))
      let acknowledged = after.filter { if case .acknowledge = $0.decision { true } else { false } }
      #expect(acknowledged.count == 10)
    }

    @Test func aFailureForGoodIsToldByAppendAndTheOldDescriptorIsOpenUntilItIsTaken() throws {
      let cluster = try Cluster(partitions: 1)
      let producer = try cluster.producer()
      let log = producer.log
      let old = log.descriptor
      #expect(!log.wantsDrain && log.takeRetired() == nil)
      producer.log.failForTest()
      let bytes = run(cluster.records(0..<1))
      let taken = log.append(bytes.bytes)
      #expect(taken == bytes.count && log.wantsDrain)
      #expect(producer.takeReports().map(\.decision) == [.fail(mayHavePersisted: false)])
      #expect(becomesReadable(old), "a failure wakes whoever drains")
      try log.drain()
      #expect(!log.wantsDrain && log.restarts == 1)
      // Were it closed, the new one would have its number, or somebody else.
      #expect(log.descriptor != old && fcntl(old, F_GETFD) >= 0)
      let retired = log.takeRetired()
      #expect(retired != nil && log.takeRetired() == nil)
    }
  }
}
