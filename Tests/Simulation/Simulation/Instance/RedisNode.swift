import Chat
import Redis
import SimulatedRedis

/// One Redis server: what it holds, and what it answers.
final class RedisNode {
  let redis: SimulatedRedis
  /// It answers nothing before.
  var frozenUntil: Tick = 0
  /// It is gone: connections to it break.
  var isGone = false

  init(_ redis: SimulatedRedis) { self.redis = redis }
}

/// A primary of the directory and of the views, whichever node that is now.
final class RedisPrimary {
  /// What was kept of it a while ago: what a restart or a replica that lags comes back with.
  struct Snapshot {
    var at: Tick
    var keyspace: Keyspace
  }

  static let snapshotMilliseconds: Tick = 250
  static let snapshotsKept = 600

  let index: Int
  private(set) var node: RedisNode
  /// Told after each run of records that it applied or refused.
  var onApply: () -> Void = {}
  private let engine: Engine
  private(set) var snapshots: [Snapshot] = []
  /// Those that it was before; some may still answer.
  private var former: [RedisNode] = []

  init(index: Int, engine: Engine) {
    self.index = index
    self.engine = engine
    node = RedisNode(SimulatedRedis(replicationID: engine.random.next() | 1))
  }

  /// Keeps what it holds now; a copy costs nothing before the next write.
  func keepSnapshot() {
    if snapshots.count == RedisPrimary.snapshotsKept { snapshots.removeFirst(RedisPrimary.snapshotsKept / 2) }
    snapshots.append(Snapshot(at: engine.now, keyspace: node.redis.keyspace))
  }

  /// The newest snapshot that is at least so old; the oldest one where none is.
  func snapshot(age: Tick) -> Snapshot? {
    snapshots.last { $0.at <= engine.now - age } ?? snapshots.first
  }

  /// FLUSHALL, on whichever node anybody still talks to.
  func flush() { for node in former + [node] { node.redis.keyspace = Keyspace() } }

  /// Another life with this content: a restart, or a replica that took over. The node before goes on for a
  /// while where `oldStays` is given.
  func replace(with keyspace: Keyspace, oldStays: Tick? = nil) {
    let old = node
    former.append(old)
    node = RedisNode(SimulatedRedis(replicationID: engine.random.next() | 1))
    node.redis.keyspace = keyspace
    snapshots.removeAll()
    guard let oldStays else {
      old.isGone = true
      return
    }
    engine.after(oldStays) { old.isGone = true }
  }
}
