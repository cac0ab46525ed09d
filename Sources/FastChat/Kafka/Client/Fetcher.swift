import CRdkafka
import Glibc

/// Reads partitions by hand, each from a place that the caller names, without a group.
///
/// Every partition has a queue of its own, so that one is held back by not reading its queue (librdkafka's
/// bounds then hold back the broker), and begun elsewhere by a new queue: no message of an earlier reading
/// comes behind it. librdkafka 2.0.2 loses messages where one pauses or seeks under a batch consumer; this
/// does neither.
final class Fetcher {
  /// Messages that a drain hands over at most.
  static let batchMessages = 512
  /// Of these, from one partition before the next one's turn.
  private static let turnMessages = 128

  let client: KafkaClient
  let descriptor: Int32
  private var lines: [Line] = []
  private var turn = 0
  private let messages: UnsafeMutablePointer<UnsafeMutablePointer<rd_kafka_message_t>?>
  private let readings: UnsafeMutablePointer<UInt64>
  /// Messages that were fetched and not yet released.
  private(set) var count = 0

  private struct Line {
    let topic: TopicHandle
    let partition: Int32
    let reading: UInt64
    let queue: OpaquePointer
    var isHeld = false
  }

  private static let defaults = [
    // A reading begins with the next fetch, and so when the one under way has waited enough.
    ("fetch.wait.max.ms", "100"), ("topic.metadata.propagation.max.ms", "3000"),
    ("fetch.error.backoff.ms", "50"),
    ("queued.max.messages.kbytes", "8192"), ("queued.min.messages", "10000"),
  ]
  private static let own = [
    ("auto.offset.reset", "error"), ("enable.auto.commit", "false"), ("enable.auto.offset.store", "false"),
  ]

  init(_ configuration: KafkaConfiguration, own: [(String, String)] = []) throws(KafkaError) {
    client = try KafkaClient(RD_KAFKA_CONSUMER, configuration, defaults: Self.defaults, own: Self.own + own)
    descriptor = try EventDescriptor.make()
    messages = .allocate(capacity: Self.batchMessages)
    readings = .allocate(capacity: Self.batchMessages)
    EventDescriptor.connect(client.mainQueue, to: descriptor)
  }

  deinit {
    release()
    for line in lines { end(line) }
    rd_kafka_queue_io_event_enable(client.mainQueue, -1, nil, 0)
    close(descriptor)
    messages.deallocate()
    readings.deallocate()
  }

  /// Begins to read a partition, and ends what was read of it before.
  /// - Parameters:
  ///   - reading: comes back with each message.
  ///   - offset: of the first message, or `RD_KAFKA_OFFSET_BEGINNING`.
  func read(_ topic: TopicHandle, _ partition: Int32, reading: UInt64, from offset: Int64) throws(KafkaError)
  {
    stop(topic, partition)
    guard let queue = rd_kafka_queue_new(client.handle) else {
      preconditionFailure("librdkafka has no memory")
    }
    EventDescriptor.connect(queue, to: descriptor)
    guard rd_kafka_consume_start_queue(topic.handle, partition, offset, queue) == 0 else {
      let cause = rd_kafka_last_error()
      rd_kafka_queue_destroy(queue)
      throw client.error(cause, "reading partition \(partition) of \(topic.name)")
    }
    lines.append(Line(topic: topic, partition: partition, reading: reading, queue: queue))
  }

  /// Ends the reading of a partition; what was fetched of it and not handed over is gone. Waits for
  /// librdkafka's own threads, not for a broker.
  func stop(_ topic: TopicHandle, _ partition: Int32) {
    guard let place = place(topic, partition) else { return }
    end(lines.remove(at: place))
  }

  private func end(_ line: Line) {
    rd_kafka_queue_io_event_enable(line.queue, -1, nil, 0)
    rd_kafka_consume_stop(line.topic.handle, line.partition)
    rd_kafka_queue_destroy(line.queue)
  }

  /// Hands over nothing of a partition until it is told otherwise.
  func hold(_ topic: TopicHandle, _ partition: Int32, _ isHeld: Bool) {
    guard let place = place(topic, partition) else { return }
    lines[place].isHeld = isHeld
  }

  private func place(_ topic: TopicHandle, _ partition: Int32) -> Int? {
    lines.firstIndex { $0.partition == partition && $0.topic === topic }
  }

  // MARK: Messages

  /// Fetches what has come, after releasing what was fetched before.
  /// - Returns: whether there may be more than fitted; it is drained again then without another edge.
  func drain() -> Bool {
    release()
    while let event = rd_kafka_queue_poll(client.mainQueue, 0) {
      client.take(event)
      rd_kafka_event_destroy(event)
    }
    guard !lines.isEmpty else { return false }
    // Round by round, so that a full partition does not keep the others waiting.
    var idle = 0
    while idle < lines.count {
      guard count < Self.batchMessages else { return true }
      turn = (turn + 1) % lines.count
      idle = fetch(lines[turn]) == 0 ? idle + 1 : 0
    }
    return false
  }

  private func fetch(_ line: Line) -> Int {
    guard !line.isHeld else { return 0 }
    let wanted = min(Self.turnMessages, Self.batchMessages - count)
    let got = rd_kafka_consume_batch_queue(line.queue, 0, messages + count, wanted)
    guard got > 0 else { return 0 }
    for i in count..<count + got { readings[i] = line.reading }
    count += got
    return got
  }

  func message(_ i: Int) -> UnsafeMutablePointer<rd_kafka_message_t> {
    precondition(i >= 0 && i < count)
    guard let message = messages[i] else { preconditionFailure("a message that was taken out already") }
    return message
  }

  func reading(_ i: Int) -> UInt64 { readings[i] }

  /// Takes a message out, so that it outlives the next drain, and this object.
  /// - Parameter pin: counts it, and ends with it.
  func keep(_ i: Int, pin: (any AnyObject & Sendable)? = nil) -> KeptMessage {
    let kept = KeptMessage(message(i), client, pin)
    messages[i] = nil
    return kept
  }

  /// Gives the fetched messages back.
  func release() {
    for i in 0..<count {
      if let message = messages[i] { rd_kafka_message_destroy(message) }
    }
    count = 0
  }
}

/// A message that stays where librdkafka fetched it until this object goes, on whatever thread.
///
/// librdkafka lets a message be destroyed by any thread and however late (confluentinc/librdkafka#2977), but not
/// after its handle, which waits for messages for ever: so each message holds the handle. It holds all that was
/// fetched with it too (librdkafka's FAQ, "Explain the consumer's memory usage").
public final class KeptMessage: @unchecked Sendable {
  private let message: UnsafeMutablePointer<rd_kafka_message_t>
  private let client: KafkaClient
  /// Ends behind the message.
  private let pin: (any AnyObject & Sendable)?

  init(
    _ message: UnsafeMutablePointer<rd_kafka_message_t>, _ client: KafkaClient,
    _ pin: (any AnyObject & Sendable)?
  ) {
    self.message = message
    self.client = client
    self.pin = pin
  }

  deinit { rd_kafka_message_destroy(message) }

  /// The message's value, valid as long as this object.
  public var value: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: message.pointee.payload, count: message.pointee.len)
  }
}

extension rd_kafka_message_t {
  var keyBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: key, count: key == nil ? 0 : key_len) }
  var valueBytes: UnsafeRawBufferPointer? {
    payload.map { UnsafeRawBufferPointer(start: $0, count: len) }
  }
}
