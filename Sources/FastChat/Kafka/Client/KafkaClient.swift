import CRdkafka
import Glibc

/// One handle of librdkafka: its threads and connections, gone with the object. All parts of this module
/// stand on one each.
///
/// What librdkafka has to tell comes by queues; no code of ours runs on its threads, but for a `DeliveryHook`.
final class KafkaClient {
  let handle: OpaquePointer
  /// Where delivery reports, errors and logs come.
  let mainQueue: OpaquePointer
  let configuration: KafkaConfiguration

  /// What librdkafka says of a partition outside of its queue's messages.
  let partitionErrors: PartitionErrors
  /// It is called until the handle is gone.
  private let hook: DeliveryHook?

  /// What was said and not yet asked for, newest last; older ones are dropped.
  private(set) var notices: [KafkaNotice] = []
  private static let keptNotices = 64

  /// Settings of every handle.
  private static let common = [
    ("allow.auto.create.topics", "false"), ("log.queue", "true"), ("log.connection.close", "false"),
    ("socket.keepalive.enable", "true"), ("socket.nagle.disable", "true"),
    ("reconnect.backoff.ms", "50"), ("reconnect.backoff.max.ms", "500"),
  ]

  /// - Parameters:
  ///   - own: settings of the part, which the configuration's may not change unless they come first.
  ///   - defaults: settings of the part that the configuration's may change.
  ///   - events: what the part wants as events (`RD_KAFKA_EVENT_...`), beside errors and logs.
  ///   - hook: for a producer: records that were taken are told to it, and have no delivery report.
  init(
    _ type: rd_kafka_type_t, _ configuration: KafkaConfiguration, defaults: [(String, String)] = [],
    own: [(String, String)], events: Int32 = 0, hook: DeliveryHook? = nil
  ) throws(KafkaError) {
    self.configuration = configuration
    self.hook = hook
    guard let conf = rd_kafka_conf_new() else { preconditionFailure("librdkafka has no memory") }
    do throws(KafkaError) {
      try KafkaConfiguration.set("bootstrap.servers", configuration.brokers, in: conf)
      try KafkaConfiguration.set("client.id", configuration.clientID, in: conf)
      for (name, value) in Self.common + defaults { try KafkaConfiguration.set(name, value, in: conf) }
      for (name, value) in configuration.settings { try KafkaConfiguration.set(name, value, in: conf) }
      for (name, value) in own { try KafkaConfiguration.set(name, value, in: conf) }
      try hook?.install(in: conf)
    } catch {
      rd_kafka_conf_destroy(conf)
      throw error
    }
    // Logs come as events. A line that librdkafka serves itself, inside of a call that waits, is dropped:
    // the call tells what went wrong.
    rd_kafka_conf_set_log_cb(conf) { _, _, _, _ in }
    let partitionErrors = PartitionErrors()
    rd_kafka_conf_set_opaque(conf, Unmanaged.passUnretained(partitionErrors).toOpaque())
    rd_kafka_conf_set_error_cb(conf) { _, cause, _, opaque in
      guard let opaque else { return }
      Unmanaged<PartitionErrors>.fromOpaque(opaque).takeUnretainedValue().take(cause)
    }
    self.partitionErrors = partitionErrors
    rd_kafka_conf_set_events(conf, events | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG)
    var reason = [CChar](repeating: 0, count: 512)
    guard let handle = rd_kafka_new(type, conf, &reason, reason.count) else {
      // The configuration is still ours where no handle was made.
      rd_kafka_conf_destroy(conf)
      throw KafkaError(
        .setting, "the Kafka settings do not go together: " + configuration.withoutSecrets(Self.text(reason)))
    }
    self.handle = handle
    mainQueue = rd_kafka_queue_get_main(handle)
    rd_kafka_set_log_queue(handle, nil)
  }

  deinit {
    rd_kafka_queue_destroy(mainQueue)
    // A member of a group does not leave it: its partitions wait for its return (static membership).
    rd_kafka_destroy_flags(handle, Int32(RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE))
  }

  // MARK: What was said

  /// Takes in an event that is no answer: an error of the client or a line of its log.
  /// - Returns: the fatal error that ends the handle, if it was one.
  @discardableResult
  func take(_ event: OpaquePointer) -> rd_kafka_resp_err_t? {
    switch rd_kafka_event_type(event) {
    case RD_KAFKA_EVENT_ERROR:
      note(level: 3, String(cString: rd_kafka_event_error_string(event)))
      guard rd_kafka_event_error_is_fatal(event) != 0 else { return nil }
      return rd_kafka_fatal_error(handle, nil, 0)
    case RD_KAFKA_EVENT_LOG:
      var facility: UnsafePointer<CChar>?
      var line: UnsafePointer<CChar>?
      var level: Int32 = 6
      guard rd_kafka_event_log(event, &facility, &line, &level) == 0, let line else { return nil }
      // Settings of producers do nothing in consumers, and the other way round: not worth a word.
      if let facility, strcmp(facility, "CONFWARN") == 0 { return nil }
      note(level: Int(level), String(cString: line))
      return nil
    default: return nil
    }
  }

  /// - Parameter level: as syslog's.
  func note(level: Int, _ text: String) {
    if notices.count == Self.keptNotices { notices.removeFirst() }
    notices.append(KafkaNotice(level: level, text: configuration.withoutSecrets(text)))
  }

  /// What was said since the last time.
  func takeNotices() -> [KafkaNotice] {
    defer { notices.removeAll() }
    return notices
  }

  /// The same for a part whose main queue nobody reads: it is read empty first.
  func drainNotices() -> [KafkaNotice] {
    while let event = rd_kafka_queue_poll(mainQueue, 0) {
      take(event)
      rd_kafka_event_destroy(event)
    }
    return takeNotices()
  }

  // MARK: Errors

  /// The error for what librdkafka answered.
  func error(_ cause: rd_kafka_resp_err_t, _ what: String) -> KafkaError {
    let name = String(cString: rd_kafka_err2name(cause))
    let text = configuration.withoutSecrets("\(what): \(String(cString: rd_kafka_err2str(cause)))")
    return KafkaError(Self.code(cause), text, cause: name)
  }

  /// The error for an error object of librdkafka, which is destroyed.
  func error(consuming object: OpaquePointer, _ what: String) -> KafkaError {
    defer { rd_kafka_error_destroy(object) }
    let text = "\(what): \(String(cString: rd_kafka_error_string(object)))"
    return KafkaError(
      Self.code(rd_kafka_error_code(object)), configuration.withoutSecrets(text),
      cause: String(cString: rd_kafka_error_name(object)))
  }

  private static func code(_ cause: rd_kafka_resp_err_t) -> KafkaError.Code {
    switch cause {
    case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, RD_KAFKA_RESP_ERR__RESOLVE:
      .unreachable
    case RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR__SSL,
      RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
      RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
      RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      .refused
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
      RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      .noTopic
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
      RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, RD_KAFKA_RESP_ERR__FENCED,
      RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
      .fenced
    default: .unavailable
    }
  }

  /// Text that librdkafka wrote into a buffer.
  static func text(_ buffer: [CChar]) -> String {
    String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

/// Errors that librdkafka does not hand over as messages to who reads in batches, but tells by a callback,
/// on the thread that reads.
final class PartitionErrors {
  /// A topic that is read is not there any more.
  var missesTopic = false

  fileprivate func take(_ cause: Int32) {
    switch rd_kafka_resp_err_t(cause) {
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
      RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      missesTopic = true
    default: break
    }
  }
}
