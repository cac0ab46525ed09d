import Chat
import Kafka

/// What the router shows of itself, once a second.
extension Router {
  func reportFigures() {
    metrics.set(.redisCommands, to: redis.figures.commands)
    metrics.set(.redisUnanswered, to: redis.figures.unanswered)
    metrics.set(.readsWritten, to: reads.writtenCount)
    metrics.set(.readsDropped, to: reads.droppedCount)
    metrics.set(.foreignRecords, to: links.log.foreignCount)
    metrics.set(.appendWaitingBytes, to: queue.occupied)
    metrics.set(.pinnedBytes, to: shared.pins.bytes)
    var owned = 0
    var lag: Seq = 0
    var age: Tick = 0
    for owner in group.owners {
      guard let owner else { continue }
      owned += 1
      guard let applied = owner.owner.appliedPosition,
        let end = links.log.knownEnd(partition: owner.partition), end > applied
      else { continue }
      lag += end - applied
      age = max(age, wall - owner.lastAppended)
    }
    metrics.set(.ownedPartitions, to: owned)
    metrics.set(.stoppedPartitions, to: group.stopped.count)
    metrics.set(.logLagRecords, to: Int(lag))
    metrics.set(.viewLagMilliseconds, to: Int(age))
  }
}
