import Chat
import Kafka

/// Which partitions are this server's, by the groups that it belongs to: its own place, and those of the dead
/// servers that it stands in for.
final class GroupHost {
  /// Milliseconds until a place that was lost is taken again.
  private static let rejoinMilliseconds: Tick = 500

  private unowned let router: Router
  private var joinAt: Tick = .min
  private var own: Membership?
  private var standIns: [Membership] = []
  private(set) var owners: [OwnerHost?]
  /// Partitions that nothing is done in any more before an operator has spoken.
  private(set) var stopped: Set<Int32> = []

  init(_ router: Router) {
    self.router = router
    owners = Array(repeating: nil, count: Int(router.facts.partitions))
  }

  private var all: [Membership] { (own.map { [$0] } ?? []) + standIns }

  /// Servers whose places it has taken.
  var standsInFor: [String] { standIns.map(\.instance) }

  // MARK: Places

  /// Whether this server may do anything in a place: nothing in its own while its lease is not held, or it says that it
  /// is cut off. Then another one stands in for it, which already a transaction begun under the same id would put out.
  func mayAct(as instance: String) -> Bool {
    guard instance == router.serverID else { return true }
    return router.registrar.leaseHeldUntil > router.tick && !router.watch.isCut
  }

  /// Takes the own place, where everything of this server stands: routers belong to the group only then.
  func join() {
    guard own == nil, router.registrar.isStanding, mayAct(as: router.serverID) else { return }
    guard !router.isEnding, router.tick >= joinAt else { return }
    own = Membership(router, instance: router.serverID)
  }

  func standIn(for server: String) {
    guard !standsInFor.contains(server) else { return }
    Log.info("standing in for a server that is gone or cut off", ["of": server])
    standIns.append(Membership(router, instance: server))
  }

  func leave(_ server: String) {
    guard let place = standIns.firstIndex(where: { $0.instance == server }) else { return }
    Log.info("standing in no more", ["of": server])
    drop(standIns[place])
  }

  /// The membership is over: another one has its place, or it failed.
  func lost(_ member: Membership, isFenced: Bool) {
    let isStandIn = member !== own
    if !isStandIn { joinAt = router.tick + Self.rejoinMilliseconds }
    Log.info("a place in the group is lost", ["of": member.instance, "fenced": "\(isFenced)"])
    drop(member)
    if isStandIn { router.watch.fenced(server: member.instance) }
  }

  private func drop(_ member: Membership) {
    for p in owners.indices where owners[p]?.member === member { endOwner(p) }
    if member === own { own = nil }
    standIns.removeAll { $0 === member }
    member.end()
  }

  // MARK: Partitions

  func assign(_ partitions: [Int32], to member: Membership) {
    for p in owners.indices {
      let isWanted = partitions.contains(Int32(p)) && !stopped.contains(Int32(p))
      if let owner = owners[p], owner.member === member {
        if !isWanted { endOwner(p) }
      } else if isWanted {
        endOwner(p)
        Log.debug("a partition is this server's", ["partition": "\(p)", "as": member.instance])
        owners[p] = OwnerHost(router, partition: Int32(p), member: member)
        owners[p]?.begin()
      }
    }
  }

  private func endOwner(_ p: Int) {
    guard let owner = owners[p] else { return }
    owners[p] = nil
    owner.end()
  }

  /// The log of a partition lost what it had acknowledged.
  func stop(_ partition: Int32, _ reason: StopReason) {
    guard stopped.insert(partition).inserted else { return }
    router.shared.health.stopped(stopped)
    Log.error(
      "a partition is stopped: the log lost what it had acknowledged; see OPERATIONS.md",
      ["partition": "\(partition)", "reason": "\(reason)"])
    endOwner(Int(partition))
  }

  // MARK: Time

  func tick() { for owner in owners { owner?.tick() } }

  /// Each second.
  func beat() { for member in all { member.beat() } }

  func drain() { for member in all { member.drain() } }

  /// Has committed what came up in this turn.
  func flush() { for member in all { member.flush() } }

  func end() {
    for p in owners.indices { endOwner(p) }
    for member in all { member.end() }
    own = nil
    standIns = []
  }
}
