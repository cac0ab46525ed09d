import Chat
import Kafka
import Redis

/// Gives a view that is being rebuilt the events back with which this generation of the log begins, before the rows
/// of the state topic are read (docs/LOG.md, "Generations"). The owner itself passes them by.
///
/// ```
///  idle -> asking where the log ends -> reading from its beginning, a script for each run of events -> done
/// ```
final class RefillRestore {
  /// Events of one script, and bytes of their texts.
  private static let eventsAtOnce = 256
  private static let bytesAtOnce = 256 << 10
  /// Bytes that wait, beyond which no more are read, but for what the same drain had fetched.
  private static let waitingBytes = 4 << 20
  /// Its readings have numbers that no owner's reach.
  private static let firstReading: UInt64 = 1 << 63

  private enum Stage { case idle, asking, reading, ended }

  private unowned let host: OwnerHost
  private var stage = Stage.idle
  /// Of the attempt; an answer to an earlier one is passed by.
  private var number = firstReading
  private var retryAt: Tick = .max
  /// When to ask again where the log begins.
  private var oldestAt: Tick = .max
  private var view: ViewID = 0
  private var end: Seq = 0
  private var waiting: [RefilledEvent] = []
  private var waitingSize = 0
  private var isPaused = false
  private var isUnderWay = false
  private var then: () -> Void = {}

  init(_ host: OwnerHost) { self.host = host }

  private var log: LogConsumer { host.router.links.log }

  /// - Parameter then: called once the view has them all, or does not want them.
  func begin(view: ViewID, then: @escaping () -> Void) {
    stop()
    self.view = view
    self.then = then
    ask()
  }

  func stop() {
    if stage == .reading { log.stop(partition: host.partition) }
    stage = .idle
    number += 1
    retryAt = .max
    oldestAt = .max
    waiting = []
    waitingSize = 0
    isUnderWay = false
    then = {}
  }

  /// Ten times a second.
  func tick() {
    if stage == .reading, host.router.tick >= oldestAt {
      oldestAt = .max
      askOldest()
    }
    guard host.router.tick >= retryAt else { return }
    retryAt = .max
    if stage == .asking { ask() } else { restore() }
  }

  private func later() { retryAt = host.router.tick + OwnerHost.retryMilliseconds }

  private func ask() {
    stage = .asking
    let number = number
    host.broker(.logEnd(host.partition)) { host, answer in
      guard host.refill.number == number else { return }
      guard case .seq(let end) = answer else { return host.refill.later() }
      host.refill.read(upto: end)
    }
  }

  private func read(upto end: Seq) {
    self.end = end
    do throws(KafkaError) {
      try log.read(partition: host.partition, reading: number, after: nil)
      stage = .reading
      isPaused = false
      host.router.comeBack(to: .log)
    } catch {
      Log.warning("the log cannot be read", ["reason": error.description])
      return later()
    }
    // A log that has lost all its records to retention has nothing to tell, and tells nothing.
    askOldest()
  }

  private func askOldest() {
    let number = number
    host.broker(.oldestRecord(host.partition)) { host, answer in
      guard host.refill.number == number, host.refill.stage == .reading else { return }
      guard case .seq(let oldest) = answer else {
        host.refill.oldestAt = host.router.tick + OwnerHost.retryMilliseconds
        return
      }
      if oldest > host.refill.end { host.refill.endReading() }
    }
  }

  func take(_ fetched: LogFetch, _ reading: UInt64) {
    guard stage == .reading, reading == number else { return }
    switch fetched {
    case .refilled(let event, let seq, _):
      waiting.append(event)
      waitingSize += event.chat.count + event.json.count
      if waitingSize >= Self.waitingBytes, !isPaused {
        isPaused = true
        log.pause(partition: host.partition)
      }
      if seq >= end { endReading() } else { restore() }
    case .refillEnded, .record: endReading()
    case .foreign(let seq, _): if seq >= end { endReading() }
    case .outOfRange: break
    case .failed(let error): Log.warning("the log could not be read", ["reason": error.description])
    }
  }

  private func endReading() {
    log.stop(partition: host.partition)
    stage = .ended
    restore()
  }

  /// Full scripts only, while there is more to come.
  private func restore() {
    guard !isUnderWay, stage == .reading || stage == .ended else { return }
    guard !waiting.isEmpty else { return stage == .ended ? finish() : () }
    var count = 0
    var bytes = 0
    while count < min(waiting.count, Self.eventsAtOnce), bytes < Self.bytesAtOnce {
      bytes += waiting[count].chat.count + waiting[count].json.count
      count += 1
    }
    guard stage == .ended || count == Self.eventsAtOnce || bytes >= Self.bytesAtOnce else { return }
    isUnderWay = true
    let number = number
    let command = RedisCommand.restoreEvents(
      partition: host.partition, id: view, limits: host.router.limits,
      texts: waiting[..<count].flatMap {
        [
          $0.chat, Array("\($0.seq)".utf8), $0.json, Array("\($0.prev)".utf8), $0.kind, $0.role, $0.user,
          $0.time,
          $0.origin,
        ]
      })
    host.ask(command) { host, reply in
      guard host.refill.number == number else { return }
      host.refill.answered(reply, count: count, bytes: bytes)
    }
  }

  private func answered(_ reply: RedisReply?, count: Int, bytes: Int) {
    isUnderWay = false
    switch reply {
    case .integer(1):
      waiting.removeFirst(count)
      waitingSize -= bytes
      if isPaused, waitingSize < Self.waitingBytes / 2, stage == .reading {
        isPaused = false
        log.resume(partition: host.partition)
        host.router.comeBack(to: .log)
      }
      restore()
    // Another owner's by now, or it has all of it: whoever asks next for the rows finds that out.
    case .integer: finish()
    // The same once more: what is stored stays.
    default: later()
    }
  }

  private func finish() {
    let then = then
    stop()
    then()
  }
}
