import Chat
import Kafka

/// What stands behind the shards of a server: who takes their records, answers their questions and knows
/// where sessions are. The shard and its edge machine are the same before both.
enum Backbone: Sendable {
  /// A server that stands alone: a local store.
  case embedded(EmbeddedBackbone)
  /// One of several that behave as one: Kafka and Redis, and the router's thread between.
  case cluster(ClusterBackbone)

  /// This start of the server; never 0.
  var epoch: Epoch {
    switch self {
    case .embedded(let embedded): embedded.epoch
    case .cluster(let cluster): cluster.facts.epoch
    }
  }

  /// Bytes of records that are still taken, over all shards.
  var room: Int {
    switch self {
    case .embedded(let embedded): embedded.storeQueue.room
    case .cluster(let cluster): cluster.queue.room
    }
  }

  func makeEdge(_ configuration: Configuration, shard: Int) -> Edge {
    let hashSeed = UInt64.random(in: 0 ... .max)
    switch self {
    case .embedded(let embedded):
      return Edge(
        Edge.Configuration(
          shard: shard, epoch: embedded.epoch, log: embedded.store.log, server: configuration.serverID,
          partitions: 1, limits: configuration.limits, hashSeed: hashSeed),
        view: embedded.store.view, directory: embedded.directory.id, applied: [embedded.store.applied])
    case .cluster(let cluster):
      return Edge(
        Edge.Configuration(
          shard: shard, epoch: cluster.facts.epoch, log: cluster.facts.log, server: configuration.serverID,
          partitions: cluster.facts.partitions, limits: configuration.limits, isClustered: true,
          hashSeed: hashSeed))
    }
  }
}

/// The backbone of a server that stands alone.
final class EmbeddedBackbone: Sendable {
  let epoch = UInt64.random(in: 1 ... .max)
  let store: StoreFacts
  let directory: Directory
  let storeQueue: StoreQueue
  let viewQueue: ViewQueue

  init(_ store: StoreFacts, storeQueue: StoreQueue, shards: Int) {
    self.store = store
    self.storeQueue = storeQueue
    directory = Directory(id: store.directory)
    viewQueue = ViewQueue(shards: shards)
  }
}

/// The backbone of a server among others: what its router said once it had begun, the way to it, and the log.
final class ClusterBackbone: Sendable {
  let facts: ClusterFacts
  let queue: RouterQueue
  /// The router's: it ends with it, since its end waits for librdkafka.
  private weak let producer: LogProducer?

  init(_ facts: ClusterFacts, _ queue: RouterQueue, _ producer: LogProducer) {
    self.facts = facts
    self.queue = queue
    self.producer = producer
  }

  /// Hands a run of records to the log. Returns what it does not take now: that goes by way of the router, where it
  /// waits, and all that comes after it, or where groups form (`AppendPace`).
  func append(_ run: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    guard !run.isEmpty, queue.occupied == 0, !queue.isPaced, let producer else { return run }
    guard producer.pendingCount <= facts.partitions else { return run }
    return UnsafeRawBufferPointer(rebasing: run[producer.append(run, stamp: Clock.nanoseconds())...])
  }
}

/// What a router knows before it serves.
struct ClusterFacts: Sendable {
  /// The log's id.
  let log: String
  /// The epoch that the server begins with.
  let epoch: Epoch
  /// Of the log, as it was made.
  let partitions: Int32
}
