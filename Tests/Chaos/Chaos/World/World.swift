import Foundation
import Glibc
import Support

/// How large the system of a run is.
public struct WorldSize: Sendable {
  public var instances = 3
  public var brokers = 1
  /// One server on its own store in place of a cluster.
  public var isEmbedded = false
  public var partitions = 4
}

/// Everything that a run starts, in processes of their own, with a relay on every way between them.
final class World {
  static let topicPrefix = "chaos"

  let size: WorldSize
  let directory: String
  let relay: Relay
  let redis: ChaosRedis?
  let kafka: ChaosKafka?
  private(set) var instances: [Instance] = []
  let doors: Doors

  /// - Parameter program: the server's binary.
  init(_ size: WorldSize, directory: String, program: String) throws {
    self.size = size
    self.directory = directory
    relay = try Relay()
    redis = size.isEmbedded ? nil : try ChaosRedis(directory: directory)
    kafka =
      size.isEmbedded
      ? nil : try ChaosKafka(directory: directory, brokers: size.brokers, instances: size.instances)
    var ports: [UInt16] = []
    for index in 0..<size.instances {
      let (port, adminPort) = (try FreePort.find(), try FreePort.find())
      let client = try relay.add(to: port)
      ports.append(client.port)
      var command = [
        program, "serve", "--listen", "127.0.0.1:\(port)", "--admin", "127.0.0.1:\(adminPort)", "--shards",
        "2",
        "--limits-rate", "1000000", "--limits-window-events", "1000000",
      ]
      var redisLink: Int?
      var kafkaLinks: [Int] = []
      if let redis, let kafka {
        let way = try relay.add(to: redis.port)
        redisLink = way.link
        for way in kafka.ways where way.instance == index {
          kafkaLinks.append(try relay.add(to: way.target, port: way.port).link)
        }
        command += [
          "--server-id", "chaos-\(index)", "--kafka", kafka.addresses(of: index), "--redis",
          "127.0.0.1:\(way.port)", "--kafka-prefix", Self.topicPrefix, "--partitions", "\(size.partitions)",
        ]
      } else {
        command += ["--data", directory + "/data"]
      }
      let instance = Instance(
        index: index, port: port, adminPort: adminPort, log: "\(directory)/server-\(index).log",
        command: command)
      instance.clientLink = client.link
      instance.redisLink = redisLink
      instance.kafkaLinks = kafkaLinks
      instances.append(instance)
    }
    doors = Doors(ports: ports)
  }

  /// Starts all instances and waits until they are ready.
  func start() throws {
    for instance in instances { try instance.start() }
    let isReady = waitUntilReady(.after(.seconds(90))) { instances.allSatisfy { $0.unwantedEnd == nil } }
    guard isReady else {
      let ends = instances.compactMap { instance in instance.unwantedEnd.map { "\(instance.index) \($0)" } }
      throw TestFailure("the servers do not get ready: \(ends.joined(separator: ", "))")
    }
  }

  func waitUntilReady(_ deadline: Deadline, _ goOn: () -> Bool = { true }) -> Bool {
    while !deadline.hasPassed, goOn() {
      if instances.allSatisfy({ $0.isReady }) { return true }
      usleep(50_000)
    }
    return false
  }

  /// Makes everything run and every way pass.
  func heal() throws {
    for instance in instances {
      for link in [instance.clientLink] + instance.kafkaLinks + [instance.redisLink].compactMap({ $0 }) {
        relay.set(.pass, on: link)
      }
    }
    if let redis, !redis.isRunning { try redis.start() }
    try kafka?.resumeAll()
    for instance in instances {
      instance.resume()
      try instance.start()
    }
  }

  /// Ends everything, each by its own id.
  func end() {
    for instance in instances { instance.kill() }
    redis?.kill()
    kafka?.stop()
    relay.stop()
  }
}
