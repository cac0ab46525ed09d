import Chat
import EventLoop
import Glibc

/// A server that serves: its threads, and the order in which they begin and end.
///
/// ```
/// begin:  store -> listeners -> shards -> reader -> "ready"
/// end:    shards take no more -> reader -> store commits what waits, answers, closes
///                             -> shards say goodbye
/// ```
/// So whatever was accepted is answered before its connection is told to go.
final class RunningServer {
  /// Milliseconds that the first commit is waited for.
  private static let provingMilliseconds: Int64 = 2_000

  private let context: ServerContext
  private let store: WorkerThread
  private let reader: WorkerThread
  private let shards: [WorkerThread]

  private init(
    _ context: ServerContext, store: WorkerThread, reader: WorkerThread, shards: [WorkerThread]
  ) {
    self.context = context
    self.store = store
    self.reader = reader
    self.shards = shards
  }

  // MARK: The beginning

  static func start(_ configuration: Configuration, descriptors: Int) throws(StartFailure) -> RunningServer {
    guard configuration.cluster == nil else {
      throw StartFailure("--kafka: a cluster is not built yet; leave it out to use the embedded store")
    }
    let shardCount = configuration.shards > 0 ? configuration.shards : max(LoopThread.processors, 1)
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
    let metrics = Metrics(threads: shardCount + 1, backend: backend.rawValue)
    let queue = StoreQueue(limitBytes: configuration.limits.appendBytes)
    let ports = try starting { () throws(LoopError) in try makePorts(shardCount) }

    let opened = Handoff<Result<StoreFacts, StartFailure>>()
    let store = try WorkerThread("fc-store") {
      StoreThread.serve(
        configuration, queue: queue, ports: ports, metrics: metrics.block(shardCount), opened: opened)
    }
    do throws(StartFailure) {
      let facts = try opened.wait().get()
      let sockets = try starting { () throws(LoopError) in
        try Listeners(configuration, shards: shardCount)
      }
      let context = ServerContext(
        configuration, bounds: bounds, store: facts, ports: ports, storeQueue: queue, metrics: metrics,
        listeners: sockets)
      let shards = try startShards(context)
      let reader = try WorkerThread("fc-reader") {
        ReaderThread.serve(facts.file, context.viewQueue, ports)
      }
      return RunningServer(context, store: store, reader: reader, shards: shards)
    } catch {
      // The store is closed in order, so that the next start finds nothing to repair.
      queue.close()
      store.join()
      throw error
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
  /// where the disk takes nothing, without waiting any longer, since what is stored can be read.
  func announce() {
    if !context.proven.wait(until: Clock.tick() + RunningServer.provingMilliseconds) {
      Log.warning("the store has not committed yet; the server is not ready")
    }
    let configuration = context.configuration
    let main = configuration.listen.description(port: context.listeners.mainPort)
    let admin = configuration.admin.description(port: context.listeners.adminPort)
    var line = "ready ws=\(main) admin=\(admin)\n"
    line.withUTF8 { _ = write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    ServiceManager.tell(.ready)
    Log.info("ready", ["ws": main, "admin": admin, "store": configuration.dataDirectory])
  }

  // MARK: The end

  /// Ends the server in order. Takes as long as the disk needs for what was accepted.
  func end(quiesceMilliseconds: Int64) {
    ServiceManager.tell(.stopping)
    context.health.end()
    for port in context.ports { port.advance(to: .quiescing) }
    if !context.quiesced.wait(until: Clock.tick() + quiesceMilliseconds) {
      Log.warning("a shard stands still; what it took and did not hand over stays unanswered")
    }
    context.viewQueue.close()
    reader.join()
    context.storeQueue.close()
    store.join()
    for port in context.ports { port.advance(to: .leaving) }
    for shard in shards { shard.join() }
  }
}
