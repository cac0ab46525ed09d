import Kafka
import Redis

/// Where a cluster's Kafka and Redis are, and what its topics are made like: what the options of the cluster
/// come to once they are checked together.
///
/// Its description names no value of a Kafka setting and no password.
public struct ClusterConfiguration: Sendable, Equatable, CustomStringConvertible {
  /// One setting of librdkafka.
  public struct KafkaSetting: Sendable, Equatable, CustomStringConvertible {
    public var name: String
    public var value: String

    /// The name alone: the value may be a password.
    public var description: String { name }
  }

  /// `host:port`, one or several with commas between them.
  public var brokers: String
  /// Settings of librdkafka that are passed through, each name once; checked to be no promise's.
  public var kafkaSettings: [KafkaSetting]
  /// As given: `host:port`, `redis://[user[:password]@]h1:p1,h2:p2` or `sentinel://[...@]h1:p1,h2:p2/name`.
  public var redis: String
  /// What `--redis-password-file` holds, without the end of its line.
  public var redisPassword: String?
  /// What the names of all topics begin with.
  public var topicPrefix: String
  /// Of the log, where it is made: it stays as it was made.
  public var partitions: Int32
  /// Copies of each record; 0: three, or as many as there are brokers.
  public var replication: Int16

  /// `redis` without what stands before its `@`.
  public var redisWithoutSecrets: String {
    (try? RedisAddress(redis))?.description ?? ""
  }

  public var description: String {
    let names = kafkaSettings.map(\.name).joined(separator: ",")
    return "kafka \(brokers) [\(names)], redis \(redisWithoutSecrets), topics \(topicPrefix), "
      + "partitions \(partitions), replication \(replication)"
  }
}

/// The options of a cluster as they were given, each for itself.
struct ClusterOptions: Sendable, CustomStringConvertible {
  var brokers = ""
  var redis = ""
  var redisPasswordFile = ""
  /// In the order given; a later one of a name replaces an earlier one.
  var settings: [ClusterConfiguration.KafkaSetting] = []
  var settingsFile = ""
  var topicPrefix = "fastchat"
  var partitions = Int(16)
  var replication = 0

  /// No server may call itself this: `fc:{srv}:all` is the set of all servers.
  static let reservedServerID = "all"
  /// Bytes of a file that holds one password.
  private static let passwordBytesMax = 4_096

  /// What the options come to; nil where no brokers are named.
  ///
  /// - Throws: a setting that is not the operator's to make, a file that cannot be read, a relation that
  ///   does not hold. Never with a value that may be a secret.
  func settled() throws(ConfigurationError) -> ClusterConfiguration? {
    guard !brokers.isEmpty else { return nil }
    guard !redis.isEmpty else {
      throw ConfigurationError(
        "--kafka needs --redis HOST:PORT, where the servers of a cluster find each other")
    }
    var all: [ClusterConfiguration.KafkaSetting] = []
    if !settingsFile.isEmpty {
      for line in try ConfigurationFile(path: settingsFile, option: "kafka-config-file").lines {
        all.append(ClusterConfiguration.KafkaSetting(name: line.name, value: line.text))
      }
    }
    all += settings
    var kept: [ClusterConfiguration.KafkaSetting] = []
    for setting in all {
      kept.removeAll { $0.name == setting.name }
      kept.append(setting)
    }
    do {
      let pairs = kept.map { ($0.name, $0.value) }
      _ = try KafkaConfiguration(brokers: brokers, settings: Dictionary(uniqueKeysWithValues: pairs))
    } catch {
      throw ConfigurationError("--kafka-config: \(error.message)")
    }
    return ClusterConfiguration(
      brokers: brokers, kafkaSettings: kept, redis: redis, redisPassword: try password(),
      topicPrefix: topicPrefix, partitions: Int32(partitions), replication: Int16(replication))
  }

  private func password() throws(ConfigurationError) -> String? {
    guard !redisPasswordFile.isEmpty else { return nil }
    let option = "redis-password-file"
    guard (try? RedisAddress(redis))?.password == nil else {
      throw ConfigurationError("--redis has a password and --\(option) another; leave one of them out")
    }
    var bytes = try ConfigurationFile.read(redisPasswordFile, option: option, bytesMax: Self.passwordBytesMax)
    while let last = bytes.last, last == 0x0A || last == 0x0D { bytes.removeLast() }
    guard !bytes.isEmpty, !bytes.contains(0), !bytes.contains(0x0A) else {
      throw ConfigurationError(
        "--\(option) \(Printable.short(redisPasswordFile)): expected one line with the password")
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  var description: String {
    "\(brokers) \(settings) \(settingsFile) \(redis.isEmpty ? "" : "redis") \(topicPrefix) \(partitions) \(replication)"
  }
}
