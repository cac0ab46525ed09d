/// Rebuilding a view from the state topic and the log (DESIGN section 5, "Rebuild").
extension Owner {
  /// Rows of the state topic that are restored at once, and bytes of their texts; rows that wait, beyond
  /// which no more are read.
  static let restoreRows = 512
  static let restoreBytes = 256 << 10
  static let waitingRows = 16_384

  struct Rebuild {
    /// As the view was found.
    var old: ViewState
    /// Up to where records are replayed.
    var until: Seq
    /// Another owner restored the rows, and began the replay.
    var isContinued = false
    /// Rows that wait, of which the first `underWay` are being restored.
    var rows: [StateRow] = []
    var underWay = 0
    var hasAllRows = false
    /// The first record that the log has, and the first in the window.
    var oldest: Seq?
    var windowBegin: Seq?
    var windowTime: WallTime = 0
    /// Set with the last request: where the replay begins.
    var begin: Seq?
  }

  func beginRebuild(of state: ViewState) {
    let known = outcomes.merging(ledger.outcomes) { read, _ in read }
    forget()
    outcomes = known
    ledger.restart()
    counters.rebuilds += 1
    let nothing = SeqSpace.nothingYet(generation: configuration.generation)
    let until = max(
      highest ?? nothing, committed ?? nothing, state.applied ?? nothing, state.rebuildingUntil ?? nothing)
    rebuild = Rebuild(old: state, until: until)
    view = nextViewID()
    phase = .beginningRebuild
  }

  /// The owner that rebuilt the view died during the replay: its rows are there, the replay goes on.
  func continueRebuild(of state: ViewState) {
    ledger.restart()
    rebuild = Rebuild(
      old: state, until: max(highest ?? 0, committed ?? 0, state.rebuildingUntil ?? 0), isContinued: true)
    readState()
  }

  private func readState() {
    phase = .readingState
    stateReading = nextTag()
    actions.append(.readState(reading: stateReading))
  }

  func advanceBeginning() {
    guard let rebuild, rebuildQuestion.isFree(at: tick) else { return }
    let tag = nextTag()
    rebuildQuestion.ask(tag)
    actions.append(
      .beginRebuild(
        RebuildRequest(
          tag: tag, partition: configuration.partition, expected: rebuild.old, id: view, until: rebuild.until)
      ))
  }

  /// The view's word to a `RebuildRequest` or a `RestoreRequest`.
  public func rebuildAnswered(_ answer: RebuildAnswer) {
    guard rebuildQuestion.takes(answer.tag) else { return }
    switch answer.result {
    case .unknown: return rebuildQuestion.failed(at: tick)
    case .done: rebuildQuestion.succeeded()
    case .refused(let state):
      rebuildQuestion.succeeded()
      guard isAlreadyDone(state) else {
        refused(rebuild: state)
        return advance()
      }
    }
    if phase == .beginningRebuild {
      readState()
    } else if phase == .placing, let begin = rebuild?.begin {
      beginReplay(after: begin)
    } else {
      let restored = rebuild?.underWay ?? 0
      rebuild?.rows.removeFirst(restored)
      rebuild?.underWay = 0
      resumeState()
    }
    advance()
  }

  /// Whether only the answer to the same request was lost.
  private func isAlreadyDone(_ state: ViewState) -> Bool {
    guard state.id == view else { return false }
    return switch phase {
    case .beginningRebuild: state.applied == nil
    case .placing: rebuild?.begin != nil && state.applied == rebuild?.begin
    default: false
    }
  }

  /// Another owner rebuilds, and is waited for; one that goes on under this id is gone on with.
  private func refused(rebuild state: ViewState) {
    if state.id == view { return takeOver() }
    forget()
    view = 0
    lookAgain()
  }

  // MARK: Rows

  func restore(_ row: StateRow) {
    switch row.value {
    case .outcome(let outcome, let role):
      outcomes[row.seq] = OutcomeRow(seq: row.seq, outcome: outcome, role: role)
    case .forgottenOutcome: outcomes[row.seq] = nil
    case .member, .chat, .head:
      guard let rebuild, !rebuild.isContinued else { return }
      self.rebuild?.rows.append(row)
      if rebuild.rows.count + 1 >= Self.waitingRows, !isLogPaused {
        isLogPaused = true
        actions.append(.pauseLog)
      }
      advance()
    }
  }

  private func resumeState() {
    guard isLogPaused, rebuild?.rows.count ?? 0 <= Self.waitingRows / 2 else { return }
    isLogPaused = false
    actions.append(.resumeLog)
  }

  /// All rows were read.
  func stateRestored() {
    rebuild?.hasAllRows = true
    // Another owner's last transaction may have ended after this one was told the committed position.
    let until = max(rebuild?.until ?? 0, committed ?? 0)
    rebuild?.until = until
    guard let rebuild, rebuild.isContinued, let applied = rebuild.old.applied else { return }
    beginFill(
      Fill(target: applied, hash: rebuild.old.hash, appended: rebuild.old.appended),
      from: takeoverPlace(rebuild.old, applied))
  }

  func advanceRestoring() {
    guard let rebuild, rebuildQuestion.isFree(at: tick), !rebuild.isContinued else { return }
    if rebuild.rows.count >= Self.restoreRows || rebuild.hasAllRows && !rebuild.rows.isEmpty {
      var count = 0
      var bytes = 0
      while count < min(Self.restoreRows, rebuild.rows.count), bytes < Self.restoreBytes {
        bytes += rebuild.rows[count].chat.count
        if case .chat(let room) = rebuild.rows[count].value { bytes += room.count }
        count += 1
      }
      self.rebuild?.underWay = count
      return ask(restore: Array(rebuild.rows[..<count]), applied: nil)
    }
    guard rebuild.hasAllRows else { return }
    phase = .placing
    if rebuild.oldest == nil { return askWindow(.oldest, time: 0) }
    guard rebuild.windowBegin != nil else {
      // Heads are in the state topic once a chat was quiet for a while: however short the window, the replay
      // reaches back further than that.
      let time = wall - max(configuration.limits.windowMilliseconds, Limits.dedupeSpanMilliseconds)
      if windowQuestion.isFree(at: tick) { self.rebuild?.windowTime = time }
      return askWindow(.window, time: time)
    }
    let begin = replayBegin(rebuild)
    self.rebuild?.begin = begin
    ask(restore: [], applied: begin)
  }

  private func ask(restore rows: [StateRow], applied: Seq?) {
    let tag = nextTag()
    rebuildQuestion.ask(tag)
    actions.append(
      .restore(
        RestoreRequest(tag: tag, partition: configuration.partition, view: view, rows: rows, applied: applied)
      ))
  }

  // MARK: The replay

  /// Whether what the view had up to its old place is kept, since the log goes on from there.
  private func keepsOld(_ rebuild: Rebuild) -> Bool {
    guard let applied = rebuild.old.applied, let oldest = rebuild.oldest else { return false }
    return rebuild.old.hash != 0 && oldest <= applied + 1
  }

  /// The position behind which the replay begins. Records above the committed one left nothing in the
  /// state topic: they are replayed even where they are older than the window.
  private func replayBegin(_ rebuild: Rebuild) -> Seq {
    if keepsOld(rebuild), let applied = rebuild.old.applied { return applied }
    guard let oldest = rebuild.oldest, let window = rebuild.windowBegin else {
      preconditionFailure("the log was asked before")
    }
    return max(min(window - 1, committed ?? oldest - 1), oldest - 1)
  }

  private func beginReplay(after begin: Seq) {
    guard let rebuild else { return }
    if keepsOld(rebuild) {
      let old = rebuild.old
      return beginFill(
        Fill(target: begin, hash: old.hash, appended: old.appended),
        from: .time(old.appended - Limits.dedupeSpanMilliseconds))
    }
    if begin < rebuild.oldest ?? 0 { return beginFill(Fill(target: begin), from: nil) }
    guard begin + 1 == rebuild.windowBegin else { return beginFill(Fill(target: begin), from: .beginning) }
    beginFill(
      Fill(target: begin, appended: rebuild.windowTime),
      from: .time(rebuild.windowTime - Limits.dedupeSpanMilliseconds))
  }

  /// The view is whole again; everybody doubts.
  func endRebuild() {
    rebuild = nil
    directories = nil
    breakChains()
  }
}
