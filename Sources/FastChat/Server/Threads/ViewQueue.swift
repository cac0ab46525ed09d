import Chat

/// Questions to the view on their way from the shards to the reader's thread.
///
/// Bounded by a share of each shard, so that none keeps the others from asking; a question beyond it is
/// answered by its own shard as one that failed, which the edge repeats or reports as `unavailable`.
final class ViewQueue: @unchecked Sendable {
  struct Question: Sendable {
    let shard: Int
    let query: ViewQuery
  }

  /// Questions of one shard that wait at most.
  static let perShardMax = 16_384

  private let monitor = Monitor()
  // Guarded by the monitor.
  private var questions: [Question] = []
  private var waiting: [Int]
  private var isClosed = false

  init(shards: Int) { waiting = [Int](repeating: 0, count: shards) }

  /// Takes the queries of `shard` in order, as many as fit, and returns how many did.
  func put(_ queries: [ViewQuery], from shard: Int) -> Int {
    monitor.locked {
      guard !isClosed else { return 0 }
      let taken = min(queries.count, ViewQueue.perShardMax - waiting[shard])
      let wasEmpty = questions.isEmpty
      for query in queries.prefix(taken) { questions.append(Question(shard: shard, query: query)) }
      waiting[shard] += taken
      if wasEmpty { monitor.wake() }
      return taken
    }
  }

  func close() {
    monitor.locked {
      isClosed = true
      monitor.wake()
    }
  }

  /// Exchanges what waits for the empty list of the caller. Waits for a question until the tick
  /// `deadline`. False once the queue is closed: what waits then is nobody's any more.
  func take(_ taken: inout [Question], until deadline: Int64) -> Bool {
    precondition(taken.isEmpty)
    return monitor.locked {
      while questions.isEmpty && !isClosed {
        guard monitor.wait(until: deadline) else { break }
      }
      swap(&questions, &taken)
      for shard in waiting.indices { waiting[shard] = 0 }
      return !isClosed
    }
  }
}
