import EventLoop
import Glibc

/// A server that serves: its threads, and the order in which they begin and end.
///
/// ```
/// begin:  backbone (store or router) -> listeners -> shards -> "ready"
/// end:    shards take no more -> the backbone answers what waits -> shards say goodbye -> the rest
/// ```
/// So whatever was accepted is answered before its connection is told to go.
final class RunningServer {
  /// Milliseconds that the first commit is waited for, or that the server finds its place in a cluster.
  private static let provingMilliseconds: Int64 = 2_000
  private static let clusterProvingMilliseconds: Int64 = 10_000

  private let context: ServerContext
  let shared: Shared
  private let backbone: BackboneThreads
  private let shards: [WorkerThread]

  private init(
    _ context: ServerContext, _ shared: Shared, backbone: BackboneThreads, shards: [WorkerThread]
  ) {
    self.context = context
    self.shared = shared
    self.backbone = backbone
    self.shards = shards
  }

  // MARK: The beginning

  static func start(_ configuration: Configuration, descriptors: Int) throws(StartFailure) -> RunningServer {
    let shardCount = configuration.shardCount
    let bounds = Bounds(configuration, shards: shardCount, descriptors: descriptors)
    let report = BackendProbe.run()
    let backend = chosenBackend(configuration, report)
    Log.info(
      "starting",
      [
        "version": Version.text, "server": configuration.serverID, "shards": "\(shardCount)",
        "backend": backend.rawValue, "kernel": report.description,
        "connections": "\(bounds.connectionsMax)",
      ])
    let shared = Shared(
      configuration, ports: try starting { () throws(LoopError) in try makePorts(shardCount) },
      metrics: Metrics(threads: shardCount + 1, backend: backend.rawValue))
    let backbone = try BackboneThreads.start(shared)
    do throws(StartFailure) {
      let sockets = try starting { () throws(LoopError) in
        try Listeners(configuration, shards: shardCount)
      }
      let context = ServerContext(shared, bounds: bounds, backbone: backbone.backbone, listeners: sockets)
      return RunningServer(context, shared, backbone: backbone, shards: try startShards(context))
    } catch {
      backbone.answerAll(shared)
      var failure = error
      failure.leavesThreads = !backbone.leave()
      throw failure
    }
  }

  /// What the loops will run on. One that is asked for and not there is an error of theirs.
  private static func chosenBackend(_ configuration: Configuration, _ report: BackendReport) -> BackendKind {
    switch configuration.backend {
    case .automatic: report.backends.first ?? .epoll
    case .ioUring: .ioUring
    case .epoll: .epoll
    }
  }

  private static func makePorts(_ count: Int) throws(LoopError) -> [ShardPort] {
    var ports: [ShardPort] = []
    for _ in 0..<count { ports.append(try ShardPort()) }
    return ports
  }

  private static func startShards(_ context: ServerContext) throws(StartFailure) -> [WorkerThread] {
    var threads: [WorkerThread] = []
    for index in context.ports.indices {
      let started = Handoff<LoopError?>()
      threads.append(
        try WorkerThread("fc-shard-\(index)") {
          do throws(LoopError) {
            let shard = try Shard(context, index: index)
            started.give(nil)
            shard.run()
          } catch {
            started.give(error)
          }
        })
      if let error = started.wait() { throw StartFailure(error.description) }
    }
    return threads
  }

  /// Where clients connect.
  var mainPort: UInt16 { context.listeners.mainPort }

  /// Says on standard output, and to the service manager, where the server listens: once it is ready, or,
  /// where the disk or the brokers take nothing, without waiting any longer, since what is stored can be read.
  /// - Throws: why it may not go on.
  func announce() throws(StartFailure) {
    let configuration = context.configuration
    let isCluster = configuration.cluster != nil
    let patience = isCluster ? Self.clusterProvingMilliseconds : Self.provingMilliseconds
    let deadline = Clock.tick() + patience
    if !context.proven.wait(until: deadline) {
      if let failure = shared.failure { throw failure }
      Log.warning(
        isCluster
          ? "the server has not found its place in the cluster yet; it is not ready"
          : "the store has not committed yet; the server is not ready")
    }
    // In a cluster the log has to take a record too, and a lease to hold: moments, where all else is there.
    while !shared.health.isReady(at: Clock.tick()), Clock.tick() < deadline { usleep(2_000) }
    if let failure = shared.failure { throw failure }
    let main = configuration.listen.description(port: context.listeners.mainPort)
    let admin = configuration.admin.description(port: context.listeners.adminPort)
    var line = "ready ws=\(main) admin=\(admin)\n"
    line.withUTF8 { _ = write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    ServiceManager.tell(.ready)
    Log.info(
      "ready",
      ["ws": main, "admin": admin, "store": configuration.cluster?.brokers ?? configuration.dataDirectory])
  }

  /// Why the server may not go on, if so.
  var failure: StartFailure? { shared.failure }

  // MARK: The end

  /// Ends the server in order. Takes as long as the disk needs for what was accepted; brokers are waited for
  /// some seconds. False where threads that wait for them still run.
  func end(quiesceMilliseconds: Int64) -> Bool {
    ServiceManager.tell(.stopping)
    context.health.end()
    for port in context.ports { port.advance(to: .quiescing) }
    if !context.quiesced.wait(until: Clock.tick() + quiesceMilliseconds) {
      Log.warning("a shard stands still; what it took and did not hand over stays unanswered")
    }
    backbone.answerAll(shared)
    for port in context.ports { port.advance(to: .leaving) }
    for shard in shards { shard.join() }
    return backbone.leave()
  }
}
