import Foundation
import Support
import Testing

@testable import Server

private func read(_ words: [String], variables: [String: String] = [:]) throws -> Configuration {
  let environment = variables.map { (name: $0.key, value: $0.value) }
  let invocation = try Invocation(arguments: words, environment: environment, descriptors: 20_000)
  guard case .serve(let configuration, _) = invocation else { throw NotServe() }
  return configuration
}

private struct NotServe: Error {}

private func complaint(_ words: [String], variables: [String: String] = [:]) -> String {
  do {
    _ = try read(words, variables: variables)
    return "none"
  } catch { return "\(error)" }
}

private func withFile<R>(_ text: String, _ body: (String) throws -> R) throws -> R {
  let directory = try TemporaryDirectory()
  let path = directory.path + "/file"
  try Data(text.utf8).write(to: URL(fileURLWithPath: path))
  return try withExtendedLifetime(directory) { try body(path) }
}

private typealias Setting = ClusterConfiguration.KafkaSetting

@Suite(.serialized) struct ClusterConfigurationTests {
  private static let cluster = ["--kafka", "b1:9092", "--redis", "r:6379"]

  @Test func withoutBrokersThereIsNoCluster() throws {
    #expect(try read([]).cluster == nil)
    #expect(try read([]).serverID == "local")
  }

  @Test func brokersAndRedisMakeACluster() throws {
    let configuration = try read(Self.cluster + ["--server-id", "s-1"])
    #expect(
      configuration.cluster
        == ClusterConfiguration(
          brokers: "b1:9092", kafkaSettings: [], redis: "r:6379", redisPassword: nil, topicPrefix: "fastchat",
          partitions: 16, replication: 0))
    #expect(configuration.serverID == "s-1")
  }

  @Test func everyFlagOfAClusterSetsItsField() throws {
    let cluster = try withFile("hunter2\r\n") { path in
      try read([
        "--kafka", "b1:9092,[::1]:9093,b-3.example:1", "--redis", "sentinel://s1:26379,s2:26379/main",
        "--redis-password-file", path, "--kafka-config", "security.protocol=SASL_SSL",
        "--kafka-config=sasl.username=a=b,c", "--kafka-prefix", "chat_2.x", "--partitions", "64",
        "--replication", "2",
      ]).cluster
    }
    #expect(cluster?.brokers == "b1:9092,[::1]:9093,b-3.example:1")
    #expect(cluster?.redis == "sentinel://s1:26379,s2:26379/main")
    #expect(cluster?.redisPassword == "hunter2")
    #expect(
      cluster?.kafkaSettings == [
        Setting(name: "security.protocol", value: "SASL_SSL"), Setting(name: "sasl.username", value: "a=b,c"),
      ])
    #expect(cluster?.topicPrefix == "chat_2.x")
    #expect(cluster?.partitions == 64)
    #expect(cluster?.replication == 2)
  }

  @Test func kafkaSettingsComeFromEverywhereAndTheLastOfANameCounts() throws {
    try withFile("client.rack = file ; not this\nsocket.keepalive.enable = true\n") { settings in
      let text = """
        kafka = b:1
        redis = r:1
        kafka-config-file = \(settings)
        kafka-config = client.rack=line
        kafka-config = linger.ms=1
        """
      try withFile(text) { path in
        let cluster = try read(
          ["--config", path, "--kafka-config", "linger.ms=2"],
          variables: ["FASTCHAT_KAFKA_CONFIG": "socket.nagle.disable=true"]
        ).cluster
        #expect(
          cluster?.kafkaSettings == [
            Setting(name: "socket.keepalive.enable", value: "true"),
            Setting(name: "client.rack", value: "line"),
            Setting(name: "socket.nagle.disable", value: "true"), Setting(name: "linger.ms", value: "2"),
          ])
      }
    }
  }

  @Test(arguments: [
    "acks", "request.required.acks", "enable.idempotence", "max.in.flight",
    "max.in.flight.requests.per.connection", "transactional.id", "group.id", "group.instance.id",
    "group.protocol.type", "auto.offset.reset", "delivery.report.only.error", "delivery.timeout.ms",
    "test.mock.num.brokers", "queuing.strategy", "bootstrap.servers",
  ])
  func settingsThatThePromisesHangOnAreRefusedByName(_ name: String) throws {
    let expected = "--kafka-config: the Kafka setting \(name) is FastChat's own and cannot be changed"
    #expect(complaint(Self.cluster + ["--kafka-config", "\(name)=1"]) == expected)
    try withFile("\(name) = 1\n") { path in
      #expect(complaint(Self.cluster + ["--kafka-config-file", path]) == expected)
    }
  }

  @Test func whatLibrdkafkaDoesNotTakeIsRefusedWithoutItsValue() {
    let unknown = complaint(Self.cluster + ["--kafka-config", "sasl.pasword=geheim"])
    #expect(
      unknown == "--kafka-config: there is no Kafka setting sasl.pasword: see librdkafka's CONFIGURATION.md")
    let wrong = complaint(Self.cluster + ["--kafka-config", "security.protocol=geheim"])
    #expect(wrong.hasPrefix("--kafka-config: the Kafka setting security.protocol cannot have this value"))
    #expect(!wrong.contains("geheim"))
  }

  @Test func noSecretIsShown() throws {
    let configuration = try read([
      "--kafka", "b:1", "--redis", "redis://user:geheim@r1:1,r2:2", "--kafka-config", "sasl.password=geheim",
    ])
    #expect(configuration.cluster?.redis == "redis://user:geheim@r1:1,r2:2")
    #expect(configuration.cluster?.redisWithoutSecrets == "redis://r1:1,r2:2")
    #expect(!"\(configuration)".contains("geheim"))
    #expect(!String(reflecting: configuration.cluster).contains("geheim"))
    #expect(!complaint(["--kafka", "b:1", "--redis", "redis://user:geheim@r1"]).contains("geheim"))
    #expect(!complaint(Self.cluster + ["--kafka-config", "geheim"]).contains("geheim"))
  }

  @Test(arguments: [
    "r:6379", "10.0.0.1:1", "[::1]:6379", "redis://r:1", "redis://r1:1,r2:2", "redis://:p@r:1",
    "redis://u:p/@:x@r:1", "sentinel://s:1/m", "sentinel://u:p@s1:1,s2:2/my-main",
  ])
  func formsOfRedisAddressesAreRead(_ text: String) {
    #expect(complaint(["--kafka", "b:1", "--redis", text]) == "none")
  }

  @Test(arguments: [
    "", "r", "r:", "r:0", "r:65536", "r1:1,r2:2", "redis://", "redis://r", "redis://r:1/0", "rediss://r:1",
    "http://r:1", "sentinel://s:1", "sentinel://s:1/", "sentinel://s:1/a/b", "redis://r:1,", "[::1:1", "r :1",
  ])
  func whatIsNoRedisAddressIsRefused(_ text: String) {
    #expect(
      complaint(["--kafka", "b:1", "--redis", text])
        == "--redis: this is not host:port, redis://user:password@host:port,... or "
        + "sentinel://host:port,.../name")
  }

  @Test(arguments: ["", "b", "b:", "b:0", ":1", "b:1,", ",b:1", "b:1 ,c:2", "b:99999", "[::1]", "k://b:1"])
  func whatIsNoListOfBrokersIsRefused(_ text: String) {
    #expect(complaint(["--kafka", text]) == "--kafka: '\(text)' is not a list with commas, each host:port")
  }

  @Test func whatBelongsTogetherIsAskedForTogether() throws {
    #expect(
      complaint(["--kafka", "b:1"])
        == "--kafka needs --redis HOST:PORT, where the servers of a cluster find each other")
    for words in [
      ["--redis", "r:1"], ["--kafka-config", "a=b"], ["--kafka-config-file", "x"], ["--kafka-prefix", "x"],
      ["--partitions", "4"], ["--replication", "1"], ["--redis-password-file", "x"],
    ] {
      #expect(
        complaint(words)
          == "\(words[0]) needs --kafka HOST:PORT,...; leave it out to use the embedded store")
    }
    #expect(
      complaint(Self.cluster + ["--data", "x"])
        == "--data has no meaning in a cluster, which keeps everything in Kafka and Redis; leave it out")
    try withFile("p\n") { path in
      #expect(
        complaint(["--kafka", "b:1", "--redis", "redis://:q@r:1", "--redis-password-file", path])
          == "--redis has a password and --redis-password-file another; leave one of them out")
    }
  }

  @Test func aServerIsCalledAsItsHostUnlessItIsTold() throws {
    func named(_ host: String, given: Set<String> = []) throws -> String {
      var configuration = Configuration()
      configuration.clusterOptions.brokers = "b:1"
      configuration.clusterOptions.redis = "r:1"
      try configuration.settleCluster(given: given, hostName: host)
      return configuration.serverID
    }
    #expect(try named("db_1.example.org") == "db-1-example-org")
    #expect(try named(String(repeating: "x", count: 70)).count == 64)
    #expect(try named("h", given: ["server-id"]) == "local")
    for host in ["", "...", "all"] { #expect(throws: ConfigurationError.self) { try named(host) } }
    #expect(
      complaint(Self.cluster + ["--server-id", "all"])
        == "--server-id all is no server's name in a cluster: it means all of them; choose another")
    #expect(try read(["--server-id", "all"]).serverID == "all")
  }

  @Test func filesOfSecretsAreReadOrTheReasonIsSaid() throws {
    #expect(
      complaint(Self.cluster + ["--redis-password-file", "/nowhere/x"])
        == "--redis-password-file /nowhere/x: No such file or directory")
    #expect(
      complaint(Self.cluster + ["--kafka-config-file", "/nowhere/x"])
        == "--kafka-config-file /nowhere/x: No such file or directory")
    for text in ["", "\n", "a\nb\n", "a\0b"] {
      try withFile(text) { path in
        #expect(
          complaint(Self.cluster + ["--redis-password-file", path])
            == "--redis-password-file \(path): expected one line with the password")
      }
    }
    try withFile("sasl.password geheim\n") { path in
      #expect(complaint(Self.cluster + ["--kafka-config-file", path]) == "\(path):1: expected name = value")
    }
  }
}
