import Chat
import Kafka
import Redis

/// Gives a view that was rebuilt the read positions back that the reads topic has of its partition (DESIGN section
/// 6), once its owner is in service: nobody waits for it, and nothing fails with it.
///
/// The view itself says that it lacks them, from the beginning of its rebuild until the last of them is there, and
/// is asked whenever an owner enters service: one that takes over meanwhile begins again.
///
/// ```
///  idle -> asking the view -> asking the broker for the end -> reading, a script a tick -> done
///   ^________________________________________________________________|  out of service, from any of them
/// ```
final class ReadsRestore {
  /// Positions that one script takes. There is one script a tick: 5,120 positions a second and partition, which
  /// leaves Redis its time for everything else.
  private static let positionsAtOnce = 512
  /// Positions that wait, beyond which no more are read, but for what the same drain had fetched.
  private static let waitingMax = 1_024

  private enum Stage { case idle, asking, reading, done }

  private unowned let host: OwnerHost
  private var stage = Stage.idle
  /// Of the attempt; an answer to an earlier one is passed by.
  private var number: UInt64 = 0
  private var retryAt: Tick = .min
  private var view: ViewID = 0
  private var waiting: [ReadMark] = []
  private var isPaused = false
  private var hasEnded = false
  private var isUnderWay = false

  init(_ host: OwnerHost) { self.host = host }

  private var state: StateReader { host.router.links.state }

  /// Ten times a second while the owner is in service.
  func tick() {
    guard host.router.tick >= retryAt else { return }
    switch stage {
    case .idle: ask()
    case .reading: restore()
    case .asking, .done: break
    }
  }

  /// The owner is not in service, or not any more.
  func stop() {
    guard stage != .idle else { return }
    if stage == .reading { state.stop(.reads, partition: host.partition) }
    stage = .idle
    retryAt = .min
    number += 1
    waiting = []
    isUnderWay = false
  }

  /// From the beginning, a while later.
  private func retry() {
    stop()
    retryAt = host.router.tick + OwnerHost.retryMilliseconds
  }

  private func ask() {
    stage = .asking
    number += 1
    send([], of: nil, areLast: false) { restore, answer in
      switch answer {
      case .unknown: restore.retry()
      case .notWanted: restore.stage = .done
      case .done(let view, _): restore.askEnd(view)
      }
    }
  }

  private func askEnd(_ view: ViewID) {
    self.view = view
    let number = number
    host.broker(.readsEnd(host.partition)) { host, answer in
      guard host.reads.number == number else { return }
      guard case .offset(let end) = answer else { return host.reads.retry() }
      host.reads.read(upto: end)
    }
  }

  private func read(upto end: Int64) {
    do throws(KafkaError) {
      hasEnded = end == 0
      isPaused = false
      if !hasEnded { try state.read(.reads, partition: host.partition, reading: number, upto: end) }
      stage = .reading
      host.router.comeBack(to: .state)
    } catch {
      Log.warning("read positions cannot be read", ["reason": error.description])
      retry()
    }
  }

  func take(_ fetched: StateFetch, _ reading: UInt64) {
    guard stage == .reading, reading == number else { return }
    switch fetched {
    case .position(let mark):
      waiting.append(mark)
      if waiting.count >= Self.waitingMax, !isPaused {
        isPaused = true
        state.pause(.reads, partition: host.partition)
      }
    case .ended:
      hasEnded = true
      state.stop(.reads, partition: host.partition)
    case .failed(let error):
      Log.warning("read positions could not be read", ["reason": error.description])
    case .row, .foreign: break
    }
  }

  private func restore() {
    guard !isUnderWay, hasEnded || !waiting.isEmpty else { return }
    let count = min(waiting.count, Self.positionsAtOnce)
    let areLast = hasEnded && count == waiting.count
    isUnderWay = true
    send(waiting[..<count], of: view, areLast: areLast) { restore, answer in
      restore.isUnderWay = false
      switch answer {
      // The same once more: they only rise.
      case .unknown: restore.retryAt = restore.host.router.tick + OwnerHost.retryMilliseconds
      case .notWanted: restore.finish()
      case .done(_, let raised):
        restore.host.router.metrics.add(.readsRestored, raised)
        restore.waiting.removeFirst(count)
        if areLast { restore.finish() } else { restore.resume() }
      }
    }
  }

  private func resume() {
    guard isPaused, waiting.count < Self.waitingMax else { return }
    isPaused = false
    state.resume(.reads, partition: host.partition)
    host.router.comeBack(to: .state)
  }

  private func finish() {
    state.stop(.reads, partition: host.partition)
    waiting = []
    stage = .done
  }

  private func send(
    _ marks: ArraySlice<ReadMark>, of view: ViewID?, areLast: Bool,
    _ answer: @escaping (ReadsRestore, RestoredReads) -> Void
  ) {
    let number = number
    host.ask(.restoreReads(marks, partition: host.partition, view: view, areLast: areLast)) { host, reply in
      guard host.reads.number == number else { return }
      answer(host.reads, reply.map { RestoredReads(reply: $0) } ?? .unknown)
    }
  }
}
