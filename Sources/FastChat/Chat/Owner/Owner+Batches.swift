import JSON

/// Forming batches and applying them to the view.
extension Owner {
  func advanceOpen() {
    if rebuild == nil { askDirectories() }
    guard pass != nil || formPass() else { return }
    switch pass!.stage {
    case .applying:
      guard applyQuestion.isFree(at: tick) else { return }
      pass!.request.tag = nextTag()
      applyQuestion.ask(pass!.request.tag)
      actions.append(.apply(pass!.request))
    case .lookingUp:
      guard lookUpQuestion.isFree(at: tick) else { return }
      let tag = nextTag()
      lookUpQuestion.ask(tag)
      actions.append(.lookUp(tag: tag, pass!.lookUp))
    case .readingLeases:
      guard leasesQuestion.isFree(at: tick) else { return }
      let tag = nextTag()
      leasesQuestion.ask(tag)
      actions.append(.readLeases(tag: tag))
    }
  }

  // MARK: Forming

  /// Takes what waits, and says whether there is something to do.
  private func formPass() -> Bool {
    guard rebuild != nil || directories != nil else { return false }
    var pass = OwnerPass(
      request: ApplyRequest(
        tag: 0, partition: configuration.partition, view: view, from: position, upto: position),
      mark: dedupe.end)
    pass.request.isReplay = rebuild != nil
    text.removeAll(keepingAtMost: Self.keptBytes)
    let isHeldUp = takeRecords(&pass)
    if let rebuild {
      pass.request.endsRebuild = !isHeldUp && reachesUntil(pass, rebuild)
      guard !pass.isEmpty || pass.request.endsRebuild else { return false }
    } else {
      pass.isBeat = lastBeat == nil || tick - lastBeat! >= Limits.beatMilliseconds
      guard !pass.isEmpty || pass.isBeat || tick - lastApply >= Limits.probeMilliseconds else { return false }
    }
    pass.request.bytes = Array(text.bytes)
    pass.request.recentFloor = recentMarks.due
    pass.request.outcomeFloor = outcomeMarks.due
    pass.request.windowFloor = windowFloor
    self.pass = pass
    return true
  }

  /// Whether the batch has reached `until`, or the next record is above it: what comes then is hinted.
  private func reachesUntil(_ pass: OwnerPass, _ rebuild: Rebuild) -> Bool {
    if pass.request.upto >= rebuild.until { return true }
    var offset = pass.queueBytes
    guard let next = queue.next(at: &offset) else { return false }
    return next.seq > rebuild.until
  }

  /// Moves records into the batch. True where the next one has to wait for a commit.
  private func takeRecords(_ pass: inout OwnerPass) -> Bool {
    guard !ledger.isFull else { return true }
    var count = 0
    var offset = 0
    while count < Self.batchRecords, text.count < Self.batchBytes, let entry = queue.next(at: &offset) {
      if let until = rebuild?.until, entry.seq > until { break }
      if entry.seq > committed ?? 0 {
        guard ledger.allows(entry.appended, after: pass.firstUncommitted) else { return true }
        if pass.firstUncommitted == nil { pass.firstUncommitted = entry.appended }
      }
      if let append = entry.append { take(append, entry, &pass) }
      pass.queueBytes = offset
      pass.request.upto = entry.seq
      pass.request.hash = recordHash(entry)
      pass.request.appended = entry.appended
      count += 1
    }
    return false
  }

  private func take(_ append: Append, _ entry: RecordQueue.Entry, _ pass: inout OwnerPass) {
    let key = name(append)
    if let first = dedupe.first(key, before: entry.seq, appended: entry.appended) {
      pass.duplicates.append(OwnerPass.Duplicate(origin: append.origin, first: first))
      return
    }
    // Its entry stands until the batch is applied, so that a repeat in the same batch finds it.
    remember(
      DedupeTable.Entry(
        key: key, seq: entry.seq, outcome: .event, time: append.time, appended: entry.appended))
    pass.names.append((key, entry.appended))
    let chat = place(append.chat)
    let from = place(append.from)
    let head = text.count
    if append.kind == .message {
      EventWriter.messageHead(chat: append.chat, seq: entry.seq, into: &text)
    } else {
      EventWriter.memberHead(chat: append.chat, seq: entry.seq, into: &text)
    }
    let tail = text.count
    if append.kind == .message {
      EventWriter.messageTail(append, into: &text)
    } else {
      EventWriter.memberTail(
        user: append.from, role: Self.role(after: append.kind), by: append.from, into: &text)
    }
    let end = text.count
    pass.request.records.append(
      ApplyRequest.Record(
        seq: entry.seq, kind: append.kind, isRepeat: append.isRepeat,
        forced: rebuild != nil && isJudged(append) ? knownOutcome(entry.seq) : nil, origin: append.origin,
        time: append.time, chat: chat, from: from, head: head..<tail, tail: tail..<end,
        room: append.kind == .create ? place(append.body) : end..<end))
  }

  private func place(_ bytes: UnsafeRawBufferPointer) -> Range<Int> {
    let start = text.count
    text.append(bytes)
    return start..<text.count
  }

  /// The author's role after a membership record that has become an event.
  private static func role(after kind: RecordKind) -> Role {
    switch kind {
    case .create: .owner
    case .join: .member
    case .leave, .message: .none
    }
  }

  // MARK: Applying

  public func applied(_ answer: ApplyAnswer) {
    guard applyQuestion.takes(answer.tag), pass != nil else { return }
    switch answer.result {
    case .unknown:
      // The same request again: where it was applied it is refused, and the view tells how far it is.
      applyQuestion.failed(at: tick)
    case .refused:
      applyQuestion.succeeded()
      dedupe.truncate(to: pass!.mark)
      lookAgain()
      advance()
    case .applied(let rows):
      precondition(rows.count == pass!.request.records.count, "a row for each record")
      applyQuestion.succeeded()
      lastApply = tick
      settle(rows)
      advance()
    }
  }

  /// The batch stands in the view: what its records came to is remembered.
  private func settle(_ rows: [ApplyAnswer.Row]) {
    pass!.rows = rows
    dedupe.truncate(to: pass!.mark)
    for index in rows.indices {
      let record = pass!.request.records[index]
      let name = pass!.names[index]
      remember(
        DedupeTable.Entry(
          key: name.key, seq: record.seq, outcome: rows[index].outcome, time: record.time,
          appended: name.appended))
    }
    if !pass!.isEmpty {
      recentMarks.trimmed(to: pass!.request.recentFloor)
      outcomeMarks.trimmed(to: pass!.request.outcomeFloor)
      dedupe.expire(at: pass!.request.appended)
      recentMarks.note(pass!.request.upto, appended: pass!.request.appended)
      outcomeMarks.note(pass!.request.upto, appended: pass!.request.appended)
    }
    guard rebuild == nil else { return finishPass() }
    collectVerdicts()
    collectLookUp()
    if !pass!.lookUp.users.isEmpty || !pass!.lookUp.rooms.isEmpty {
      pass!.stage = .lookingUp
    } else if pass!.isBeat || !pass!.verdicts.isEmpty {
      pass!.stage = .readingLeases
    } else {
      finishPass()
    }
  }

  private func collectVerdicts() {
    let records = pass!.request.records
    for (record, row) in zip(records, pass!.rows) where row.outcome != .event {
      pass!.verdicts.append(
        Verdict(origin: record.origin, outcome: row.outcome, seq: record.seq, time: record.time))
    }
    for duplicate in pass!.duplicates {
      var outcome = duplicate.first.outcome
      if duplicate.first.seq > pass!.request.from, let index = index(of: duplicate.first.seq, in: records) {
        outcome = pass!.rows[index].outcome
      }
      pass!.verdicts.append(
        Verdict(
          origin: duplicate.origin, outcome: .duplicate, first: outcome, seq: duplicate.first.seq,
          time: duplicate.first.time))
    }
  }

  private func index(of seq: Seq, in records: [ApplyRequest.Record]) -> Int? {
    var low = 0
    var high = records.count
    while low < high {
      let middle = (low + high) / 2
      if records[middle].seq < seq { low = middle + 1 } else { high = middle }
    }
    return low < records.count && records[low].seq == seq ? low : nil
  }

  /// The batch is through, whoever was told.
  func finishPass() {
    guard let pass else { return }
    self.pass = nil
    counters.batches += 1
    counters.records += UInt64(pass.request.records.count)
    counters.duplicates += UInt64(pass.duplicates.count)
    position = pass.request.upto
    highest = max(highest ?? position, position)
    if let appended = pass.firstUncommitted { ledger.applied(position, appended: appended) }
    pass.request.bytes.withUnsafeBytes { bytes in
      for (record, row) in zip(pass.request.records, pass.rows) { note(record, row, bytes) }
    }
    dropQueued(pass.queueBytes)
    if pass.request.endsRebuild {
      endRebuild()
      outcomes = [:]
    }
  }

  private func note(
    _ record: ApplyRequest.Record, _ row: ApplyAnswer.Row, _ bytes: UnsafeRawBufferPointer
  ) {
    let chat = UnsafeRawBufferPointer(rebasing: bytes[record.chat])
    if row.outcome == .event { touched.touch(chat, seq: record.seq, at: tick) }
    guard chat[0] == UInt8(ascii: "r"), record.isRepeat || record.kind.dependsOnState else { return }
    if rebuild != nil { outcomes[record.seq] = nil }
    guard record.seq > committed ?? 0 else { return }
    ledger.judged(
      OutcomeRow(
        seq: record.seq, outcome: row.outcome, role: record.kind.dependsOnState ? row.role : .none),
      record.kind, chat: chat, from: UnsafeRawBufferPointer(rebasing: bytes[record.from]),
      room: UnsafeRawBufferPointer(rebasing: bytes[record.room]))
  }
}
