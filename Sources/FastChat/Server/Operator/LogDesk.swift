import Chat
import Glibc
import Kafka

/// Kafka as the commands of an operator ask it. All calls wait; none makes or writes anything.
final class LogDesk {
  /// Milliseconds without anything to read after which reading is given up, and between two looks.
  private static let patienceMilliseconds = 20_000
  private static let lookMilliseconds = 2

  let generation: Int64
  let partitions: Int32
  let logID: String
  private let names: TopicNames
  private let watermarks: Watermarks
  private let positions: CommittedPositions
  private let log: LogConsumer
  private let state: StateReader
  private var lastReading: UInt64 = 0

  /// The newest generation of a cluster's log.
  convenience init(_ cluster: ClusterConfiguration) throws(StartFailure) {
    do throws(KafkaError) {
      let settings = cluster.kafkaSettings.map { ($0.name, $0.value) }
      let configuration = try KafkaConfiguration(
        brokers: cluster.brokers, settings: Dictionary(settings) { $1 }, clientID: "fastchat-operator")
      let names = TopicNames(prefix: cluster.topicPrefix)
      let topics = try Topics(configuration, names: names)
      _ = try topics.brokers(milliseconds: ClusterStart.firstWordMilliseconds)
      guard let newest = try topics.newestLog() else {
        throw KafkaError(
          .noTopic,
          "there is no Kafka topic \(names.log(generation: 1)): no server was started here with this --kafka-prefix"
        )
      }
      guard let id = try LogIdentity.read(configuration, topics: names, partitions: newest.partitions) else {
        throw KafkaError(
          .wrongTopic, "the Kafka topic \(names.state) is empty: it does not say which log this is")
      }
      try self.init(configuration, names, newest.generation, partitions: newest.partitions, logID: id)
    } catch {
      throw StartFailure(error.description)
    }
  }

  init(
    _ configuration: KafkaConfiguration, _ names: TopicNames, _ generation: Int64, partitions: Int32,
    logID: String
  ) throws(KafkaError) {
    (self.names, self.generation, self.partitions, self.logID) = (names, generation, partitions, logID)
    watermarks = try Watermarks(configuration, topics: names, generation: generation)
    positions = try CommittedPositions(configuration, topics: names, generation: generation)
    log = try LogConsumer(
      configuration, topics: names, generation: generation, partitions: partitions, led: false)
    state = try StateReader(configuration, topics: names, partitions: partitions)
  }

  /// The seqs of the first record and of the last one; the last is the first's predecessor where there is none.
  func ends(_ partition: Int32) throws(StartFailure) -> (first: Seq, last: Seq) {
    try asking { () throws(KafkaError) in
      (try watermarks.logBeginning(partition), try watermarks.logEnd(partition))
    }
  }

  /// Up to where the group has committed; nil where it never did.
  func committed(_ partition: Int32) throws(StartFailure) -> Seq? {
    try asking { () throws(KafkaError) in try positions.committed(partition) }
  }

  /// The first record that the log took at that time or later; the one behind its end where there is none.
  func first(_ partition: Int32, since time: WallTime) throws(StartFailure) -> Seq {
    try asking { () throws(KafkaError) in
      if let first = try watermarks.firstRecords([partition], since: time)[0] { return first }
      return try watermarks.logEnd(partition) + 1
    }
  }

  /// The records of a partition above `after` and up to `upto`, in order.
  func records(
    _ partition: Int32, after: Seq, upto: Seq, each: (borrowing LogRecord) throws(StartFailure) -> Void
  ) throws(StartFailure) {
    guard after < upto else { return }
    lastReading += 1
    try asking { () throws(KafkaError) in
      try log.read(partition: partition, reading: lastReading, after: after)
    }
    defer { log.stop(partition: partition) }
    var last = after
    var quiet = 0
    while last < upto {
      _ = log.drain()
      try Self.pause(&quiet, hasRead: log.count > 0, "partition \(partition) of the log")
      for i in 0..<log.count where last < upto {
        switch log.fetched(i) {
        case .record(let record):
          if record.seq <= upto { try each(record) }
          last = record.seq
        case .foreign(let seq, _), .refilled(_, let seq, _), .refillEnded(let seq, _): last = seq
        case .outOfRange:
          throw StartFailure("partition \(partition) of the log does not reach back to \(after + 1)")
        case .failed: continue
        }
      }
    }
  }

  /// The committed rows of the state topic, in order; of those with one key the last one counts.
  func rows(
    _ partition: Int32, each: (StateRow) throws(StartFailure) -> Void
  ) throws(StartFailure) {
    lastReading += 1
    try Self.rows(partition, of: state, watermarks, reading: lastReading, name: names.state, each: each)
  }

  static func rows(
    _ partition: Int32, of state: StateReader, _ watermarks: Watermarks, reading: UInt64, name: String,
    each: (StateRow) throws(StartFailure) -> Void
  ) throws(StartFailure) {
    do throws(KafkaError) {
      let end = try watermarks.stateEnd(partition)
      guard end > 0 else { return }
      try state.read(.state, partition: partition, reading: reading, upto: end)
    } catch {
      throw StartFailure(error.description)
    }
    defer { state.stop(.state, partition: partition) }
    var quiet = 0
    while true {
      _ = state.drain()
      try pause(&quiet, hasRead: state.count > 0, "partition \(partition) of \(name)")
      for i in 0..<state.count {
        switch state.fetched(i) {
        case .row(let row): try each(row)
        case .ended: return
        case .position, .foreign, .failed, nil: continue
        }
      }
    }
  }

  private static func pause(_ quiet: inout Int, hasRead: Bool, _ what: String) throws(StartFailure) {
    quiet = hasRead ? 0 : quiet + lookMilliseconds
    guard !hasRead else { return }
    guard quiet < patienceMilliseconds else {
      throw StartFailure("\(what) cannot be read: nothing came for \(patienceMilliseconds / 1000) s")
    }
    usleep(UInt32(lookMilliseconds) * 1_000)
  }

  private func asking<Result>(_ body: () throws(KafkaError) -> Result) throws(StartFailure) -> Result {
    do throws(KafkaError) { return try body() } catch { throw StartFailure(error.description) }
  }
}
