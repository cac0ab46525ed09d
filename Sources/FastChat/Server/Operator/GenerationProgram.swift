import Chat
import Kafka
import Redis

/// One run of `fastchat new-generation`: begins a log anew where Kafka lost what it had acknowledged (docs/LOG.md,
/// "Generations").
///
/// ```
///  looks -> makes the topic -> fills it and the state topic -> commits -> moves the views -> marks it
///           from here on no server starts ............................................................
/// ```
/// Run again after whatever ended it, it begins with the topic as long as no view was moved, since all that it reads
/// is still there, and goes on with moving them afterwards.
public enum GenerationProgram {
  private static let exitFailure: Int32 = 1

  public static func run(_ configuration: Configuration, _ order: GenerationOrder) -> Int32 {
    Signals.ignoreBrokenPipes()
    Log.level = max(configuration.logLevel, .warning)
    do throws(StartFailure) {
      guard let cluster = configuration.cluster else { throw StartFailure("new-generation is for a cluster") }
      let desk = try GenerationDesk(cluster, configuration.limits)
      let redis = try RedisDesk(cluster, log: desk.logID)
      try NewGeneration(
        desk: desk, redis: redis, limits: configuration.limits, order: order
      ).run()
      return 0
    } catch {
      OperatorOutput.error(error.message)
      return exitFailure
    }
  }
}

private struct NewGeneration {
  /// Milliseconds after which a server that had begun to start before the topic was there has its lease.
  private static let startMilliseconds: Tick = 15_000
  /// Milliseconds between two words about a wait.
  private static let wordMilliseconds: Tick = 30_000

  let desk: GenerationDesk
  let redis: RedisDesk
  let limits: Limits
  let order: GenerationOrder

  func run() throws(StartFailure) {
    try checkServers()
    let views = try readViews()
    let newest = max(
      desk.old ?? 1,
      views.compactMap(\.applied).map { $0 / SeqSpace.generationSize }.filter { $0 != desk.begun }.max() ?? 1)
    let generation = desk.begun ?? newest + 1
    guard generation * SeqSpace.generationSize < SeqSpace.end - SeqSpace.generationSize else {
      throw StartFailure("there are no generations left")
    }
    OperatorOutput.line("generation \(newest) ends, generation \(generation) begins")
    try checkViews(views, generation)
    try tellUnapplied(views)
    guard !order.isDryRun else { return OperatorOutput.line("nothing was changed") }

    // The first view that is moved is the sign that the log is whole: what it took over is nowhere else by then.
    let isFilled = views.contains { ($0.applied ?? 0) / SeqSpace.generationSize == generation }
    if !isFilled { try fill(generation) }
    let positions = try desk.committed(generation: generation)
    for (partition, view) in try readViews().enumerated() {
      try move(Int32(partition), view, to: positions[partition])
    }
    try checkServers()
    try desk.complete(generation)
    OperatorOutput.line("generation \(generation) is complete; start the servers")
  }

  /// Makes the topic, with all that is to stand in it, and commits where its owners begin.
  private func fill(_ generation: Int64) throws(StartFailure) {
    try desk.makeLog(generation)
    redis.wait(milliseconds: Self.startMilliseconds)
    try checkServers()
    // A server that had begun to start before may have applied something.
    let views = try readViews()
    var positions: [Seq] = []
    for partition in 0..<desk.partitions { positions.append(try refill(partition, generation)) }
    try takeOver(views, generation)
    try desk.commit(positions, generation: generation)
    try waitForRepeats(views)
  }

  private func checkServers() throws(StartFailure) {
    let servers = try redis.servers()
    guard servers.isEmpty else {
      throw StartFailure("servers are running: \(servers.joined(separator: ", ")); end all of them first")
    }
  }

  private func readViews() throws(StartFailure) -> [ViewState] {
    var views: [ViewState] = []
    for partition in 0..<desk.partitions { views.append(try redis.view(partition)) }
    return views
  }

  // MARK: Looking

  private func isWhole(_ view: ViewState) -> Bool {
    view.id != nil && view.applied != nil && view.rebuildingUntil == nil
  }

  private func checkViews(_ views: [ViewState], _ generation: Int64) throws(StartFailure) {
    for (partition, view) in views.enumerated() {
      let rows = try desk.rows(Int32(partition))
      let highest = rows.values.max() ?? 0
      let problem: String? =
        if !isWhole(view) {
          "is missing or half rebuilt: members, rooms and heads come from \(desk.names.state), history is lost"
        } else if let applied = view.applied, applied < highest {
          "went back: \(desk.names.state) knows of \(highest), and the view of \(applied)"
        } else {
          nil
        }
      OperatorOutput.line(
        "partition \(partition): view \(problem ?? "whole, applied \(view.applied ?? 0)"), \(rows.count) rows"
      )
      if let problem, !order.mayLoseHistory {
        throw StartFailure(
          "the view of partition \(partition) \(problem); --lose-history goes on all the same")
      }
    }
  }

  /// Says how many records of an old log that is still there are to be taken over.
  private func tellUnapplied(_ views: [ViewState]) throws(StartFailure) {
    for partition in views.indices {
      var count = 0
      try walkUnapplied(Int32(partition), views[partition]) { _ throws(StartFailure) in count += 1 }
      guard count > 0 else { continue }
      OperatorOutput.line(
        "partition \(partition): \(count) records of the old log are not in the view, and are taken over")
    }
  }

  private func walkUnapplied(
    _ partition: Int32, _ view: ViewState, each: (Unapplied.Found) throws(StartFailure) -> Void
  ) throws(StartFailure) {
    guard let old = desk.old, let applied = view.applied, isWhole(view),
      applied / SeqSpace.generationSize == old || applied + 1 == SeqSpace.base(generation: old)
    else { return }
    guard try !desk.isLeaderless(partition, generation: old) else {
      let what =
        "partition \(partition) of the old log has no leader: what it has and the view has not is lost"
      guard order.mayLoseHistory else { throw StartFailure(what + "; --lose-history goes on all the same") }
      return OperatorOutput.line(what)
    }
    try Unapplied.walk(
      partition, applied: applied, try desk.log(old), redis, limits, now: OperatorOutput.now(), each: each)
  }

  // MARK: Doing

  private func refill(_ partition: Int32, _ generation: Int64) throws(StartFailure) -> Seq {
    var refill = Refill(
      partition, redis: redis, log: try desk.writer(desk.names.log(generation: generation)),
      state: try desk.writer(desk.names.state), known: try desk.rows(partition))
    try refill.run()
    let last = SeqSpace.base(generation: generation) + Seq(refill.events)
    let end = try desk.log(generation).ends(partition).last
    guard end == last else {
      throw StartFailure("partition \(partition) of the new log ends at \(end), not at \(last); run it again")
    }
    OperatorOutput.line("partition \(partition): \(refill.events) events, \(refill.rows) rows")
    return last
  }

  /// Behind what the views have: their owners apply it.
  private func takeOver(_ views: [ViewState], _ generation: Int64) throws(StartFailure) {
    let log = try desk.writer(desk.names.log(generation: generation))
    for partition in views.indices {
      try walkUnapplied(Int32(partition), views[partition]) { found throws(StartFailure) in
        let result = found.chat.withUnsafeBytes { key in
          found.value.withUnsafeBytes { value -> Result<Void, KafkaError> in
            do throws(KafkaError) {
              return .success(try log.write(Int32(partition), key: key, value: value))
            } catch {
              return .failure(error)
            }
          }
        }
        try desk.asking { () throws(KafkaError) in try result.get() }
      }
    }
    try desk.asking { () throws(KafkaError) in try log.flush() }
  }

  /// A record's repeat is told by its client's device, which the views do not have: the last repeats are waited for.
  private func waitForRepeats(_ views: [ViewState]) throws(StartFailure) {
    guard !order.mayDouble, let last = views.map(\.appended).max() else { return }
    while true {
      let left = last + Limits.dedupeSpanMilliseconds - OperatorOutput.now()
      guard left > 0 else { return }
      OperatorOutput.line(
        "\(left / 1000 + 1) s until no client repeats what was sent before (--at-once does not wait)")
      redis.wait(milliseconds: min(left, Self.wordMilliseconds))
    }
  }

  private func move(_ partition: Int32, _ view: ViewState, to position: Seq) throws(StartFailure) {
    // A view that is not there is rebuilt by its owner.
    guard let id = view.id, let applied = view.applied, isWhole(view), applied != position else { return }
    let command = RedisCommand.moveView(
      partition: partition, id: id, from: applied, to: position, hash: RecordHash.foreign,
      appended: OperatorOutput.now())
    guard try redis.ask(command) == .integer(1) else {
      throw StartFailure("partition \(partition): somebody else has written to the view; run it again")
    }
  }
}
