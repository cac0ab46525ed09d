import CRdkafka

/// Told of each record that the brokers took, on the thread of librdkafka that learns it. Whoever waits for the record
/// hears of it one thread earlier than by a delivery report.
///
/// It is called for each message, so it may neither wait nor call librdkafka. Records that failed come as delivery
/// reports, and only they.
final class DeliveryHook: Sendable {
  private let taken: @Sendable (UnsafePointer<rd_kafka_message_t>) -> Void

  init(_ taken: @escaping @Sendable (UnsafePointer<rd_kafka_message_t>) -> Void) { self.taken = taken }

  /// Has the handles that are made of `conf` call it. It has to outlive them.
  func install(in conf: OpaquePointer) throws(KafkaError) {
    let hook = Unmanaged.passUnretained(self).toOpaque()
    try KafkaConfiguration.set("delivery.report.only.error", "true", in: conf)
    rd_kafka_conf_interceptor_add_on_new(
      conf, Self.name,
      { handle, _, hook, _, _ in
        rd_kafka_interceptor_add_on_acknowledgement(
          handle, DeliveryHook.name,
          { _, message, hook in
            guard let message, let hook, message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
              return RD_KAFKA_RESP_ERR_NO_ERROR
            }
            Unmanaged<DeliveryHook>.fromOpaque(hook)._withUnsafeGuaranteedRef { $0.taken(message) }
            return RD_KAFKA_RESP_ERR_NO_ERROR
          }, hook)
      }, hook)
  }

  /// Of its calls, for librdkafka.
  private static let name = "fastchat"
}
