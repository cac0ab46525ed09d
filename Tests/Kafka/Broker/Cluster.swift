import Chat
import Glibc
import JSON
import Support
import Synchronization
import Testing

@testable import Kafka

/// All tests that use the run's broker: one after the other, since two cores carry it and them.
@Suite(.serialized) struct BrokerTests {
  static let needsApacheKafka: Comment = "needs Apache Kafka, which cannot be had here"
}

/// Topics of one test on the run's broker.
struct Cluster {
  let broker: KafkaBroker
  let configuration: KafkaConfiguration
  let names: TopicNames
  let partitions: Int32

  static let generation: Int64 = 2
  static let base = SeqSpace.base(generation: generation)
  private static let made = Atomic(0)

  /// Makes a log, a state topic and a reads topic.
  init(partitions: Int32 = 4, on other: KafkaBroker? = nil) throws {
    broker = try other ?? KafkaBroker.shared.get()
    self.partitions = partitions
    let number = Self.made.add(1, ordering: .relaxed).newValue
    names = TopicNames(prefix: "t\(getpid())-\(number)")
    // The mock cluster does not wake a fetch that waits.
    let settings = broker.kind == .mock ? ["fetch.wait.max.ms": "5"] : [:]
    configuration = try KafkaConfiguration(brokers: broker.addresses, settings: settings)
    switch broker.kind {
    case .apacheKafka:
      let topics = try Topics(configuration, names: names)
      try topics.ensure(
        .log(names, generation: Self.generation, partitions: partitions, retentionMilliseconds: 3_600_000))
      try topics.ensure(.state(names, partitions: partitions))
      try topics.ensure(.reads(names, partitions: partitions))
    case .mock:
      try broker.makeMockTopic(names.log(generation: Self.generation), partitions: Int(partitions))
      try broker.makeMockTopic(names.state, partitions: Int(partitions))
      try broker.makeMockTopic(names.reads, partitions: Int(partitions))
    }
  }

  func makeInbox(_ server: ServerEpoch) throws {
    switch broker.kind {
    case .apacheKafka: try Topics(configuration, names: names).ensure(.inbox(names, server))
    case .mock: try broker.makeMockTopic(names.inbox(server), partitions: 1)
    }
  }

  func producer(pendingRecords: Int = LogProducer.pendingRecords) throws -> ReportedProducer {
    try ReportedProducer(self, pendingRecords: pendingRecords)
  }

  func consumer() throws -> LogConsumer {
    try LogConsumer(configuration, topics: names, generation: Self.generation, partitions: partitions)
  }

  /// Record `n` of its chat, which decides its partition.
  func record(_ n: Int, chat: String) -> OwnedAppend {
    var record = OwnedAppend()
    record.chat = chat
    record.id = "m\(n)"
    record.body = "{\"n\":\(n)}"
    record.origin.request = UInt32(n + 1)
    record.partition = withBytes([chat]) { Partition.of($0[0], count: partitions) }
    return record
  }

  func records(_ range: Range<Int>, chats: Int = 16) -> [OwnedAppend] {
    range.map { record($0, chat: "room:r\($0 % chats)") }
  }
}

/// A run of appends, encoded.
func run(_ records: [OwnedAppend]) -> ByteBuffer {
  var run = ByteBuffer()
  for record in records { record.withAppend { AppendCodec.encode($0, into: &run) } }
  return run
}

/// Asks again and again until it is so. Bounds hang-ups; measures nothing.
func eventually(
  _ what: String, _ deadline: Deadline = .usual, _ isSo: () throws -> Bool
) throws {
  while try !isSo() {
    guard !deadline.hasPassed else { throw TestFailure("waited in vain for \(what)") }
    usleep(2_000)
  }
}

/// Whether a descriptor becomes readable in time.
func becomesReadable(_ descriptor: Int32) -> Bool {
  var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
  return Glibc.poll(&poll, 1, Deadline.usual.milliseconds) == 1
}

/// A producer with what it reported.
struct ReportedProducer {
  let log: LogProducer
  private let reported = Reports()

  private final class Reports: Sendable {
    let all = Mutex<[DeliveryReport]>([])
  }

  /// - Parameter configuration: another than the cluster's.
  init(
    _ cluster: Cluster, configuration: KafkaConfiguration? = nil, pendingRecords: Int,
    timeoutMilliseconds: Int = LogProducer.timeoutMilliseconds
  ) throws {
    let reported = reported
    log = try LogProducer(
      configuration ?? cluster.configuration, topics: cluster.names, generation: Cluster.generation,
      partitions: cluster.partitions, pendingRecords: pendingRecords,
      timeoutMilliseconds: timeoutMilliseconds
    ) { report in reported.all.withLock { $0.append(report) } }
  }

  /// What was reported since the last time, in the order in which it came.
  func takeReports() -> [DeliveryReport] {
    reported.all.withLock { all in
      defer { all = [] }
      return all
    }
  }

  /// Appends all and waits for their reports.
  func deliver(_ records: [OwnedAppend], _ deadline: Deadline = .usual) throws -> [DeliveryReport] {
    let all = run(records)
    var taken = 0
    var reports: [DeliveryReport] = []
    try eventually("\(records.count) reports", deadline) {
      taken += log.append(UnsafeRawBufferPointer(rebasing: all.bytes[taken...]))
      try log.drain()
      reports += takeReports()
      return taken == all.count && reports.count >= records.count
    }
    return reports
  }
}

/// A record as a test reads it.
struct ReadRecord: Equatable {
  var partition: Int32
  var reading: UInt64
  var seq: Seq
  var record: OwnedAppend
}

extension LogConsumer {
  /// Reads on until so many records came; anything else is a failure.
  func take(_ wanted: Int, _ deadline: Deadline = .usual) throws -> [ReadRecord] {
    var records: [ReadRecord] = []
    try eventually("\(wanted) records", deadline) {
      _ = drain()
      for i in 0..<count {
        let (partition, reading) = source(i)
        guard case .record(let record) = fetched(i) else { throw TestFailure("no record: \(fetched(i))") }
        records.append(
          ReadRecord(
            partition: partition, reading: reading, seq: record.seq, record: OwnedAppend(record.append)))
      }
      return records.count >= wanted
    }
    return records
  }

  /// Reads on until something came.
  func takeAny() throws -> LogFetch {
    try eventually("anything") {
      _ = drain()
      return count > 0
    }
    return fetched(0)
  }
}
