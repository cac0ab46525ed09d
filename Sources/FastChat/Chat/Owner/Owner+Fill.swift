/// Filling the dedupe table up to where the view stands, at a takeover, in a rebuild, and after a refusal.
extension Owner {
  struct Fill {
    /// The seq at which the view stands, what it remembers of that record, and when the log took it.
    var target: Seq = 0
    var hash: UInt64 = 0
    var appended: WallTime = 0
    /// Up to where the table is filled.
    var last: Seq = 0
    /// The first record that the log still has of those taken at `appended` or later, and its end: known
    /// where no record came, since a log that nothing was written to for long has lost its records.
    var firstSeq: Seq?
    var end: Seq?
  }

  /// `place`: where reading the log begins; nil where it goes on, or begins behind the target.
  func beginFill(_ fill: Fill, from place: LogPlace?) {
    self.fill = fill
    phase = .filling
    windowQuestion.cancel()
    logEnd = LogEndWatch()
    nextEnd = tick + Self.windowQuestionMilliseconds
    if let place {
      readLog(from: place)
    } else if reading == 0 {
      readLog(from: .after(fill.target))
      self.fill.last = fill.target
    }
  }

  func advanceFill() {
    if rebuild == nil { askDirectories() }
    var offset = 0
    var next = 0
    while let entry = queue.next(at: &next), entry.seq <= fill.target {
      if entry.seq == fill.target, fill.hash != 0, recordHash(entry) != fill.hash {
        return stop(.otherRecord(at: entry.seq))
      }
      remember(entry)
      fill.last = entry.seq
      offset = next
    }
    dropQueued(offset)
    let isGone = (fill.firstSeq ?? 0) > fill.target && (fill.end ?? 0) >= fill.target
    guard fill.last >= fill.target || !queue.isEmpty || isGone else { return }
    position = fill.target
    highest = max(highest ?? position, position)
    breakChains()
    phase = .open
    if rebuild == nil { outcomes = [:] }
    advanceOpen()
  }

  func recordHash(_ entry: RecordQueue.Entry) -> UInt64 {
    guard let append = entry.append else { return RecordHash.foreign }
    return RecordHash.of(append)
  }

  func name(_ append: borrowing Append) -> KeyedHash.Value {
    hash(chat: append.chat, from: append.from, device: append.device, id: append.id)
  }

  /// Whether what a record comes to depends on its room.
  func isJudged(_ append: Append) -> Bool {
    append.chat[0] == UInt8(ascii: "r") && (append.isRepeat || append.kind.dependsOnState)
  }

  /// What a record judged by state is known to have come to. In a rebuild one that was committed and left
  /// no row behind was refused.
  func knownOutcome(_ seq: Seq) -> OutcomeRow? {
    if let row = outcomes[seq] { return row }
    guard rebuild != nil, let committed, seq <= committed else { return nil }
    return OutcomeRow(seq: seq, outcome: .notFound, role: .none)
  }

  /// Takes in a record that the view has had.
  private func remember(_ entry: RecordQueue.Entry) {
    recentMarks.note(entry.seq, appended: entry.appended)
    outcomeMarks.note(entry.seq, appended: entry.appended)
    let isUncommitted = entry.seq > committed ?? 0
    if isUncommitted { ledger.applied(entry.seq, appended: entry.appended) }
    guard let append = entry.append else { return }
    dedupe.expire(at: entry.appended)
    let key = name(append)
    guard dedupe.first(key, before: entry.seq, appended: entry.appended) == nil else { return }
    var row = OutcomeRow(seq: entry.seq, outcome: .event, role: .none)
    if isJudged(append) {
      guard let known = knownOutcome(entry.seq) else { return }
      row = known
      if isUncommitted {
        ledger.judged(row, append.kind, chat: append.chat, from: append.from, room: append.body)
      }
      outcomes[entry.seq] = nil
    }
    if row.outcome == .event { touched.touch(append.chat, seq: entry.seq, at: tick) }
    remember(
      DedupeTable.Entry(
        key: key, seq: entry.seq, outcome: row.outcome, time: append.time, appended: entry.appended))
  }

  /// At the table's bound the record is one that a repeat does not find.
  func remember(_ entry: DedupeTable.Entry) {
    guard !dedupe.isFull else {
      counters.unremembered += 1
      return
    }
    dedupe.append(entry)
  }
}
