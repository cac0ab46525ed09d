/// Committing positions with the rows that describe them, and what is done from time to time besides.
extension Owner {
  /// Milliseconds from one search for outcomes that left the window to the next. A search reads the whole
  /// state topic of the partition: so nothing is kept of outcomes that earlier owners wrote.
  public static let sweepMilliseconds: Tick = 6 * 3_600_000
  /// Chats' heads that are put into one commit.
  static let headsAtOnce = 4_096

  /// Called at every tick while batches are applied.
  func keepUp() {
    if rebuild == nil {
      if tick >= nextDirectories { askDirectories() }
      sweep()
    }
    commit()
  }

  private func commit() {
    guard commitQuestion.isFree(at: tick), tick - ledger.lastCommit >= Limits.commitMilliseconds else {
      return
    }
    // A replay raises heads from far below what the topic has.
    if rebuild == nil {
      var heads = 0
      while heads < Self.headsAtOnce, !ledger.isFull, let row = touched.next(at: tick) {
        ledger.append(row)
        heads += 1
      }
    }
    guard committed == nil || position > committed! || !ledger.rows.isEmpty else { return }
    let upto = max(position, committed ?? position)
    ledger.commits(upto: upto, at: tick)
    let tag = nextTag()
    commitQuestion.ask(tag)
    actions.append(.commit(tag: tag, upto: upto, rows: ledger.rows))
  }

  /// Whether the transaction was committed; where that is not known it is written again.
  public func committed(tag: UInt64, isDone: Bool) {
    guard commitQuestion.takes(tag) else { return }
    guard isDone else { return commitQuestion.failed(at: tick) }
    commitQuestion.succeeded()
    committed = ledger.committed()
    advance()
  }

  private func sweep() {
    guard tick >= nextSweep, stateReading == 0, !isLogPaused, windowFloor > 0 else { return }
    nextSweep = tick + Self.sweepMilliseconds
    stateReading = nextTag()
    actions.append(.readState(reading: stateReading))
  }

  /// A row of the state topic; of rows with one key the last one read counts.
  public func stateRead(_ row: StateRow, reading: UInt64) {
    guard reading == stateReading, reading != 0 else { return }
    if phase == .readingState {
      restore(row)
    } else if case .outcome = row.value, row.seq < windowFloor, !ledger.isFull {
      ledger.append(StateRow(chat: row.chat, seq: row.seq, value: .forgottenOutcome))
    }
  }

  /// All rows were handed in. `committed`: the position committed before the reading began; nil where there
  /// is none.
  public func stateEnded(committed: Seq?, reading: UInt64) {
    guard reading == stateReading, reading != 0 else { return }
    stateReading = 0
    guard phase == .readingState else { return }
    if let committed { self.committed = max(self.committed ?? committed, committed) }
    stateRestored()
    advance()
  }
}
