import CRdkafka
import Glibc

/// A topic as the brokers describe it.
struct TopicDescription {
  var name: String
  var partitions: Int
  /// Copies of each partition.
  var replicas: Int
  /// Partitions that no broker leads at the moment.
  var leaderless: [Int32]
}

extension KafkaClient {
  /// How long a topic that was just made may be unknown to a broker.
  private static let absentMilliseconds: Int64 = 3_000

  /// Asks the brokers for a topic, or for all of them. Waits.
  /// - Throws: `unreachable` with what to do about it, at the latest after `milliseconds`.
  func describeTopics(
    only topic: TopicHandle? = nil, milliseconds: Int32 = KafkaConfiguration.waitMilliseconds
  ) throws(KafkaError) -> (topics: [TopicDescription], brokers: Int) {
    var metadata: UnsafePointer<rd_kafka_metadata>?
    let cause = rd_kafka_metadata(handle, topic == nil ? 1 : 0, topic?.handle, &metadata, milliseconds)
    guard cause == RD_KAFKA_RESP_ERR_NO_ERROR, let metadata else { throw unreachable(cause, milliseconds) }
    defer { rd_kafka_metadata_destroy(metadata) }
    var topics: [TopicDescription] = []
    for i in 0..<Int(metadata.pointee.topic_cnt) {
      let topic = metadata.pointee.topics[i]
      guard topic.err == RD_KAFKA_RESP_ERR_NO_ERROR else { continue }
      let partitions = UnsafeBufferPointer(start: topic.partitions, count: Int(topic.partition_cnt))
      topics.append(
        TopicDescription(
          name: String(cString: topic.topic), partitions: partitions.count,
          replicas: partitions.map { Int($0.replica_cnt) }.min() ?? 0,
          leaderless: partitions.filter { $0.leader < 0 }.map(\.id)))
    }
    return (topics, Int(metadata.pointee.broker_cnt))
  }

  /// Waits until the topic is known with all its partitions led, so that reading and writing begin at once.
  /// - Parameter led: false: partitions that nobody leads are not waited for.
  /// - Throws: `noTopic`, `wrongTopic` where it has another number of partitions, `unreachable`.
  func waitFor(
    _ topic: TopicHandle, partitions: Int, led: Bool = true,
    milliseconds: Int32 = KafkaConfiguration.waitMilliseconds
  ) throws(KafkaError) {
    let begun = Clock.milliseconds()
    let deadline = begun + Int64(milliseconds)
    while true {
      let left = Int32(max(1, deadline - Clock.milliseconds()))
      let found = try describeTopics(only: topic, milliseconds: left).topics.first
      if let found, found.partitions > 0, found.partitions != partitions {
        throw KafkaError(
          .wrongTopic, "the Kafka topic \(topic.name) has \(found.partitions) partitions, not \(partitions)")
      }
      if let found, found.partitions == partitions, found.leaderless.isEmpty || !led { return }
      let now = Clock.milliseconds()
      guard now < deadline, found != nil || now < begun + Self.absentMilliseconds else {
        throw KafkaError(
          found == nil ? .noTopic : .unavailable,
          found == nil
            ? "there is no Kafka topic \(topic.name)"
            : "no broker leads all partitions of the Kafka topic \(topic.name)")
      }
      usleep(20_000)
    }
  }

  /// The error for brokers that cannot be asked, with the best reason that was heard.
  private func unreachable(_ cause: rd_kafka_resp_err_t, _ milliseconds: Int32) -> KafkaError {
    while let event = rd_kafka_queue_poll(mainQueue, 0) {
      take(event)
      rd_kafka_event_destroy(event)
    }
    // The last word is mostly "all brokers are down"; what one of them said before is what helps.
    let heard = notices.last { $0.level <= 3 && !$0.text.contains("brokers are down") } ?? notices.last
    let refused =
      heard.map { $0.text.contains("uthentication") || $0.text.contains("SSL handshake failed") } ?? false
    // Before 2.6.1 librdkafka's last message of SCRAM is not RFC 5802's, and Kafka 4 takes no other.
    let scram =
      heard?.text.contains("SASL mechanism SCRAM") == true && rd_kafka_version() < 0x0206_01ff
      ? "; Kafka 4 lets nobody in by SCRAM who comes with librdkafka \(String(cString: rd_kafka_version_str())), "
        + "which has to be 2.6.1 or later: take PLAIN with TLS" : ""
    let seconds = (milliseconds + 999) / 1000
    return KafkaError(
      refused ? .refused : .unreachable,
      "no Kafka broker of \(configuration.brokers) could be asked within \(seconds) s: "
        + (heard?.text ?? String(cString: rd_kafka_err2str(cause)))
        + scram
        + "; check the addresses, the brokers' advertised.listeners, and the settings for TLS and SASL",
      cause: String(cString: rd_kafka_err2name(cause)))
  }
}

/// Clocks that never go back.
enum Clock {
  /// For the bounds of calls that wait.
  static func milliseconds() -> Int64 { read(CLOCK_MONOTONIC) }

  /// Milliseconds as the loops' ticks are: it goes on while the machine sleeps, so that what comes after that is late.
  static func tick() -> Int64 { read(CLOCK_BOOTTIME) }

  private static func read(_ clock: clockid_t) -> Int64 {
    var now = timespec()
    clock_gettime(clock, &now)
    return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
  }
}
