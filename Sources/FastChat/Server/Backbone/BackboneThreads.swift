import Chat
import EventLoop

/// The threads behind the shards: how they begin, and how they end.
enum BackboneThreads {
  case embedded(EmbeddedBackbone, store: WorkerThread, reader: WorkerThread)
  case cluster(ClusterBackbone, router: WorkerThread)

  /// Milliseconds that records on their way to the log are waited for at the end. Whose record has no answer by
  /// then repeats it elsewhere, so that brokers that are gone are not worth a longer wait.
  private static let flushMilliseconds: Int64 = 5_000
  /// Milliseconds that the router has for leaving the directory, its helper for the call under way, and
  /// librdkafka's threads for theirs: a call waits as long as brokers that are gone are believed to come back.
  private static let leavingMilliseconds: Int64 = 4_000

  static func start(_ shared: Shared) throws(StartFailure) -> BackboneThreads {
    if let cluster = shared.configuration.cluster { return try startCluster(shared, cluster) }
    return try startEmbedded(shared)
  }

  private static func startEmbedded(_ shared: Shared) throws(StartFailure) -> BackboneThreads {
    let configuration = shared.configuration
    let queue = StoreQueue(limitBytes: configuration.limits.appendBytes)
    let opened = Handoff<Result<StoreFacts, StartFailure>>()
    let store = try WorkerThread("fc-store") {
      StoreThread.serve(
        configuration, queue: queue, ports: shared.ports, pins: shared.pins, metrics: shared.backboneMetrics,
        opened: opened)
    }
    do throws(StartFailure) {
      let facts = try opened.wait().get()
      let backbone = EmbeddedBackbone(facts, storeQueue: queue, shards: shared.ports.count)
      let reader = try WorkerThread("fc-reader") {
        ReaderThread.serve(facts.file, backbone.viewQueue, shared.ports)
      }
      return .embedded(backbone, store: store, reader: reader)
    } catch {
      // The store is closed in order, so that the next start finds nothing to repair.
      queue.close()
      store.join()
      throw error
    }
  }

  private static func startCluster(_ shared: Shared, _ cluster: ClusterConfiguration) throws(StartFailure)
    -> BackboneThreads
  {
    let queue = try starting { () throws(LoopError) in
      try RouterQueue(limitBytes: shared.configuration.limits.appendBytes, shards: shared.ports.count)
    }
    let began = Handoff<Result<ClusterBackbone, StartFailure>>()
    let router = try WorkerThread("fc-router") {
      RouterThread.serve(shared, cluster, queue: queue, began: began)
      queue.over.arrive(0)
    }
    do throws(StartFailure) {
      return .cluster(try began.wait().get(), router: router)
    } catch {
      router.join()
      throw error
    }
  }

  var backbone: Backbone {
    switch self {
    case .embedded(let backbone, _, _): .embedded(backbone)
    case .cluster(let backbone, _): .cluster(backbone)
    }
  }

  // MARK: The end

  /// The shards have handed over all that they took: answers it, and takes no more. Takes as long as the disk
  /// needs, or the brokers at most.
  func answerAll(_ shared: Shared) {
    switch self {
    case .embedded(let backbone, let store, let reader):
      backbone.viewQueue.close()
      reader.join()
      backbone.storeQueue.close()
      store.join()
    case .cluster(let backbone, _):
      backbone.queue.advance(to: .flushing)
      if !backbone.queue.flushed.wait(until: Clock.tick() + Self.flushMilliseconds) {
        Log.warning("the brokers took too long; what they did not confirm stays unanswered")
      }
    }
  }

  /// The shards are gone: ends. False where threads that wait for brokers were not waited for: everything
  /// acknowledged is in the log, and positions that were not committed are found again.
  func leave() -> Bool {
    guard case .cluster(let backbone, let router) = self else { return true }
    backbone.queue.advance(to: .leaving)
    guard backbone.queue.over.wait(until: Clock.tick() + Self.leavingMilliseconds) else {
      Log.warning("the brokers do not answer; the end does not wait for them")
      return false
    }
    router.join()
    return true
  }
}
