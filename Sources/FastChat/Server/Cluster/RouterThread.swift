import Chat
import EventLoop
import Kafka

/// The router's thread, from its beginning to its end.
enum RouterThread {
  /// The body of the thread: says what it found, or why the server cannot start, and serves until the end.
  static func serve(
    _ shared: Shared, _ cluster: ClusterConfiguration, queue: RouterQueue,
    began: Handoff<Result<ClusterBackbone, StartFailure>>
  ) {
    do throws(StartFailure) {
      let start = try ClusterStart(
        cluster, serverID: shared.configuration.serverID, limits: shared.configuration.limits,
        pins: shared.pins
      ) { [ports = shared.ports] report in
        ports[report.origin.session.shard].post(report)
      }
      let loop = try starting { () throws(LoopError) in try EventLoop(loopConfiguration(shared.configuration))
      }
      let redis = try RedisStart.connect(
        cluster, serverID: shared.configuration.serverID, log: start.logID, loop: loop)
      let helper = try starting { () throws(LoopError) in try BrokerHelper() }
      let desk = try start.makeDesk()
      let router = try Router(
        shared, queue: queue, loop: loop, redis: redis, start: start, helper: helper,
        seed: UInt64.random(in: 0 ... .max))
      let thread = try WorkerThread("fc-brokers") { helper.serve(desk) }
      Log.info(
        "in a cluster",
        [
          "cluster": "\(cluster)", "log": router.facts.log, "generation": "\(router.generation)",
          "partitions": "\(router.facts.partitions)",
        ])
      began.give(.success(ClusterBackbone(router.facts, queue, start.links.producer)))
      router.run()
      thread.join()
    } catch {
      began.give(.failure(error))
    }
  }

  /// A loop with a handful of connections, to Redis, over which much goes.
  private static func loopConfiguration(_ configuration: Configuration) -> LoopConfiguration {
    var loop = LoopConfiguration()
    loop.backend =
      switch configuration.backend {
      case .automatic: .automatic
      case .ioUring: .ioUring
      case .epoll: .epoll
      }
    loop.connections = 256
    loop.reserve = 64
    loop.outputBytes = 8 << 20
    loop.totalOutputBytes = 256 << 20
    loop.timers = 1_024
    loop.receiveBuffers = 256
    loop.receiveBufferBytes = 16_384
    return loop
  }
}
