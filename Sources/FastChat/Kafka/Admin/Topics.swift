import CRdkafka
public import Chat
import Glibc

/// Makes, checks, lists and deletes topics by the Admin API.
///
/// All its calls wait for brokers, each at most `KafkaConfiguration.waitMilliseconds`: they belong on a
/// helper's thread, one at a time.
public final class Topics {
  let client: KafkaClient
  public let names: TopicNames
  private let replication: Int

  /// Connects; waits for nobody.
  /// - Parameter replication: copies of each record; 0: three, or as many as there are brokers.
  public init(_ configuration: KafkaConfiguration, names: TopicNames, replication: Int = 0)
    throws(KafkaError)
  {
    // It asks first of all, and brokers that want TLS or SASL say nothing to who comes without: they close, and
    // only this tells that. Connections that were idle are not meant.
    client = try KafkaClient(
      RD_KAFKA_PRODUCER, configuration, defaults: [("log.connection.close", "true")], own: [])
    self.names = names
    self.replication = replication
  }

  /// What the connection had to say since the last time.
  public func takeNotices() -> [KafkaNotice] { client.drainNotices() }

  /// How many brokers there are.
  /// - Throws: where none can be asked, with what to do about it.
  public func brokers(milliseconds: Int32 = KafkaConfiguration.waitMilliseconds) throws(KafkaError) -> Int {
    try client.describeTopics(milliseconds: milliseconds).brokers
  }

  /// The newest generation of the log, and its partitions; nil where there is none.
  /// - Throws: `wrongTopic` where a newer one was begun and is not complete.
  public func newestLog() throws(KafkaError) -> (generation: Int64, partitions: Int32)? {
    guard let newest = try logs().last else { return nil }
    guard newest.isComplete else {
      throw KafkaError(
        .wrongTopic,
        "the Kafka topic \(names.log(generation: newest.generation)) is not complete: fastchat new-generation did not "
          + "end; run it again")
    }
    return (newest.generation, newest.partitions)
  }

  /// A generation of the log that has a topic.
  public struct LogTopic: Sendable {
    public var generation: Int64
    public var partitions: Int32
    /// The first, or one that its command has marked.
    public var isComplete: Bool
  }

  /// All generations that have a topic, in order.
  public func logs() throws(KafkaError) -> [LogTopic] {
    let topics = try client.describeTopics().topics
    let all = Set(topics.map(\.name))
    let logs = topics.compactMap { topic in
      names.generation(ofLog: topic.name).map { generation in
        LogTopic(
          generation: generation, partitions: Int32(topic.partitions),
          isComplete: generation == 1 || all.contains(names.mark(generation: generation)))
      }
    }
    return logs.sorted { $0.generation < $1.generation }
  }

  /// Partitions of a topic; nil where there is none.
  public func partitions(of name: String) throws(KafkaError) -> Int32? {
    try client.describeTopics().topics.first { $0.name == name }.map { Int32($0.partitions) }
  }

  /// Makes the topic where it is not there, waits until all its partitions are led, and looks at its
  /// settings.
  /// - Returns: what is other than planned and breaks no promise.
  /// - Throws: `wrongTopic` with all findings that do.
  @discardableResult
  public func ensure(_ plan: TopicPlan) throws(KafkaError) -> [TopicFinding] {
    let isNew = try create(plan)
    let topic = try TopicHandle(client, plan.name)
    try client.waitFor(topic, partitions: Int(plan.partitions))
    guard !isNew else { return [] }
    let findings = try check(plan)
    let vital = findings.filter(\.isVital)
    guard vital.isEmpty else {
      throw KafkaError(
        .wrongTopic,
        vital.map(\.description).joined(separator: "; ")
          + "; alter the topic, or give another prefix of names")
    }
    return findings
  }

  /// What is other than planned of a topic, which is not touched; nil where it is not there.
  public func look(at plan: TopicPlan) throws(KafkaError) -> [TopicFinding]? {
    guard let found = try client.describeTopics().topics.first(where: { $0.name == plan.name }) else {
      return nil
    }
    var findings = try check(plan)
    if found.partitions != plan.partitions {
      findings.append(
        TopicFinding(
          topic: plan.name, setting: "partitions", wanted: "\(plan.partitions)", found: "\(found.partitions)",
          isVital: true))
    }
    if !found.leaderless.isEmpty {
      findings.append(
        TopicFinding(
          topic: plan.name, setting: "partitions without a leader", wanted: "0",
          found: "\(found.leaderless.count)",
          isVital: true))
    }
    return findings
  }

  /// - Returns: false where it was there already.
  private func create(_ plan: TopicPlan) throws(KafkaError) -> Bool {
    let copies = TopicPlan.copies(brokers: try brokers(), wanted: replication)
    var reason = [CChar](repeating: 0, count: 256)
    guard
      let new = rd_kafka_NewTopic_new(
        plan.name, plan.partitions, Int32(copies.replicas), &reason, reason.count)
    else { throw KafkaError(.unavailable, "the Kafka topic \(plan.name): \(KafkaClient.text(reason))") }
    defer { rd_kafka_NewTopic_destroy(new) }
    for setting in plan.settings { rd_kafka_NewTopic_set_config(new, setting.name, setting.value) }
    rd_kafka_NewTopic_set_config(new, "min.insync.replicas", "\(copies.inSync)")

    var topics: [OpaquePointer?] = [new]
    let answer = try ask(RD_KAFKA_ADMIN_OP_CREATETOPICS, "making the Kafka topic \(plan.name)") {
      rd_kafka_CreateTopics(client.handle, &topics, 1, $0, $1)
    }
    defer { rd_kafka_event_destroy(answer) }
    var count = 0
    let results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(answer), &count)
    return try firstResult(results, count, allowing: RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, "making")
  }

  /// Deletes a topic; nothing happens where there is none.
  public func delete(_ name: String) throws(KafkaError) {
    guard let old = rd_kafka_DeleteTopic_new(name) else { return }
    defer { rd_kafka_DeleteTopic_destroy(old) }
    var topics: [OpaquePointer?] = [old]
    let answer = try ask(RD_KAFKA_ADMIN_OP_DELETETOPICS, "deleting the Kafka topic \(name)") {
      rd_kafka_DeleteTopics(client.handle, &topics, 1, $0, $1)
    }
    defer { rd_kafka_event_destroy(answer) }
    var count = 0
    let results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(answer), &count)
    _ = try firstResult(results, count, allowing: RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "deleting")
  }

  /// Whether there is such a topic.
  public func exists(_ name: String) throws(KafkaError) -> Bool {
    try client.describeTopics().topics.contains { $0.name == name }
  }

  /// All inboxes that there are.
  public func inboxes() throws(KafkaError) -> [ServerEpoch] {
    try client.describeTopics().topics.compactMap { names.inboxOwner(of: $0.name) }
  }

  /// The partitions of a topic that no broker leads at the moment.
  public func leaderless(_ name: String, milliseconds: Int32) throws(KafkaError) -> Set<Int32> {
    let found = try client.describeTopics(milliseconds: milliseconds).topics.first { $0.name == name }
    return Set(found?.leaderless ?? [])
  }

  // MARK: Settings

  /// What is other than planned.
  private func check(_ plan: TopicPlan) throws(KafkaError) -> [TopicFinding] {
    let found = try settings(of: plan.name)
    var findings = plan.settings.compactMap { setting -> TopicFinding? in
      guard let value = found[setting.name], value != setting.value else { return nil }
      return TopicFinding(
        topic: plan.name, setting: setting.name, wanted: setting.value, found: value,
        isVital: setting.isVital && !Self.isMoreThanEnough(setting.name, value, than: setting.value))
    }
    let (topics, brokers) = try client.describeTopics()
    let replicas = topics.first { $0.name == plan.name }?.replicas ?? 0
    let wanted = TopicPlan.copies(brokers: brokers, wanted: replication)
    if replicas < wanted.replicas {
      findings.append(
        TopicFinding(
          topic: plan.name, setting: "replication factor", wanted: "\(wanted.replicas)", found: "\(replicas)",
          isVital: false))
    }
    // With two copies of which one may lag, acknowledged is what one broker has: no promise there.
    if let inSync = found["min.insync.replicas"].flatMap({ Int($0) }), replicas >= 3, inSync < 2 {
      findings.append(
        TopicFinding(
          topic: plan.name, setting: "min.insync.replicas", wanted: "2", found: "\(inSync)", isVital: true))
    }
    return findings
  }

  /// A log may be kept for longer than it has to be.
  private static func isMoreThanEnough(_ name: String, _ found: String, than wanted: String) -> Bool {
    guard name == "retention.ms", let found = Int64(found), let wanted = Int64(wanted) else { return false }
    return found == -1 || (wanted != -1 && found > wanted)
  }

  /// Waits for it where the broker that is asked has not heard yet of a topic that another one has just made.
  private func settings(of topic: String) throws(KafkaError) -> [String: String] {
    let deadline = Clock.milliseconds() + Int64(KafkaConfiguration.waitMilliseconds)
    while true {
      do throws(KafkaError) {
        return try settingsNow(of: topic)
      } catch {
        guard error.cause == "UNKNOWN_TOPIC_OR_PART", Clock.milliseconds() < deadline else { throw error }
        usleep(50_000)
      }
    }
  }

  private func settingsNow(of topic: String) throws(KafkaError) -> [String: String] {
    guard let resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic) else { return [:] }
    defer { rd_kafka_ConfigResource_destroy(resource) }
    var resources: [OpaquePointer?] = [resource]
    let answer = try ask(
      RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, "asking for the settings of the Kafka topic \(topic)"
    ) {
      rd_kafka_DescribeConfigs(client.handle, &resources, 1, $0, $1)
    }
    defer { rd_kafka_event_destroy(answer) }
    var count = 0
    let results = rd_kafka_DescribeConfigs_result_resources(
      rd_kafka_event_DescribeConfigs_result(answer), &count)
    guard count > 0, let result = results?[0] else { return [:] }
    let cause = rd_kafka_ConfigResource_error(result)
    guard cause == RD_KAFKA_RESP_ERR_NO_ERROR else {
      throw client.error(cause, "asking for the settings of the Kafka topic \(topic)")
    }
    var entries = 0
    let list = rd_kafka_ConfigResource_configs(result, &entries)
    var settings: [String: String] = [:]
    for i in 0..<entries {
      guard let entry = list?[i], let name = rd_kafka_ConfigEntry_name(entry),
        let value = rd_kafka_ConfigEntry_value(entry)
      else { continue }
      settings[String(cString: name)] = String(cString: value)
    }
    return settings
  }

  // MARK: Asking

  /// Asks one thing and waits for its answer, which the caller destroys.
  private func ask(
    _ operation: rd_kafka_admin_op_t, _ what: String, _ call: (OpaquePointer?, OpaquePointer?) -> Void
  ) throws(KafkaError) -> OpaquePointer {
    let options = rd_kafka_AdminOptions_new(client.handle, operation)
    defer { rd_kafka_AdminOptions_destroy(options) }
    let wait = KafkaConfiguration.waitMilliseconds
    rd_kafka_AdminOptions_set_request_timeout(options, wait, nil, 0)
    // Brokers answer a request to make or delete when it is done, where they are given time.
    if operation != RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS {
      rd_kafka_AdminOptions_set_operation_timeout(options, wait / 2, nil, 0)
    }
    let queue = rd_kafka_queue_new(client.handle)
    defer { rd_kafka_queue_destroy(queue) }
    call(options, queue)
    // The client gives up by itself after the request's time; a second more so that its answer comes.
    guard let answer = rd_kafka_queue_poll(queue, wait + 1_000) else {
      throw KafkaError(.unavailable, "\(what): no answer within \(wait / 1000) s")
    }
    let cause = rd_kafka_event_error(answer)
    guard cause == RD_KAFKA_RESP_ERR_NO_ERROR else {
      rd_kafka_event_destroy(answer)
      throw client.error(cause, what)
    }
    return answer
  }

  /// - Returns: false where the one result is the error that is allowed.
  private func firstResult(
    _ results: UnsafeMutablePointer<OpaquePointer?>?, _ count: Int, allowing: rd_kafka_resp_err_t,
    _ what: String
  ) throws(KafkaError) -> Bool {
    guard count > 0, let result = results?[0] else { return true }
    let cause = rd_kafka_topic_result_error(result)
    if cause == RD_KAFKA_RESP_ERR_NO_ERROR { return true }
    if cause == allowing { return false }
    let name = rd_kafka_topic_result_name(result).map { String(cString: $0) } ?? ""
    let reason = rd_kafka_topic_result_error_string(result).map { ", " + String(cString: $0) } ?? ""
    throw client.error(cause, "\(what) the Kafka topic \(name)\(reason)")
  }
}
