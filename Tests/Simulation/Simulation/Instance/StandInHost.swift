import Chat
import Redis
import SimulatedRedis

/// Joins the group in place of servers whose lease is gone, or who say that they are cut off: the machines as they
/// are, and what they ask for.
final class StandInHost {
  private unowned let router: RouterHost
  private let machine: StandIns
  private let cuts: CutWatch
  private var lastBeat: Tick = 0
  private static let beatMilliseconds: Tick = 1_000
  private var members: [(server: String, member: RouterGroup.Member)] = []
  private var lastRead: Tick = 0
  private static let readMilliseconds: Tick = 1_000

  init(_ router: RouterHost) {
    self.router = router
    machine = StandIns(server: router.process.name)
    cuts = CutWatch(server: router.process.name)
  }

  /// Servers that it stands in for.
  var servers: [String] { members.map(\.server) }

  /// This server says that it is cut off.
  var isCut: Bool { cuts.isCut }

  func tick() {
    if router.cluster.plan.watchesCuts, router.engine.now - lastBeat >= Self.beatMilliseconds { beat() }
    machine.tick(router.process.tick)
    perform()
    guard router.engine.now - lastRead >= Self.readMilliseconds, router.cluster.servers.count > 1 else {
      return
    }
    lastRead = router.engine.now
    if router.cluster.plan.watchesCuts {
      router.send(.readCuts) { [unowned self] reply in
        if let reply { cuts.cutsRead(LeasesRead(tag: 0, reply: reply), tick: router.process.tick) }
      }
    }
    router.send(.readLeases) { [unowned self] reply in
      var read = LeasesRead(tag: 0)
      if let reply { read = LeasesRead(tag: 0, reply: reply) } else { read.hasFailed = true }
      machine.leasesRead(cuts.judged(read), tick: router.process.tick)
      perform()
    }
  }

  private func beat() {
    lastBeat = router.engine.now
    let producer = router.process.producer!
    producer.probe()
    cuts.heard(
      acknowledgedAt: producer.acknowledgedAt, epoch: router.registrar.epoch, tick: router.process.tick)
    for action in cuts.actions {
      switch action {
      case .mark(let own):
        router.engine.coverage.count(.cutMarks)
        router.engine.note("\(own.server): says that it is cut off")
        router.send(.markCut(own)) { _ in }
      case .unmark(let own):
        router.engine.note("\(own.server): says no more that it is cut off")
        router.send(.unmarkCut(own)) { _ in }
      }
    }
    cuts.actionsPerformed()
  }

  func leaseHolds(epoch: Epoch, until tick: Tick) {
    machine.leaseHolds(epoch: epoch, until: tick)
    perform()
  }

  func leaseLapsed() {
    machine.leaseLapsed()
    perform()
  }

  func fenced(_ member: RouterGroup.Member) {
    guard let place = members.firstIndex(where: { $0.member === member }) else { return }
    let server = members.remove(at: place).server
    machine.fenced(server: server)
    perform()
  }

  private func perform() {
    while !machine.actions.isEmpty {
      let actions = machine.actions
      machine.actionsPerformed()
      for action in actions { perform(action) }
    }
  }

  private func perform(_ action: StandInAction) {
    switch action {
    case .takeLock(let tag, let server, let holder):
      router.send(.takeLock(server: server, holder: holder)) { [unowned self] reply in
        let answer = reply.map { LeaseAnswer(reply: $0) } ?? .unknown
        machine.lockAnswered(tag, isHeld: answer == .unknown ? nil : answer == .held)
        perform()
      }
    case .dropLock(let server, let holder): router.send(.dropLock(server: server, holder: holder)) { _ in }
    case .join(let server):
      guard !members.contains(where: { $0.server == server }) else { return }
      router.engine.coverage.count(.standIns)
      router.engine.note("\(router.process.name): stands in for \(server)")
      members.append((server, router.join(as: server)))
    case .leave(let server):
      guard let place = members.firstIndex(where: { $0.server == server }) else { return }
      router.engine.note("\(router.process.name): stands in for \(server) no more")
      router.left(members.remove(at: place).member)
    }
  }

  func leave() {
    for (_, member) in members { router.kafka.group.leave(member) }
    members.removeAll()
  }
}
