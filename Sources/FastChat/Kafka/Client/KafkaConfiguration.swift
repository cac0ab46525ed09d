import CRdkafka

/// The brokers, and how to speak to them.
public struct KafkaConfiguration: Sendable {
  /// `host:port`, one or several with commas between them.
  public let brokers: String
  /// Settings of librdkafka that are passed through: TLS, SASL, timeouts.
  public let settings: [String: String]
  /// What the brokers call us in their logs.
  public let clientID: String

  /// Bounds on calls that wait for a broker.
  public static let waitMilliseconds: Int32 = 10_000

  /// What the promises of this server hang on: refused where somebody wants it otherwise.
  static let reserved: Set<String> = [
    "acks", "allow.auto.create.topics", "auto.commit.enable", "auto.offset.reset", "bootstrap.servers",
    "client.id", "delivery.report.only.error", "delivery.timeout.ms", "enable.auto.commit",
    "enable.auto.offset.store", "enable.gapless.guarantee",
    "enable.idempotence", "enable.partition.eof", "group.id", "group.instance.id", "group.protocol.type",
    "isolation.level",
    "log.queue", "max.in.flight", "max.in.flight.requests.per.connection", "message.send.max.retries",
    "message.timeout.ms", "metadata.broker.list", "partition.assignment.strategy",
    "queue.buffering.max.messages", "queuing.strategy", "request.required.acks", "retries",
    "session.timeout.ms",
    "test.mock.num.brokers", "transaction.timeout.ms", "transactional.id",
  ]

  /// Checks the settings, without asking any broker.
  /// - Throws: `setting` with the name of the first one that cannot be; never with a value.
  public init(brokers: String, settings: [String: String] = [:], clientID: String = "fastchat")
    throws(KafkaError)
  {
    self.brokers = brokers
    self.settings = settings
    self.clientID = clientID
    let conf = rd_kafka_conf_new()
    defer { rd_kafka_conf_destroy(conf) }
    for (name, value) in settings.sorted(by: { $0.key < $1.key }) {
      guard !Self.reserved.contains(name) else {
        throw KafkaError(.setting, "the Kafka setting \(name) is FastChat's own and cannot be changed")
      }
      try Self.set(name, value, in: conf)
    }
  }

  /// Sets one setting. What librdkafka says of it is not passed on: it may repeat the value.
  static func set(_ name: String, _ value: String, in conf: OpaquePointer?) throws(KafkaError) {
    switch rd_kafka_conf_set(conf, name, value, nil, 0) {
    case RD_KAFKA_CONF_OK: return
    case RD_KAFKA_CONF_UNKNOWN:
      throw KafkaError(.setting, "there is no Kafka setting \(name): see librdkafka's CONFIGURATION.md")
    default:
      throw KafkaError(
        .setting, "the Kafka setting \(name) cannot have this value: see librdkafka's CONFIGURATION.md")
    }
  }

  /// The text without the secrets among the settings.
  func withoutSecrets(_ text: String) -> String {
    var bytes = Array(text.utf8)
    for (name, value) in settings where Self.isSecret(name) && !value.isEmpty {
      let secret = Array(value.utf8)
      var start = 0
      while start + secret.count <= bytes.count {
        if bytes[start..<start + secret.count].elementsEqual(secret) {
          bytes.replaceSubrange(start..<start + secret.count, with: "***".utf8)
          start += 3
        } else {
          start += 1
        }
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  static func isSecret(_ name: String) -> Bool {
    ["password", "secret", "key.pem", "oauthbearer.config", "oauthbearer.token"].contains {
      name.contains($0)
    }
  }
}
