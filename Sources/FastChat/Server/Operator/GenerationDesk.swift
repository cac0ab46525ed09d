import Chat
import Glibc
import Kafka

/// Kafka as `fastchat new-generation` needs it: the old log as far as it is there, and what the new one is made of.
final class GenerationDesk {
  /// Milliseconds until a deleted topic is gone, and until the group of routers has no members.
  private static let goneMilliseconds = 30_000
  private static let emptyMilliseconds = 90_000
  /// Milliseconds that brokers may take to say who leads what.
  private static let leaderMilliseconds: Int32 = 10_000

  let configuration: KafkaConfiguration
  let names: TopicNames
  let topics: Topics
  let partitions: Int32
  let logID: String
  /// The newest generation that is complete and has a topic; nil where it was deleted.
  let old: Int64?
  /// One that was begun and is not complete.
  let begun: Int64?
  private let state: StateReader
  private let stateEnds: Watermarks
  private let retention: Int64

  init(_ cluster: ClusterConfiguration, _ limits: Limits) throws(StartFailure) {
    retention = limits.windowMilliseconds + ClusterStart.spareMilliseconds
    do throws(KafkaError) {
      let settings = cluster.kafkaSettings.map { ($0.name, $0.value) }
      configuration = try KafkaConfiguration(
        brokers: cluster.brokers, settings: Dictionary(settings) { $1 }, clientID: "fastchat-operator")
      names = TopicNames(prefix: cluster.topicPrefix)
      topics = try Topics(configuration, names: names, replication: Int(cluster.replication))
      _ = try topics.brokers(milliseconds: ClusterStart.firstWordMilliseconds)
      // The log's topic may be what is lost: the state topic has as many partitions.
      guard let partitions = try topics.partitions(of: names.state) else {
        throw KafkaError(
          .noTopic,
          "there is no Kafka topic \(names.state), without which nothing of the log is known; check --kafka-prefix"
        )
      }
      self.partitions = partitions
      let logs = try topics.logs()
      old = logs.last { $0.isComplete }?.generation
      begun = logs.last { !$0.isComplete }?.generation
      guard let id = try LogIdentity.read(configuration, topics: names, partitions: partitions) else {
        throw KafkaError(
          .wrongTopic, "the Kafka topic \(names.state) is empty: it does not say which log this is")
      }
      logID = id
      state = try StateReader(configuration, topics: names, partitions: partitions)
      stateEnds = try Watermarks(configuration, topics: names, generation: 1)
    } catch {
      throw StartFailure(error.description)
    }
  }

  func asking<Result>(_ body: () throws(KafkaError) -> Result) throws(StartFailure) -> Result {
    do throws(KafkaError) { return try body() } catch { throw StartFailure(error.description) }
  }

  /// Takes away what an attempt that did not end has left, and makes the topic. From now on no server starts.
  func makeLog(_ generation: Int64) throws(StartFailure) {
    let name = names.log(generation: generation)
    if begun == generation {
      try asking { () throws(KafkaError) in try topics.delete(name) }
      var waited = 0
      while try asking({ () throws(KafkaError) in try topics.exists(name) }) {
        guard waited < Self.goneMilliseconds else {
          throw StartFailure("the Kafka topic \(name) cannot be deleted")
        }
        usleep(200_000)
        waited += 200
      }
      // Brokers may still be about to drop what it had.
      usleep(2_000_000)
    }
    _ = try asking { () throws(KafkaError) in
      try topics.ensure(
        .log(names, generation: generation, partitions: partitions, retentionMilliseconds: retention))
    }
  }

  /// One generation of the log.
  func log(_ generation: Int64) throws(StartFailure) -> LogDesk {
    try asking { () throws(KafkaError) in
      try LogDesk(configuration, names, generation, partitions: partitions, logID: logID)
    }
  }

  func writer(_ topic: String) throws(StartFailure) -> TopicWriter {
    try asking { () throws(KafkaError) in
      try TopicWriter(configuration, topic: topic, partitions: partitions)
    }
  }

  /// Commits where the new log is to be gone on with; waits until nobody is a member of the group any more.
  func commit(_ positions: [Seq], generation: Int64) throws(StartFailure) {
    let group = try asking { () throws(KafkaError) in
      try CommittedPositions(configuration, topics: names, generation: generation)
    }
    var waited = 0
    while true {
      if try asking({ () throws(KafkaError) in try group.commit(positions) }) { return }
      if waited == 0 { OperatorOutput.line("waiting until Kafka has forgotten the servers that ended") }
      guard waited < Self.emptyMilliseconds else {
        throw StartFailure("the Kafka group \(names.routerGroup) has members: a server is running; end it")
      }
      usleep(1_000_000)
      waited += 1_000
    }
  }

  /// Where the new log is to be gone on with, of each partition: what `commit` said.
  func committed(generation: Int64) throws(StartFailure) -> [Seq] {
    let group = try asking { () throws(KafkaError) in
      try CommittedPositions(configuration, topics: names, generation: generation)
    }
    var positions: [Seq] = []
    for partition in 0..<partitions {
      guard let position = try asking({ () throws(KafkaError) in try group.committed(partition) }) else {
        throw StartFailure(
          "Kafka has forgotten where partition \(partition) of the new log begins; run it again")
      }
      positions.append(position)
    }
    return positions
  }

  /// Whether nobody leads a partition of a log.
  func isLeaderless(_ partition: Int32, generation: Int64) throws(StartFailure) -> Bool {
    try asking { () throws(KafkaError) in
      try topics.leaderless(names.log(generation: generation), milliseconds: Self.leaderMilliseconds)
        .contains(partition)
    }
  }

  /// The last step: servers take this generation from now on.
  func complete(_ generation: Int64) throws(StartFailure) {
    _ = try asking { () throws(KafkaError) in try topics.ensure(.mark(names, generation: generation)) }
  }

  /// The seqs of the rows that the state topic has of a partition, by their keys' texts: the highest of each.
  func rows(_ partition: Int32) throws(StartFailure) -> [[UInt8]: Seq] {
    var known: [[UInt8]: Seq] = [:]
    try LogDesk.rows(partition, of: state, stateEnds, reading: UInt64(partition) + 1, name: names.state) {
      row throws(StartFailure) in
      guard let key = RowKey.of(row) else { return }
      known[key] = max(known[key] ?? 0, row.seq)
    }
    return known
  }
}

/// What a row of the state topic is about.
enum RowKey {
  /// Nil for an outcome, which nobody asks for any more.
  static func of(_ row: StateRow) -> [UInt8]? {
    switch row.value {
    case .member(let user, _): row.chat + [0x0A] + user
    case .chat: row.chat
    case .head: row.chat + Array("\n#".utf8)
    case .outcome, .forgottenOutcome: nil
    }
  }
}
