import Chat

/// Reads a partition for one owner from one place on, in order.
final class LogReader {
  private let kafka: SimulatedKafka
  private let partition: LogPartition
  private let thread: SimulatedThread
  private let deliver: (LogPartition.Record) -> Void
  private var next: Int64
  private var isPaused = false
  private var isFetching = false
  private(set) var isStopped = false
  /// Milliseconds that a fetch takes: the way to the brokers, and a router that is behind.
  private let delay: () -> Tick

  init(
    _ kafka: SimulatedKafka, partition: Int32, from place: LogPlace, thread: SimulatedThread,
    delay: @escaping () -> Tick, deliver: @escaping (LogPartition.Record) -> Void
  ) {
    self.kafka = kafka
    self.partition = kafka.log[Int(partition)]
    self.thread = thread
    self.delay = delay
    self.deliver = deliver
    switch place {
    case .beginning: next = 0
    case .after(let seq): next = LogPartition.offset(seq) + 1
    case .time(let time): next = self.partition.offset(since: time) ?? self.partition.nextOffset
    }
    fetch()
  }

  func stop() { isStopped = true }
  func pause() { isPaused = true }

  func resume() {
    isPaused = false
    fetch()
  }

  private func fetch() {
    guard !isFetching, !isPaused, !isStopped else { return }
    isFetching = true
    let index = partition.index(at: next)
    guard index < partition.records.count, partition.records[index].offset < partition.visibleEnd else {
      partition.wait { [self] in
        isFetching = false
        fetch()
      }
      return
    }
    kafka.engine.after(delay()) { [self] in
      thread.run { [self] in
        isFetching = false
        take()
        fetch()
      }
    }
  }

  private func take() {
    var left = kafka.engine.random.between(1, 40)
    while left > 0, !isPaused, !isStopped {
      let index = partition.index(at: next)
      guard index < partition.records.count, partition.records[index].offset < partition.visibleEnd else {
        return
      }
      let record = partition.records[index]
      next = record.offset + 1
      left -= 1
      deliver(record)
    }
  }
}
