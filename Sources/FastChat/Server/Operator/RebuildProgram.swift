import Chat
import Glibc
import Redis

/// One run of `fastchat rebuild`: has the view made again from Kafka, or compares the two.
public enum RebuildProgram {
  private static let exitFailure: Int32 = 1

  /// Returns the exit code: 0 done, or nothing is different; 1 could not, or something is.
  public static func run(_ configuration: Configuration, _ order: RebuildOrder) -> Int32 {
    Signals.ignoreBrokenPipes()
    Log.level = max(configuration.logLevel, .warning)
    do throws(StartFailure) {
      guard let cluster = configuration.cluster else { throw StartFailure("rebuild is for a cluster") }
      let log = try LogDesk(cluster)
      for partition in order.partitions where partition >= log.partitions {
        throw StartFailure("--partition \(partition): the log has \(log.partitions), numbered from 0")
      }
      let partitions = order.partitions.isEmpty ? Array(0..<log.partitions) : order.partitions
      let redis = try RedisDesk(cluster, log: log.logID)
      if order.isDryRun {
        return try Comparison(log: log, redis: redis, limits: configuration.limits).run(partitions)
          ? 0 : exitFailure
      }
      try Rebuilding(log: log, redis: redis, mayLoseOlder: order.mayLoseOlder).run(partitions)
      return 0
    } catch {
      OperatorOutput.error(error.message)
      return exitFailure
    }
  }
}

/// What commands of an operator print.
enum OperatorOutput {
  static func line(_ text: String) { write(STDOUT_FILENO, text + "\n") }
  static func error(_ text: String) { write(STDERR_FILENO, "fastchat: " + text + "\n") }

  private static func write(_ descriptor: Int32, _ text: String) {
    var text = text
    text.withUTF8 { bytes in
      var rest = bytes[...]
      while !rest.isEmpty {
        let count = Glibc.write(descriptor, UnsafeBufferPointer(rebasing: rest).baseAddress, rest.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return }
        rest = rest.dropFirst(count)
      }
    }
  }

  /// Milliseconds since 1970.
  static func now() -> WallTime {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return WallTime(now.tv_sec) * 1000 + WallTime(now.tv_nsec) / 1_000_000
  }
}

/// `fastchat rebuild --dry-run`.
private struct Comparison {
  /// Milliseconds until what was different is looked at again: it may have been on its way.
  private static let againMilliseconds: Tick = 2_500

  let log: LogDesk
  let redis: RedisDesk
  let limits: Limits

  /// Whether nothing is different.
  func run(_ partitions: [Int32]) throws(StartFailure) -> Bool {
    var count = 0
    for partition in partitions { count += try compare(partition) }
    OperatorOutput.line(count == 0 ? "no differences" : "\(count) differences")
    return count == 0
  }

  private func compare(_ partition: Int32) throws(StartFailure) -> Int {
    let (view, committed, ends) = (
      try redis.view(partition), try log.committed(partition), try log.ends(partition)
    )
    let stands = view.applied.map { "applied \($0)" } ?? "nothing applied"
    OperatorOutput.line(
      "partition \(partition): view \(view.id.map { "\($0)" } ?? "missing"), \(stands), committed "
        + "\(committed.map { "\($0)" } ?? "nothing"), log \(ends.first) to \(ends.last), "
        + "a rebuild replays \(try replayed(partition, view, committed, ends)) records")
    guard view.id != nil, let applied = view.applied, view.rebuildingUntil == nil else {
      OperatorOutput.line("  there is no whole view")
      return 1
    }
    guard applied <= ends.last, committed ?? 0 <= ends.last else {
      OperatorOutput.line("  the log ends below what was applied or committed: it lost records")
      return 1
    }
    var audit = try audit(partition, min(applied, committed ?? ends.first - 1))
    var found = audit.found
    if !found.isEmpty {
      redis.wait(milliseconds: Self.againMilliseconds)
      let (view, committed) = (try redis.view(partition), try log.committed(partition))
      audit = try self.audit(partition, min(view.applied ?? applied, committed ?? ends.first - 1))
      found = found.confirmed(by: audit.found)
    }
    OperatorOutput.line("  \(audit.compared) events compared, \(found.count) differences")
    for line in found.lines.prefix(Differences.shownMax) { OperatorOutput.line("  \(line)") }
    if found.count > Differences.shownMax {
      OperatorOutput.line("  and \(found.count - Differences.shownMax) more")
    }
    return found.count
  }

  private func audit(_ partition: Int32, _ upto: Seq) throws(StartFailure) -> PartitionAudit {
    try PartitionAudit.run(partition, upto: upto, log, redis, limits, now: OperatorOutput.now())
  }

  private func replayed(
    _ partition: Int32, _ view: ViewState, _ committed: Seq?, _ ends: (first: Seq, last: Seq)
  ) throws(StartFailure) -> Seq {
    let span = max(limits.windowMilliseconds, Limits.dedupeSpanMilliseconds)
    let window = try log.first(partition, since: OperatorOutput.now() - span)
    let begin = max(min(window - 1, committed ?? ends.first - 1), ends.first - 1)
    return max(0, max(view.applied ?? 0, committed ?? 0) - begin)
  }
}

/// `fastchat rebuild`.
private struct Rebuilding {
  /// How often a removal begins anew, where an owner began a rebuild meanwhile.
  private static let attempts = 10
  /// Milliseconds between two looks at a view, between two lines about it, and without progress until it is
  /// given up.
  private static let lookMilliseconds: Tick = 200
  private static let lineMilliseconds: WallTime = 2_000
  private static let patienceMilliseconds: WallTime = 60_000

  let log: LogDesk
  let redis: RedisDesk
  let mayLoseOlder: Bool

  func run(_ partitions: [Int32]) throws(StartFailure) {
    for partition in partitions { try checkOlder(partition) }
    for partition in partitions {
      let begun = OperatorOutput.now()
      let id = try remove(partition)
      if try redis.servers().isEmpty {
        OperatorOutput.line(
          "partition \(partition): no server is running; the next one rebuilds it at its start")
      } else {
        try waitUntilWhole(partition, after: id, since: begun)
      }
    }
  }

  /// What the log does not have would not come back.
  private func checkOlder(_ partition: Int32) throws(StartFailure) {
    guard !mayLoseOlder else { return }
    let (begin, last) = try log.ends(partition)
    // A log that is whole since its generation began has what was there before as well.
    let isRefilled = log.generation > 1 && begin == SeqSpace.base(generation: log.generation)
    let first = isRefilled ? 0 : begin
    let upto = max(try redis.view(partition).applied ?? 0, try log.committed(partition) ?? 0)
    guard upto <= last else {
      throw StartFailure(
        "partition \(partition): the log ends below what was applied: it lost records, and the view is all there is "
          + "of them (OPERATIONS, \"A partition stops\")")
    }
    try redis.scan(partition, "h") { keys throws(StartFailure) in
      let replies = try redis.ask(keys.map { .events(ofHistory: $0, from: 0, limit: 1) })
      for (key, reply) in zip(keys, replies) {
        guard let event = StoredEvent.list(reply: reply)?.first, event.seq < first else { continue }
        let chat = PartitionKey.parts(key, partition: partition)?.name ?? []
        throw StartFailure(
          "partition \(partition): \(String(decoding: chat, as: UTF8.self)) has events in Redis that are older than "
            + "the log's first record, and would be lost; --lose-older says that they may")
      }
      return true
    }
  }

  /// Takes away what is derived. The view is held meanwhile, so that nobody reads half of it.
  /// - Returns: the id under which it was held.
  private func remove(_ partition: Int32) throws(StartFailure) -> ViewID {
    for _ in 0..<Self.attempts {
      let id = ViewID.random(in: 1 ... .max)
      _ = try redis.ask(.holdView(partition: partition, id: id))
      // Asked behind that: nothing is committed any more.
      let committed = try log.committed(partition)
      var removed = 0
      var isOurs = true
      try redis.scan(partition, "hkmc") { keys throws(StartFailure) in
        for start in stride(from: 0, to: keys.count, by: RedisCommand.removedKeys) where isOurs {
          let begun = OperatorOutput.now()
          let some = keys[start..<min(start + RedisCommand.removedKeys, keys.count)]
          isOurs = try redis.ask(.removeKeys(partition: partition, id: id, keys: some)) == .integer(1)
          removed += some.count
          // At most half of Redis' time.
          redis.wait(milliseconds: min(50, OperatorOutput.now() - begun))
        }
        return isOurs
      }
      guard isOurs else { continue }
      let below = committed.map { $0 + 1 } ?? 0
      let last = RedisCommand.removeKeys(partition: partition, id: id, keys: [], givingUpBelow: below)
      guard try redis.ask(last) == .integer(1) else { continue }
      OperatorOutput.line("partition \(partition): \(removed) keys removed")
      return id
    }
    throw StartFailure("partition \(partition): its owner begins to rebuild again and again; look at its log")
  }

  private func waitUntilWhole(_ partition: Int32, after held: ViewID, since begun: WallTime)
    throws(StartFailure)
  {
    var seen = ViewState()
    var movedAt = OperatorOutput.now()
    var toldAt = movedAt
    while true {
      let view = try redis.view(partition)
      let now = OperatorOutput.now()
      if let id = view.id, id != held, view.applied != nil, view.rebuildingUntil == nil {
        let milliseconds = now - begun
        return OperatorOutput.line(
          "partition \(partition): whole again as view \(id), after \(milliseconds / 1000).\(milliseconds / 100 % 10) s"
        )
      }
      if view != seen {
        seen = view
        movedAt = now
      }
      guard now - movedAt < Self.patienceMilliseconds else {
        throw StartFailure(
          "partition \(partition): no server rebuilds it, \(Self.patienceMilliseconds / 1000) s without progress; look "
            + "at the servers' logs")
      }
      if now - toldAt >= Self.lineMilliseconds {
        toldAt = now
        let place =
          view.applied.map { "replayed up to \($0)" } ?? (view.id == nil ? "not begun" : "restoring rows")
        OperatorOutput.line(
          "partition \(partition): \(place)\(view.rebuildingUntil.map { " of \($0)" } ?? "")")
      }
      redis.wait(milliseconds: Self.lookMilliseconds)
    }
  }
}
