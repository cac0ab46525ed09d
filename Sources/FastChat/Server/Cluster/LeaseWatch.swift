import Chat
import Kafka
import Redis

/// Looks at the leases of all servers four times a second: whom this one stands in for, whose inboxes nobody reads any
/// more, and who is alive.
///
/// A server that has heard nothing from the brokers for a while keeps its lease, since its sessions are where they
/// were, and says that it is cut off: others stand in for it as for a dead one, until it takes its place back. Nobody
/// begins to believe that who was without brokers himself a moment ago: where they were away for all, some hear from
/// them sooner than others.
final class LeaseWatch {
  /// Seconds without an acknowledged record after which a server says that it is cut off. Where nobody writes, a
  /// probe does every two, and asks all partitions after the first that went without an answer.
  private static let cutSeconds = 5
  /// Seconds without one that count as a silence.
  private static let silentSeconds = 3
  /// Milliseconds after a silence until it says no more that it is cut off: a link that comes and goes is no link.
  private static let calmMilliseconds: Tick = 3_000
  /// Milliseconds after a silence until it believes it of others who had not said so before; by then all that were in
  /// the same one have taken it back.
  private static let doubtMilliseconds: Tick = 10_000

  /// Milliseconds between two looks at the inboxes that there are.
  private static let collectMilliseconds: Tick = 60_000

  /// Milliseconds between two looks at the leases: how much later a dead server's partitions go on.
  private static let readMilliseconds: Tick = 250

  private unowned let router: Router
  private var lastRead: Tick = 0
  private let standIns: StandIns
  private let collector = Collector()
  private var lastCollection: Tick = 0
  /// Who held a lease when it was last read.
  private(set) var living: Set<ServerEpoch> = []
  /// When the log last acknowledged something, and the seconds that went by since. (Counted one by one: a process
  /// that stood still has missed no answer.)
  private var answeredAt: Tick?
  private var silence = 0
  private var lastSilence: Tick = .min / 2
  /// Who says that it is cut off, and is believed.
  private var cut: Set<ServerEpoch> = []
  /// This server says so.
  private var saysSo = false

  init(_ router: Router) {
    self.router = router
    standIns = StandIns(server: router.serverID)
  }

  func tick() {
    standIns.tick(router.tick)
    perform()
    if router.tick - lastRead >= Self.readMilliseconds { readLeases() }
    if router.tick - lastCollection >= Self.collectMilliseconds { collect() }
  }

  func leaseIs(epoch: Epoch, heldUntil tick: Tick) {
    // Without brokers it can take nobody's place, and has to leave those that it has.
    if tick > router.tick, !isCut {
      standIns.leaseHolds(epoch: epoch, until: tick)
    } else {
      standIns.leaseLapsed()
    }
    perform()
  }

  /// No broker acknowledges anything now.
  var isCut: Bool { silence >= Self.cutSeconds }

  /// To be called each second, with the time of the last acknowledged record.
  func heard(answeredAt tick: Tick?) {
    silence = tick == answeredAt ? silence + 1 : 0
    answeredAt = tick
    if silence >= Self.silentSeconds { lastSilence = router.tick }
    let own = ServerEpoch(server: router.serverID, epoch: router.epoch)
    if isCut, !saysSo {
      Log.warning("no broker acknowledges anything; another server stands in for this one where there is one")
      saysSo = true
    } else if saysSo, router.tick - lastSilence >= Self.calmMilliseconds {
      saysSo = false
      router.redis.send(.unmarkCut(own)) { _ in }
    }
    if saysSo { router.redis.send(.markCut(own)) { _ in } }
  }

  func fenced(server: String) {
    standIns.fenced(server: server)
    perform()
  }

  private func readLeases() {
    lastRead = router.tick
    router.redis.send(.readCuts) { [unowned self] reply in
      guard let read = reply.map({ LeasesRead(tag: 0, reply: $0) }), !read.hasFailed else { return }
      let isInDoubt = router.tick - lastSilence < Self.doubtMilliseconds
      cut = isInDoubt ? cut.intersection(read.living) : Set(read.living)
    }
    router.redis.send(.readLeases) { [unowned self] reply in
      var read = LeasesRead(tag: 0)
      if let reply { read = LeasesRead(tag: 0, reply: reply) } else { read.hasFailed = true }
      collector.leasesRead(read, tick: router.tick)
      if !read.hasFailed { take(Set(read.living)) }
      read.living.removeAll(where: cut.contains)
      standIns.leasesRead(read, tick: router.tick)
      perform()
    }
  }

  private func take(_ now: Set<ServerEpoch>) {
    for gone in living.subtracting(now) { router.links.inboxes.forget(gone) }
    living = now
  }

  // MARK: Standing in

  private func perform() {
    while !standIns.actions.isEmpty {
      let actions = standIns.actions
      standIns.actionsPerformed()
      for action in actions { perform(action) }
    }
  }

  private func perform(_ action: StandInAction) {
    switch action {
    case .takeLock(let tag, let server, let holder):
      router.redis.send(.takeLock(server: server, holder: holder)) { [unowned self] reply in
        let answer = reply.map { LeaseAnswer(reply: $0) } ?? .unknown
        standIns.lockAnswered(tag, isHeld: answer == .unknown ? nil : answer == .held)
        perform()
      }
    case .dropLock(let server, let holder):
      router.redis.send(.dropLock(server: server, holder: holder)) { _ in }
    case .join(let server): router.group.standIn(for: server)
    case .leave(let server): router.group.leave(server)
    }
  }

  // MARK: Inboxes of the dead

  private func collect() {
    lastCollection = router.tick
    // An emptied Redis has lost the mark too.
    router.redis.mark(log: router.facts.log) { [unowned self] reply in
      guard let reply, router.redis.isOfAnotherLog(reply, than: router.facts.log) else { return }
      Log.error("this Redis is another log's; give each cluster a Redis of its own")
    }
    router.broker(.listInboxes) { [unowned self] answer in
      guard case .inboxes(let inboxes) = answer else { return }
      for inbox in collector.inboxesListed(inboxes, tick: router.tick) {
        Log.info("an inbox of a server that is gone is deleted", ["topic": router.links.names.inbox(inbox)])
        router.broker(.deleteInbox(inbox)) { _ in }
      }
    }
  }
}
