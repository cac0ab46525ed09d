import Chat
import Kafka

/// What an owner reads: its partition of the log, and of the state topic.
extension OwnerHost {
  /// A reading of the log that is under way, or that has to be begun.
  struct Reading {
    let number: UInt64
    let place: LogPlace
    /// Begun at a place that the log has.
    var isBegun = false
    /// A broker is being asked where the place is.
    var isAsking = false
    /// The log does not reach back to the place: it begins with its oldest record.
    var beginsWithOldest = false
    var retryAt: Tick = .min
    /// The place of the last record that was handed in; nil before the first.
    var last: Seq?
    /// Behind this place something was missing, and was read once more.
    var rereadBehind: Seq?
    /// The drain in which that was seen: what else it had fetched is not wanted.
    var rereadInDrain: UInt64?
  }

  /// A reading of the state topic.
  struct StateReading {
    let number: UInt64
    var committed: Seq?
    var isBegun = false
    var isAsking = false
    var retryAt: Tick = .min
  }

  // MARK: Beginning

  /// The group's committed position is asked for first.
  func begin() {
    guard let at = beginAt, router.tick >= at, let reference = member.reference else { return }
    beginAt = .max
    broker(.committed(reference, partition)) { host, answer in
      guard case .position(let committed) = answer else {
        host.beginAt = host.router.tick + OwnerHost.retryMilliseconds
        return
      }
      host.beginAt = nil
      let (tick, wall) = (host.router.tick, host.router.wall)
      host.input { $0.assigned(committed: committed, tick: tick, wall: wall) }
    }
  }

  /// Ten times a second: what failed is asked again.
  func retryReading() {
    begin()
    if let reading, !reading.isBegun, !reading.isAsking, router.tick >= reading.retryAt { beginReading() }
    if let stateReading, !stateReading.isBegun, !stateReading.isAsking, router.tick >= stateReading.retryAt {
      beginStateReading()
    }
  }

  func stopReading() {
    reading = nil
    stateReading = nil
    router.links.log.stop(partition: partition)
    router.links.state.stop(.state, partition: partition)
  }

  // MARK: The log

  func readLog(_ number: UInt64, from place: LogPlace) {
    router.links.log.stop(partition: partition)
    isLogPaused = false
    isStatePaused = false
    if stateReading?.isBegun == true { router.links.state.resume(.state, partition: partition) }
    reading = Reading(number: number, place: place)
    beginReading()
  }

  private func beginReading() {
    guard let current = reading else { return }
    switch current.place {
    case .after(let seq) where !current.beginsWithOldest: read(after: seq)
    case .after, .beginning: read(after: nil)
    case .time(let time):
      reading?.isAsking = true
      broker(.firstRecord(partition, since: time)) { host, answer in
        guard host.reading?.number == current.number else { return }
        host.reading?.isAsking = false
        guard case .seq(let first) = answer else { return host.readLater() }
        host.read(after: first - 1)
      }
    }
  }

  private func read(after seq: Seq?) {
    guard let number = reading?.number else { return }
    do throws(KafkaError) {
      try router.links.log.read(partition: partition, reading: number, after: seq)
      if isLogPaused { router.links.log.pause(partition: partition) }
      reading?.isBegun = true
      router.comeBack(to: .log)
    } catch {
      Log.warning("the log cannot be read", ["reason": error.description])
      readLater()
    }
  }

  private func readLater() {
    reading?.isBegun = false
    reading?.retryAt = router.tick + Self.retryMilliseconds
  }

  func pause(_ isPaused: Bool) {
    isLogPaused = isPaused
    isStatePaused = isPaused
    let (log, state) = (router.links.log, router.links.state)
    if isPaused {
      log.pause(partition: partition)
      state.pause(.state, partition: partition)
    } else {
      log.resume(partition: partition)
      state.resume(.state, partition: partition)
      router.comeBack(to: [.log, .state])
    }
  }

  /// What came of the log. After a pause there may still come what the same drain had fetched, bounded by that.
  func take(_ fetched: LogFetch, _ number: UInt64) {
    guard number == reading?.number else { return refill.take(fetched, number) }
    switch fetched {
    case .record(let record):
      guard follows(record.seq) else { return }
      lastAppended = record.appended
      received(record, reading: number)
    case .foreign(let seq, let appended), .refilled(_, let seq, let appended),
      .refillEnded(let seq, let appended):
      guard follows(seq) else { return }
      lastAppended = appended
      input { $0.foreign(seq: seq, appended: appended, reading: number) }
    case .outOfRange: outOfRange(number)
    case .failed(let error):
      Log.warning("the log could not be read", ["reason": error.description])
    }
  }

  /// Whether nothing is missing before a record. The log has no gaps of its own; where the client library brings
  /// one all the same, it is read once more from there, and believed then.
  private func follows(_ seq: Seq) -> Bool {
    guard reading?.rereadInDrain != router.logDrains else { return false }
    guard let last = reading?.last, seq > last + 1, reading?.rereadBehind != last else {
      reading?.last = seq
      return true
    }
    Log.warning(
      "records of the log were passed by; it is read again from there",
      ["partition": "\(partition)", "from": "\(last + 1)", "to": "\(seq - 1)"])
    reading?.rereadBehind = last
    reading?.rereadInDrain = router.logDrains
    read(after: last)
    return false
  }

  /// The log was cut off above the place, or ends below it, which the machine finds out by asking.
  private func outOfRange(_ number: UInt64) {
    readLater()
    guard case .after(let seq)? = reading?.place else { return }
    reading?.isAsking = true
    broker(.oldestRecord(partition)) { host, answer in
      guard host.reading?.number == number else { return }
      host.reading?.isAsking = false
      if case .seq(let oldest) = answer, oldest > seq + 1 { host.reading?.beginsWithOldest = true }
    }
  }

  // MARK: The state topic

  /// The committed position first, then all rows up to the end that there is then.
  /// - Parameter view: gets the events of older generations before that.
  func readState(_ number: UInt64, refilling view: ViewID?) {
    router.links.state.stop(.state, partition: partition)
    isLogPaused = false
    isStatePaused = false
    if reading?.isBegun == true { router.links.log.resume(partition: partition) }
    stateReading = StateReading(number: number)
    refill.stop()
    guard let view else { return beginStateReading() }
    // The owner has forgotten what it read of the log.
    reading = nil
    stateReading?.isAsking = true
    refill.begin(view: view) { [unowned self] in
      guard stateReading?.number == number else { return }
      beginStateReading()
    }
  }

  private func beginStateReading() {
    guard let number = stateReading?.number, let reference = member.reference else { return }
    stateReading?.isAsking = true
    broker(.stateRange(reference, partition)) { host, answer in
      guard host.stateReading?.number == number else { return }
      host.stateReading?.isAsking = false
      host.stateReading?.retryAt = host.router.tick + OwnerHost.retryMilliseconds
      guard case .stateRange(let committed, let end) = answer else { return }
      host.stateReading?.committed = committed
      host.router.attempt("reading the state topic") { () throws(KafkaError) in
        try host.router.links.state.read(.state, partition: host.partition, reading: number, upto: end)
        host.stateReading?.isBegun = true
      }
      if host.isStatePaused { host.router.links.state.pause(.state, partition: host.partition) }
      host.router.comeBack(to: .state)
    }
  }

  func take(_ fetched: StateFetch, _ number: UInt64) {
    guard let current = stateReading, current.number == number else { return }
    switch fetched {
    case .row(let row): input { $0.stateRead(row, reading: number) }
    case .position, .foreign: break
    case .ended:
      stateReading = nil
      router.links.state.stop(.state, partition: partition)
      input { $0.stateEnded(committed: current.committed, reading: number) }
    case .failed(let error):
      Log.warning("the state topic could not be read", ["reason": error.description])
    }
  }
}
