import Chat
import Testing

/// One owner at work against `OwnerBackends`: performs its actions at once, except where a test interferes.
final class OwnerHost {
  struct Sent {
    var server: ServerEpoch
    var batch: Batch

    var hints: [Seq] { decoded.map(\.seq) }
    var texts: [String] { decoded.map(\.json) }

    private var decoded: [(seq: Seq, json: String)] {
      var offset = 0
      var found: [(Seq, String)] = []
      while let hint = HintCodec.decode(batch.hints.bytes, at: &offset) {
        found.append((hint.seq, String(decoding: hint.json, as: UTF8.self)))
      }
      return found
    }
  }

  let world: OwnerBackends
  let owner: Owner
  var tick: Tick = 1_000
  private var reading: UInt64 = 0
  private var next: Seq = 0
  private var isPaused = false

  var sent: [Sent] = []
  var verdicts: [Verdict] = []
  var stops: [StopReason] = []
  var rebuilds: [RebuildRequest] = []
  var applies: [ApplyRequest] = []
  var pauses = 0

  /// Called before an action is performed; false: it comes to nothing, and its answer is a failure.
  var before: (OwnerAction) -> Bool = { _ in true }
  /// Called after one was performed; false: its answer is lost, and a failure is told instead.
  var after: (OwnerAction) -> Bool = { _ in true }
  /// Nothing is performed any more, as of a process that was killed.
  var isDead = false
  var deliversRecords = true

  init(_ world: OwnerBackends, seed: UInt64 = 1, remembered: Int = 1 << 16) {
    self.world = world
    var configuration = Owner.Configuration(
      partition: 0, generation: 1, hashSeedLow: 3, hashSeedHigh: 4, idSeed: seed)
    configuration.rememberedRecords = remembered
    owner = Owner(configuration: configuration)
  }

  func start() {
    owner.assigned(committed: world.committed, tick: tick, wall: world.wall)
    settle()
  }

  /// Lets time pass in steps of a tick.
  func pass(_ milliseconds: Tick) {
    for _ in 0..<max(1, milliseconds / 100) {
      tick += 100
      world.wall += 100
      owner.tick(tick: tick, wall: world.wall)
      settle()
    }
  }

  /// Performs and answers until nothing is left to do.
  func settle() {
    while !isDead, step() {}
  }

  /// Performs the actions that stand there, or hands in a record; false where there is neither.
  func step() -> Bool {
    let actions = owner.actions
    owner.actionsPerformed()
    var answers: [() -> Void] = []
    for action in actions {
      if let answer = perform(action) { answers.append(answer) }
      if isDead { return false }
    }
    for answer in answers { answer() }
    if !actions.isEmpty { return true }
    guard deliversRecords, reading != 0, !isPaused, let record = world.record(max(next, world.firstSeq))
    else {
      return false
    }
    deliver(record)
    return true
  }

  private func deliver(_ record: OwnerBackends.Record) {
    next = record.seq + 1
    guard let text = record.append else {
      return owner.foreign(seq: record.seq, appended: record.appended, reading: reading)
    }
    text.chat.withUnsafeBytes { chat in
      text.from.withUnsafeBytes { from in
        text.device.withUnsafeBytes { device in
          text.id.withUnsafeBytes { id in
            text.body.withUnsafeBytes { body in
              owner.received(
                LogRecord(
                  seq: record.seq, appended: record.appended,
                  append: Append(
                    partition: 0, kind: text.kind, isRepeat: text.isRepeat, origin: text.origin,
                    time: text.time, chat: chat, from: from, device: device, id: id, body: body)),
                reading: reading)
            }
          }
        }
      }
    }
  }

  // MARK: Actions

  private func perform(_ action: OwnerAction) -> (() -> Void)? {
    let isPerformed = before(action)
    if isDead { return nil }
    let answer = isPerformed ? answer(to: action) : nil
    return isPerformed && after(action) ? answer : failure(of: action)
  }

  private func failure(of action: OwnerAction) -> (() -> Void)? {
    let owner = owner
    switch action {
    case .readView(let tag, _):
      var answer = ViewStateAnswer(tag: tag)
      answer.hasFailed = true
      return { owner.viewRead(answer) }
    case .apply(let request): return { owner.applied(ApplyAnswer(tag: request.tag, result: .unknown)) }
    case .beginRebuild(let request):
      return { owner.rebuildAnswered(RebuildAnswer(tag: request.tag, result: .unknown)) }
    case .restore(let request):
      return { owner.rebuildAnswered(RebuildAnswer(tag: request.tag, result: .unknown)) }
    case .readDirectories(let tag):
      var answer = DirectoriesRead(tag: tag)
      answer.hasFailed = true
      return { owner.directoriesRead(answer) }
    case .lookUp(let tag, _):
      var answer = LookedUp(tag: tag)
      answer.hasFailed = true
      return { owner.lookedUp(answer) }
    case .readLeases(let tag):
      var answer = LeasesRead(tag: tag)
      answer.hasFailed = true
      return { owner.leasesRead(answer) }
    case .send(let server, _): return { owner.notSent(server) }
    case .askLogEnd(let tag): return { owner.logEnded(tag: tag, at: nil) }
    case .askWindow(let tag, _): return { owner.windowBegins(tag: tag, seq: nil) }
    case .commit(let tag, _, _): return { owner.committed(tag: tag, isDone: false) }
    case .verdict, .readLog, .pauseLog, .resumeLog, .readState, .stop: return nil
    }
  }

  private func answer(to action: OwnerAction) -> (() -> Void)? {
    let (owner, world) = (owner, world)
    switch action {
    case .readView(let tag, let above):
      var answer = ViewStateAnswer(tag: tag)
      answer.state = world.view.state
      let rows = world.view.outcomes.values.filter { $0.seq > above }.sorted { $0.seq < $1.seq }
      answer.outcomes = Array(rows.prefix(2))
      answer.hasMore = rows.count > 2
      return { owner.viewRead(answer) }
    case .apply(let request):
      applies.append(request)
      let result = world.apply(request)
      return { owner.applied(ApplyAnswer(tag: request.tag, result: result)) }
    case .beginRebuild(let request):
      rebuilds.append(request)
      let result = world.begin(request)
      return { owner.rebuildAnswered(RebuildAnswer(tag: request.tag, result: result)) }
    case .restore(let request):
      let result = world.restore(request)
      return { owner.rebuildAnswered(RebuildAnswer(tag: request.tag, result: result)) }
    case .readDirectories(let tag):
      var answer = DirectoriesRead(tag: tag)
      answer.directories = world.primaries
      return { owner.directoriesRead(answer) }
    case .lookUp(let tag, let lookUp):
      var answer = LookedUp(tag: tag)
      answer.directories = world.primaries
      answer.users = lookUp.users.map { world.users[String(decoding: $0, as: UTF8.self)] ?? [] }
      answer.rooms = lookUp.rooms.map { world.rooms[String(decoding: $0, as: UTF8.self)] ?? [] }
      return { owner.lookedUp(answer) }
    case .readLeases(let tag):
      var answer = LeasesRead(tag: tag)
      answer.directories = [world.primaries[0]]
      answer.living = world.living
      return { owner.leasesRead(answer) }
    case .send(let server, let batch):
      sent.append(Sent(server: server, batch: batch))
      return nil
    case .verdict(_, let verdict):
      verdicts.append(verdict)
      return nil
    case .readLog(let reading, let place):
      self.reading = reading
      isPaused = false
      switch place {
      case .time(let time): next = world.first(at: time)
      case .after(let seq): next = seq + 1
      case .beginning: next = world.firstSeq
      }
      return nil
    case .pauseLog:
      isPaused = true
      pauses += 1
      return nil
    case .resumeLog:
      isPaused = false
      return nil
    case .askLogEnd(let tag):
      let end = world.end
      return { owner.logEnded(tag: tag, at: end) }
    case .askWindow(let tag, let time):
      let seq = world.first(at: time)
      return { owner.windowBegins(tag: tag, seq: seq) }
    case .readState(let reading):
      isPaused = false
      let (rows, committed) = (world.state, world.committed)
      return {
        for row in rows { owner.stateRead(row, reading: reading) }
        owner.stateEnded(committed: committed, reading: reading)
      }
    case .commit(let tag, let upto, let rows):
      world.state += rows
      world.committed = upto
      return { owner.committed(tag: tag, isDone: true) }
    case .stop(let reason):
      stops.append(reason)
      return nil
    }
  }
}
