import Foundation
import Support
import Synchronization
import Testing

/// All tests with real parts: one after the other, since two cores carry brokers, Redis and servers.
@Suite(.serialized, .enabled(if: KafkaBroker.isApacheKafka, "needs Apache Kafka, which cannot be had here"))
struct ClusterTests {}

/// A Redis of its own, names of topics of its own on the run's broker, and servers on them.
final class Instances {
  /// Nil where the test brought its own.
  private let redis: RedisServerProcess?
  private let redisFlags: [String]
  let broker: KafkaBroker
  let prefix: String
  private(set) var servers: [ServerProcess] = []
  private static let made = Atomic(0)

  /// - Parameters:
  ///   - own: brokers that the test may kill; otherwise the run's.
  ///   - redisFlags: of a Redis that the test brings; otherwise there is one for this.
  init(on own: KafkaBroker? = nil, redisFlags: [String] = []) throws {
    broker = try own ?? KafkaBroker.shared.get()
    redis = redisFlags.isEmpty ? try RedisServerProcess() : nil
    self.redisFlags = redis.map { ["--redis", $0.address] } ?? redisFlags
    prefix = "c\(getpid())-\(Self.made.add(1, ordering: .relaxed).newValue)"
  }

  /// Where everything is, as all commands get it.
  var connection: [String] {
    ["--kafka", broker.addresses, "--kafka-prefix", prefix] + redisFlags
  }

  /// The flags of a server in this cluster.
  func flags(_ id: String) -> [String] {
    connection + ["--partitions", "4", "--server-id", id, "--shards", "2"]
  }

  /// Starts a server and waits until it is ready.
  /// - Parameter others: flags beside those of the cluster, or in place of them.
  @discardableResult
  func start(_ id: String, _ others: [String] = []) throws -> ServerProcess {
    let server = try ServerProcess(flags(id) + others)
    servers.append(server)
    return server
  }

  func flush() throws { try run("FLUSHALL") }

  /// Of the Redis that was started for this.
  var redisPort: UInt16 { redis!.port }

  /// What `redis-cli` prints.
  @discardableResult
  func run(_ words: String...) throws -> String {
    guard let redis else { throw TestFailure("the test has its own Redis") }
    let done = try ServerProcess.execute(["redis-cli", "-p", "\(redis.port)"] + words)
    guard done.status == 0 else { throw TestFailure("redis-cli: \(done.errors)") }
    return done.output
  }

  /// All standard errors, for whoever has to find out what went wrong.
  var errors: String { servers.map(\.errors).joined(separator: "\n--\n") }
}

/// Runs `body` with a cluster that lives as long as it.
func withInstances(
  on own: KafkaBroker? = nil, redisFlags: [String] = [], _ body: (Instances) throws -> Void
) throws {
  let instances = try Instances(on: own, redisFlags: redisFlags)
  try withExtendedLifetime(instances) {
    do {
      try body(instances)
    } catch {
      throw TestFailure("\(error)\n\(instances.errors)")
    }
  }
  for server in instances.servers { server.kill() }
}

extension ChatTestClient {
  /// Takes the message of this `ack`, and no other one may come twice.
  func takeMessage(of ack: ChatFrame, within seconds: Int = 20) throws {
    try take("the message \(ack.seq ?? 0)", .after(.seconds(seconds))) {
      $0.type == "message" && $0.chat == ack.chat && $0.seq == ack.seq
    }
  }

  /// What a device holds that has seen all that came of these chats, its own messages too.
  func cursors(_ chats: String...) -> String {
    let pairs = chats.map { chat in
      let seqs = received.filter { $0.chat == chat && ($0.isEvent || $0.type == "ack") }.compactMap(\.seq)
      return "\(JSONValue.quoted(chat)):\(seqs.max() ?? 0)"
    }
    return "{" + pairs.joined(separator: ",") + "}"
  }
}
