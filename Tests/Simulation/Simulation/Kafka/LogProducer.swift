import Chat

/// A server's idempotent producer for the log: one request under way a partition, reports in order.
final class LogProducer {
  static let messageTimeout = Limits.appendMilliseconds
  static let batchRecords = 64

  private struct Waiting {
    var bytes: [UInt8]
    var partition: Int32
    var handedOver: Tick
    var number: Int
  }

  private let engine: Engine
  private let kafka: SimulatedKafka
  private let link: BrokerLink
  private let process: SimulatedThread
  /// What was decided, for the shard that the record came from.
  private let answer: (Origin, DeliveryPolicy.Decision, WallTime) -> Void
  private var queues: [[Waiting]]
  private var isUnderWay: [Bool]
  /// Records under way, by partition, until reported or timed out.
  private var underWay: [[Waiting]]
  private var number = 0
  private(set) var waitingBytes = 0
  /// When a broker last acknowledged a record, or a probe.
  private(set) var acknowledgedAt: Tick?
  private var probedAt: Tick = .min / 2
  /// Milliseconds without an acknowledged record after which a probe is appended.
  private static let quietMilliseconds: Tick = 2_000
  /// Done once, when the next request is on its way: the process may stand still from then on.
  var onNextSend: (() -> Void)?

  init(
    _ kafka: SimulatedKafka, link: BrokerLink, process: SimulatedThread,
    answer: @escaping (Origin, DeliveryPolicy.Decision, WallTime) -> Void
  ) {
    engine = kafka.engine
    self.kafka = kafka
    self.link = link
    self.process = process
    self.answer = answer
    queues = Array(repeating: [], count: kafka.log.count)
    underWay = queues
    isUnderWay = Array(repeating: false, count: kafka.log.count)
  }

  /// Takes what a shard collected in a turn.
  func append(_ run: UnsafeRawBufferPointer) {
    var offset = 0
    var start = 0
    while let record = AppendCodec.decode(run, at: &offset) {
      enqueue(Array(run[start..<offset]), partition: record.partition)
      start = offset
    }
    for partition in queues.indices { send(partition) }
  }

  private func enqueue(_ bytes: [UInt8], partition: Int32) {
    number += 1
    waitingBytes += bytes.count
    queues[Int(partition)].append(
      Waiting(bytes: bytes, partition: partition, handedOver: engine.now, number: number))
  }

  private func send(_ partition: Int) {
    guard !isUnderWay[partition], !queues[partition].isEmpty else { return }
    isUnderWay[partition] = true
    let batch = Array(queues[partition].prefix(LogProducer.batchRecords))
    queues[partition].removeFirst(batch.count)
    underWay[partition] = batch
    engine.after(link.delay()) { [self] in arrive(batch, partition) }
    let next = onNextSend
    onNextSend = nil
    next?()
  }

  /// The request reaches the broker, unless its process has to write the rest of it first.
  private func arrive(_ batch: [Waiting], _ partition: Int) {
    if process.isDead, engine.random.chance(0.5) { return }
    if process.isStopped, kafka.faults.contains(.lateAppend) {
      engine.coverage.count(.lateAppend)
      return process.run { [self] in arrive(batch, partition) }
    }
    if kafka.happens(.appendDespiteError, 0.05) {
      // Half of these never happened, which nobody can tell from the others.
      if engine.random.chance(0.7) { for one in batch { _ = kafka.append(one.bytes, to: one.partition) } }
      let patience = engine.random.between(50, 3_000)
      return engine.after(patience) { [self] in reported(batch, partition, batch.map { _ in .unknown }) }
    }
    let isTwice = kafka.happens(.appendTwice, 0.05)
    let tellsSecond = engine.random.chance(0.5)
    var reports = batch.map { one in
      DeliveryPolicy.Report.taken(offset: kafka.append(one.bytes, to: one.partition).offset)
    }
    if isTwice {
      for (i, one) in batch.enumerated() {
        let second = kafka.append(one.bytes, to: one.partition)
        if tellsSecond { reports[i] = .taken(offset: second.offset) }
      }
    }
    if kafka.happens(.reportWithoutOffset, 0.08) { reports = reports.map { _ in .taken(offset: nil) } }
    var wait = link.delay()
    if kafka.happens(.reportLate, 0.03) { wait += engine.random.between(1_000, 60_000) }
    engine.after(wait) { [self] in
      reported(batch, partition, reports)
      if kafka.happens(.reportTwice, 0.1) { reported(batch, partition, reports) }
    }
  }

  private func reported(_ batch: [Waiting], _ partition: Int, _ reports: [DeliveryPolicy.Report]) {
    process.run { [self] in
      let isOver = underWay[partition].isEmpty
      for (one, report) in zip(batch, reports) {
        let isKnown = underWay[partition].contains { $0.number == one.number }
        decide(one, report, isKnown: isKnown)
      }
      if reports.contains(where: \.isTaken) { acknowledgedAt = engine.now }
      if let first = batch.first { underWay[partition].removeAll { $0.number >= first.number } }
      if !isOver || isUnderWay[partition] {
        isUnderWay[partition] = false
        send(partition)
      }
    }
  }

  /// A record whose time is over has been reported as failed: what comes later is not told any more, but
  /// for a report that comes twice.
  private func decide(_ one: Waiting, _ report: DeliveryPolicy.Report, isKnown: Bool) {
    let age = engine.now - one.handedOver
    if !isKnown, age >= LogProducer.messageTimeout { return }
    if isKnown { waitingBytes -= one.bytes.count }
    one.bytes.withUnsafeBytes { bytes in
      var offset = 0
      guard let record = AppendCodec.decode(bytes, at: &offset) else { return }
      let decision = DeliveryPolicy.decide(
        report, isFirstSend: record.kind == .message && !record.isRepeat, age: age, generation: 1)
      engine.note("report: \(record.origin.session.raw):\(record.origin.request) \(decision)")
      if decision == .appendAgain {
        engine.coverage.count(.repeatedAppends)
        var again = Array(bytes)
        AppendCodec.markAsRepeat(&again)
        return enqueue(again, partition: one.partition)
      }
      answer(record.origin, decision, record.time)
    }
  }

  /// Where nobody writes, the server itself finds out whether the log takes records: to be called every second.
  func probe() {
    guard engine.now - max(acknowledgedAt ?? .min / 2, probedAt) >= Self.quietMilliseconds else { return }
    probedAt = engine.now
    engine.after(link.delay()) { [self] in
      engine.after(link.delay()) { [self] in process.run { [self] in acknowledgedAt = engine.now } }
    }
  }

  /// Fails what waits for too long: to be called every second.
  func expire() {
    for partition in queues.indices {
      let old = engine.now - LogProducer.messageTimeout
      let late = underWay[partition].filter { $0.handedOver <= old }
      if !late.isEmpty {
        underWay[partition].removeAll { $0.handedOver <= old }
        for one in late { timeOut(one, .unknown) }
      }
      while let first = queues[partition].first, first.handedOver <= old {
        queues[partition].removeFirst()
        timeOut(first, .refused)
      }
    }
  }

  private func timeOut(_ one: Waiting, _ report: DeliveryPolicy.Report) {
    waitingBytes -= one.bytes.count
    one.bytes.withUnsafeBytes { bytes in
      var offset = 0
      guard let record = AppendCodec.decode(bytes, at: &offset) else { return }
      answer(
        record.origin,
        DeliveryPolicy.decide(
          report, isFirstSend: record.kind == .message && !record.isRepeat,
          age: LogProducer.messageTimeout, generation: 1), record.time)
    }
  }
}

extension DeliveryPolicy.Report {
  fileprivate var isTaken: Bool { if case .taken = self { true } else { false } }
}
