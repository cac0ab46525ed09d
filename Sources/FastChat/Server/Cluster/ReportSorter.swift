import Chat
import Kafka

/// What became of records, to the shards that they came from: one word a shard and turn.
struct ReportSorter {
  private var appended: [[Appended]]
  private var failed: [[Failed]]

  init(shards: Int) {
    appended = Array(repeating: [], count: shards)
    failed = Array(repeating: [], count: shards)
  }

  mutating func tell(_ reports: [DeliveryReport], _ ports: [ShardPort], _ metrics: MetricsBlock) {
    guard !reports.isEmpty else { return }
    let now = Clock.nanoseconds()
    for report in reports {
      let shard = report.origin.session.shard
      guard ports.indices.contains(shard) else { continue }
      switch report.decision {
      case .acknowledge(let seq):
        appended[shard].append(Appended(origin: report.origin, seq: seq, time: report.time))
      case .fail(let mayHavePersisted):
        failed[shard].append(Failed(origin: report.origin, mayHavePersisted: mayHavePersisted))
        metrics.add(.storeFailures)
        continue
      case .appendAgain, .leaveToOwner: break
      }
      metrics.add(.storedRecords)
      metrics.record(.append, nanoseconds: now &- report.stamp)
    }
    for (shard, port) in ports.enumerated() where !appended[shard].isEmpty || !failed[shard].isEmpty {
      port.post(LogNews(appended: appended[shard], failed: failed[shard]))
      appended[shard] = []
      failed[shard] = []
    }
  }
}
