import Chat
import Kafka

/// Read positions on their way to the reads topic, best effort (DESIGN section 6).
///
/// They go by the inboxes' producer, which has one request to a broker on its way: each partition has its turn once
/// a second, so that the record of an inbox waits for the positions of one or two partitions at most, and a
/// position is written once a second, however often it rises.
final class ReadsWriter {
  /// Ticks of the router in which each partition has its turn once.
  private static let turns: Int32 = 10

  private unowned let router: Router
  private var table: ReadsTable
  private var turn: Int32 = 0
  /// Positions that found the table full.
  private var refusedCount = 0

  init(_ router: Router) {
    self.router = router
    table = ReadsTable(partitions: router.facts.partitions)
  }

  private var producer: ReadsProducer { router.links.inboxes.reads }

  var writtenCount: Int { producer.writtenCount }
  var droppedCount: Int { refusedCount + producer.droppedCount }

  /// A position that the view has risen to.
  func put(_ mark: ReadMark, partition: Int32) {
    if !table.put(mark, partition: partition) { refusedCount += 1 }
  }

  /// Ten times a second.
  func tick() {
    turn = (turn + 1) % Self.turns
    for partition in stride(from: turn, to: router.facts.partitions, by: Int(Self.turns)) { write(partition) }
  }

  /// The server ends.
  func writeAll() {
    for partition in 0..<router.facts.partitions { write(partition) }
  }

  private func write(_ partition: Int32) {
    for mark in table.take(partition: partition) { producer.send(mark, partition: partition) }
  }
}
