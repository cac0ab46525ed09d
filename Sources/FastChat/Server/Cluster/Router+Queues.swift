import Chat
import EventLoop
import JSON
import Kafka

/// What librdkafka has for the router: reports, records, rows, the inbox.
extension Router {
  func drain(_ sources: Sources) {
    if sources.contains(.producer) || links.producer.wantsDrain { drainProducer() }
    if sources.contains(.log) { drainLog() }
    if sources.contains(.state) { drainState() }
    if sources.contains(.inbox) { drainInbox() }
    if sources.contains(.inboxReports) { drainInboxReports() }
    if sources.contains(.group) { group.drain() }
  }

  /// What waits in a queue comes with the next turn, though no edge announces it.
  func comeBack(to source: Sources) { hasMore.insert(source) }

  func drainProducer() {
    let restarts = links.producer.restarts
    let descriptor = links.producer.descriptor
    attempt("what did not reach the log") { () throws(KafkaError) in try links.producer.drain() }
    if links.producer.restarts != restarts {
      Log.warning("the log's producer was begun anew; what was on its way is answered unavailable")
      loop.unwatch(descriptor: descriptor)
      if let old = links.producer.takeRetired() { broker(.letGo(old)) { _ in } }
      watch(links.producer.descriptor, .producer)
    }
  }

  func watch(_ descriptor: Int32, _ source: Sources) {
    do throws(LoopError) {
      try loop.watch(descriptor: descriptor, tag: source.rawValue)
      comeBack(to: source)
    } catch {
      // Every second it is drained beside that.
      Log.error("a queue of Kafka cannot be watched", ["reason": error.description])
    }
  }

  func drainLog() {
    logDrains += 1
    if links.log.drain() { comeBack(to: .log) }
    for i in 0..<links.log.count {
      let (partition, reading) = links.log.source(i)
      group.owners[Int(partition)]?.take(links.log.fetched(i), reading)
    }
  }

  func drainState() {
    if links.state.drain() { comeBack(to: .state) }
    for i in 0..<links.state.count {
      guard let fetched = links.state.fetched(i) else { continue }
      let (topic, partition, reading) = links.state.source(i)
      switch topic {
      case .state: group.owners[Int(partition)]?.take(fetched, reading)
      case .reads: group.owners[Int(partition)]?.reads.take(fetched, reading)
      }
    }
  }

  func drainInbox() {
    let began = Clock.nanoseconds()
    if links.inbox.drain() { comeBack(to: .inbox) }
    var isLost = links.inbox.isGone
    let count = links.inbox.count
    for i in 0..<count where !isLost {
      switch links.inbox.fetched(i) {
      case .record(let record): dispatch(record)
      case .outOfRange: isLost = true
      case .failed(let error): Log.warning("the inbox could not be read", ["reason": error.description])
      }
    }
    if count > 0 { metrics.record(.inboxDispatch, nanoseconds: Clock.nanoseconds() - began) }
    if isLost { registrar.inboxLost() }
  }

  /// Hands each word of a record to the shards that it concerns, in order.
  func dispatch(_ record: InboxReader) {
    var record = record
    var isEmpty = true
    while let item = record.next() {
      isEmpty = false
      switch item {
      case .batch(let batch): dispatch(batch, provesBackbone: true)
      case .verdict(let verdict): dispatch(verdict)
      case .replaced(let session): port(of: session)?.post(.replaced(session))
      case .ephemeral(let event, let epoch): relay.take(event, from: epoch)
      }
    }
    if record.isBroken { Log.warning("a record of the inbox is not of this version, or damaged") }
    guard isEmpty, !record.isBroken else { return }
    let proof = LogNews(provesBackbone: true)
    for port in shared.ports { port.post(proof) }
  }

  /// Every shard gets every batch.
  func dispatch(_ batch: Batch, provesBackbone: Bool = false) {
    let news = LogNews(batch: batch, provesBackbone: provesBackbone)
    for port in shared.ports { port.post(news) }
  }

  func dispatch(_ verdict: Verdict) {
    port(of: verdict.origin.session)?.post(LogNews(verdicts: [verdict]))
  }

  func isThisServer(_ target: ServerEpoch) -> Bool { target.epoch == epoch && target.server == serverID }

  /// Nil for a session that no server of this shape has: what comes from elsewhere is not trusted.
  func port(of session: SessionID) -> ShardPort? {
    shared.ports.indices.contains(session.shard) ? shared.ports[session.shard] : nil
  }

  func drainInboxReports() {
    links.inboxes.drain()
    for failure in links.inboxes.failures {
      group.owners[Int(failure.partition)]?.notSent(failure.server)
    }
    links.inboxes.failuresTaken()
  }

  /// Does what may fail for now: it is said, and something else notices what is missing.
  func attempt(_ what: String, _ body: () throws(KafkaError) -> Void) {
    do throws(KafkaError) {
      try body()
    } catch {
      Log.warning("kafka refused", ["what": what, "reason": error.description])
    }
  }
}
