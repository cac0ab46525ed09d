/// Records as they come, and what is asked of the log besides.
extension Owner {
  /// Milliseconds from one question about the window's beginning and the log's end to the next, and between
  /// two about the end while records are missed.
  public static let windowQuestionMilliseconds: Tick = 60_000
  static let endQuestionMilliseconds: Tick = 1_000

  /// What an answer about a time in the log is for.
  enum WindowPurpose {
    /// Below which seq histories may be trimmed.
    case floor
    /// Whether the record at which the view stands is still there.
    case filled
    /// Where the log begins, and where the window does.
    case oldest
    case window
  }

  /// A record of ours. Those of another reading, or which came before, are passed by.
  public func received(_ record: borrowing LogRecord, reading: UInt64) {
    guard isNew(record.seq, reading) else { return }
    guard isOurs(record.append) else {
      counters.foreign += 1
      queue.append(foreign: record.seq, appended: record.appended)
      return limitQueue()
    }
    queue.append(record)
    limitQueue()
  }

  /// A record that is not ours, or cannot be read.
  public func foreign(seq: Seq, appended: WallTime, reading: UInt64) {
    guard isNew(seq, reading) else { return }
    counters.foreign += 1
    queue.append(foreign: seq, appended: appended)
    limitQueue()
  }

  private func isNew(_ seq: Seq, _ reading: UInt64) -> Bool {
    reading == self.reading && reading != 0 && seq > queue.last
  }

  /// Whether an edge can have appended it: whoever else writes to the log is passed by.
  private func isOurs(_ append: borrowing Append) -> Bool {
    guard append.partition == configuration.partition, let chat = ChatName(append.chat) else { return false }
    if case .direct = chat { return append.kind == .message }
    return true
  }

  private func limitQueue() {
    if queue.byteCount >= Self.queuedBytes, !isLogPaused {
      isLogPaused = true
      actions.append(.pauseLog)
    }
    advance()
  }

  /// Takes the first bytes of the queue away.
  func dropQueued(_ bytes: Int) {
    queue.removeFirst(bytes)
    if isLogPaused, queue.byteCount <= Self.queuedBytes / 2 {
      isLogPaused = false
      actions.append(.resumeLog)
    }
  }

  func readLog(from place: LogPlace) {
    forgetLog()
    reading = nextTag()
    actions.append(.readLog(reading: reading, from: place))
  }

  /// Forgets what was read of the log; nothing more of that reading is taken.
  func forgetLog() {
    reading = 0
    isLogPaused = false
    queue.removeAll()
    dedupe.removeAll()
    recentMarks = LogMarks(span: Limits.recentMilliseconds)
    outcomeMarks = LogMarks(span: Limits.dedupeSpanMilliseconds)
  }

  // MARK: Where it begins and ends

  /// Up to where the log must reach; nil where nothing is known of it now.
  private var requiredEnd: Seq? {
    switch phase {
    case .filling: max(fill.target, rebuild?.until ?? 0)
    case .open: max(position, rebuild?.until ?? 0)
    default: nil
    }
  }

  /// Asks what has to be asked from time to time.
  func watchLog() {
    let isMissing =
      logEnd.isSuspicious || phase == .filling || phase == .open && rebuild != nil && queue.isEmpty
    if requiredEnd != nil, tick >= nextEnd || isMissing && tick >= nextEnd - longEndWait,
      endQuestion.isFree(at: tick)
    {
      nextEnd = tick + Self.windowQuestionMilliseconds
      let tag = nextTag()
      endQuestion.ask(tag)
      actions.append(.askLogEnd(tag: tag))
    }
    if phase == .filling, queue.isEmpty, fill.firstSeq == nil {
      askWindow(.filled, time: fill.appended)
    } else if phase == .open, tick >= nextWindow, windowQuestion.isFree(at: tick) {
      nextWindow = tick + Self.windowQuestionMilliseconds
      askWindow(.floor, time: wall - configuration.limits.windowMilliseconds)
    }
  }

  /// What an impatient question about the log's end need not wait for.
  private var longEndWait: Tick { Self.windowQuestionMilliseconds - Self.endQuestionMilliseconds }

  func askWindow(_ purpose: WindowPurpose, time: WallTime) {
    guard windowQuestion.isFree(at: tick) else { return }
    let tag = nextTag()
    windowQuestion.ask(tag)
    windowPurpose = purpose
    actions.append(.askWindow(tag: tag, time: time))
  }

  /// The seq of the log's last record (the generation's `nothingYet` where there never was one); nil where
  /// the broker could not be asked.
  public func logEnded(tag: UInt64, at end: Seq?) {
    guard endQuestion.takes(tag) else { return }
    guard let end else { return endQuestion.failed(at: tick) }
    endQuestion.succeeded()
    if let known = requiredEnd, logEnd.answered(end, known: known, at: tick) {
      return stop(.logEndsBelow(end: end, known: known))
    }
    if phase == .filling { fill.end = end }
    advance()
  }

  /// The seq of the first record that the log took at the time asked or later, the one behind its end where
  /// there is none; nil where the broker could not be asked.
  public func windowBegins(tag: UInt64, seq: Seq?) {
    guard windowQuestion.takes(tag) else { return }
    guard let seq else {
      windowQuestion.failed(at: tick)
      if windowPurpose == .floor { nextWindow = tick }
      return
    }
    windowQuestion.succeeded()
    switch windowPurpose {
    case .floor:
      // While all of this generation is in the window, events of older ones may be too.
      windowFloor = seq > SeqSpace.base(generation: configuration.generation) ? seq : 0
    case .filled: if phase == .filling { fill.firstSeq = seq }
    case .oldest: rebuild?.oldest = seq
    case .window: rebuild?.windowBegin = seq
    }
    advance()
  }
}
