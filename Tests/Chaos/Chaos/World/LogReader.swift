import CRdkafka
import Support

/// Reads the whole log as any consumer would (docs/LOG.md), and knows who leads its partitions.
final class LogReader {
  /// Of a seq: generation x 2^40 + offset (DESIGN section 2).
  private static let generationUnit = 1 << 40
  private static let waitMilliseconds: Int32 = 20_000

  private let handle: OpaquePointer
  private let topic: String
  private let generation = 1

  init(brokers: String, prefix: String) throws {
    topic = "\(prefix).log.\(generation)"
    let conf = rd_kafka_conf_new()
    for (name, value) in [
      ("bootstrap.servers", brokers), ("group.id", "fastchat-chaos"), ("enable.auto.commit", "false"),
      ("enable.partition.eof", "false"), ("auto.offset.reset", "error"), ("log_level", "0"),
    ] { rd_kafka_conf_set(conf, name, value, nil, 0) }
    guard let handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, nil, 0) else {
      throw TestFailure("no consumer of the log")
    }
    self.handle = handle
    rd_kafka_poll_set_consumer(handle)
  }

  deinit { rd_kafka_destroy(handle) }

  /// The broker that leads a partition; nil where none does.
  func leader(of partition: Int32) -> Int? {
    (try? partitions())?.first { $0.id == partition }.flatMap { $0.leader > 0 ? Int($0.leader) : nil }
  }

  private func partitions() throws -> [(id: Int32, leader: Int32)] {
    let local = rd_kafka_topic_new(handle, topic, nil)
    defer { rd_kafka_topic_destroy(local) }
    var metadata: UnsafePointer<rd_kafka_metadata>?
    let failure = rd_kafka_metadata(handle, 0, local, &metadata, Self.waitMilliseconds)
    guard failure == RD_KAFKA_RESP_ERR_NO_ERROR, let metadata else {
      throw TestFailure("no metadata of \(topic): \(String(cString: rd_kafka_err2str(failure)))")
    }
    defer { rd_kafka_metadata_destroy(metadata) }
    guard metadata.pointee.topic_cnt == 1 else { throw TestFailure("no topic \(topic)") }
    let found = metadata.pointee.topics[0]
    return (0..<Int(found.partition_cnt)).map { (found.partitions[$0].id, found.partitions[$0].leader) }
  }

  /// All records, of each partition in their order.
  func read() throws -> [LogRecord] {
    var ends: [Int32: Int64] = [:]
    let list = rd_kafka_topic_partition_list_new(8)
    defer { rd_kafka_topic_partition_list_destroy(list) }
    for (id, _) in try partitions() {
      var low: Int64 = 0
      var high: Int64 = 0
      let failure = rd_kafka_query_watermark_offsets(handle, topic, id, &low, &high, Self.waitMilliseconds)
      guard failure == RD_KAFKA_RESP_ERR_NO_ERROR else {
        throw TestFailure("no end of \(topic)/\(id): \(String(cString: rd_kafka_err2str(failure)))")
      }
      guard low == 0 else { throw TestFailure("\(topic)/\(id) begins at \(low)") }
      if high > 0 {
        ends[id] = high
        rd_kafka_topic_partition_list_add(list, topic, id).pointee.offset = 0
      }
    }
    rd_kafka_assign(handle, list)
    defer { rd_kafka_assign(handle, nil) }
    var records: [LogRecord] = []
    var lastCame = Deadline.after(.seconds(60))
    while !ends.isEmpty {
      guard let message = rd_kafka_consumer_poll(handle, 500) else {
        guard !lastCame.hasPassed else { throw TestFailure("the log does not come to its end: \(ends)") }
        continue
      }
      defer { rd_kafka_message_destroy(message) }
      guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else { continue }
      lastCame = .after(.seconds(60))
      if let record = try record(message.pointee) { records.append(record) }
      if message.pointee.offset + 1 >= ends[message.pointee.partition] ?? 0 {
        ends[message.pointee.partition] = nil
      }
    }
    return records
  }

  /// Nil for what is no request of a client: a consumer passes by what it does not know.
  private func record(_ message: rd_kafka_message_t) throws -> LogRecord? {
    func text(_ bytes: UnsafeMutableRawPointer?, _ count: Int) -> String {
      String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
    }
    let value = try JSONValue(parsing: text(message.payload, message.len))
    guard let type = value["type"]?.string, ["message", "create", "join", "leave"].contains(type) else {
      return nil
    }
    guard let from = value["from"]?.string,
      let device = value["device"]?.string, let id = value["id"]?.string
    else { throw TestFailure("a record that is not as docs/LOG.md has it: \(value)") }
    return LogRecord(
      chat: text(message.key, message.key_len), seq: generation * Self.generationUnit + Int(message.offset),
      type: type, from: from, device: device, id: id, isRetry: value["retry"]?.bool ?? false)
  }
}
