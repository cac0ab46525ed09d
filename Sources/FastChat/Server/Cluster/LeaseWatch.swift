import Chat
import Kafka
import Redis

/// Looks at the leases of all servers four times a second: whom this one stands in for, whose inboxes nobody reads any
/// more, and who is alive. And each second at whether the brokers still acknowledge anything.
final class LeaseWatch {
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
  private let cuts: CutWatch

  init(_ router: Router) {
    self.router = router
    standIns = StandIns(server: router.serverID)
    cuts = CutWatch(server: router.serverID)
  }

  func tick() {
    standIns.tick(router.tick)
    perform()
    if router.tick - lastRead >= Self.readMilliseconds { readLeases() }
    if router.tick - lastCollection >= Self.collectMilliseconds { collect() }
  }

  func leaseIs(epoch: Epoch, heldUntil tick: Tick) {
    // Cut off it can take nobody's place, and has to leave those that it has.
    if tick > router.tick, !isCut {
      standIns.leaseHolds(epoch: epoch, until: tick)
    } else {
      standIns.leaseLapsed()
    }
    perform()
  }

  /// This server is cut off from the brokers, and says so.
  var isCut: Bool { cuts.isCut }

  /// To be called each second, with the time of the last acknowledged record.
  func heard(acknowledgedAt tick: Tick?) {
    let wasCut = isCut
    cuts.heard(acknowledgedAt: tick, epoch: router.epoch, tick: router.tick)
    if isCut, !wasCut {
      Log.warning("no broker acknowledges anything; another server stands in for this one where there is one")
    }
    for action in cuts.actions {
      switch action {
      case .mark(let own): router.redis.send(.markCut(own)) { _ in }
      case .unmark(let own): router.redis.send(.unmarkCut(own)) { _ in }
      }
    }
    cuts.actionsPerformed()
  }

  func fenced(server: String) {
    standIns.fenced(server: server)
    perform()
  }

  private func readLeases() {
    lastRead = router.tick
    router.redis.send(.readCuts) { [unowned self] reply in
      if let reply { cuts.cutsRead(LeasesRead(tag: 0, reply: reply), tick: router.tick) }
    }
    router.redis.send(.readLeases) { [unowned self] reply in
      var read = LeasesRead(tag: 0)
      if let reply { read = LeasesRead(tag: 0, reply: reply) } else { read.hasFailed = true }
      collector.leasesRead(read, tick: router.tick)
      if !read.hasFailed { take(Set(read.living)) }
      standIns.leasesRead(cuts.judged(read), tick: router.tick)
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
