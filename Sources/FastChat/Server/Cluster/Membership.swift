import Chat
import EventLoop
import Kafka

/// One place in the group of routers, by its instance id: the own one, or that of a dead server. What its owners
/// commit goes in transactions under the same id.
final class Membership {
  /// Milliseconds until a place that could not be taken is tried again.
  private static let retryMilliseconds: Tick = 1_000
  /// Milliseconds that commits wait at most for the group to have divided its partitions anew: between the old
  /// membership and the new one both are refused.
  private static let divisionMilliseconds: Tick = 10_000

  let instance: String
  private unowned let router: Router
  private var group: RouterGroup?
  /// The membership as of the assignment that the owners are of: what they commit must not go out in the name of
  /// a later one, in which another server may have their partitions.
  private var assignment: GroupMetadata?
  private var isOpening = false
  private var isOver = false
  private var retryAt: Tick = 0
  /// The group divides its partitions anew; commits wait until then.
  private var dividesUntil: Tick = .min
  private var waiting: [Commit] = []
  private var isCommitting = false

  private struct Commit {
    let owner: OwnerHost
    let tag: UInt64
    let content: StateCommit
  }

  init(_ router: Router, instance: String) {
    self.router = router
    self.instance = instance
    open()
  }

  /// For the helper's questions; nil before it has joined.
  var reference: GroupReference? { group.map { GroupReference(group: $0) } }

  private var mayAct: Bool { router.group.mayAct(as: instance) }

  // MARK: Joining

  /// First the transactions, which ends what a predecessor left open: the offsets that the group tells wait for
  /// that.
  private func open() {
    isOpening = true
    router.broker(.openState(instance: instance)) { [self] answer in
      isOpening = false
      guard !isOver else { return }
      guard case .done = answer, mayAct, join() else {
        retryAt = router.tick + Self.retryMilliseconds
        return
      }
    }
  }

  private func join() -> Bool {
    do throws(KafkaError) {
      let group = try RouterGroup(
        router.links.configuration, topics: router.links.names, generation: router.generation,
        instance: instance)
      self.group = group
      do throws(LoopError) {
        try router.loop.watch(descriptor: group.descriptor, tag: Router.Sources.group.rawValue)
      } catch {
        Log.error("a queue of Kafka cannot be watched", ["reason": error.description])
      }
      router.comeBack(to: .group)
      return true
    } catch {
      Log.warning("the group of routers cannot be joined", ["reason": error.description])
      return false
    }
  }

  /// Each second.
  func beat() {
    if group == nil, !isOpening, !isOver, mayAct, router.tick >= retryAt { open() }
    for notice in group?.takeNotices() ?? [] { BrokerLinks.report(notice) }
  }

  /// Takes in what the group says. That partitions are revoked is said before each new assignment, which tells
  /// all: until then nobody else has them, and owners go on.
  func drain() {
    guard let group else { return }
    group.drain()
    let events = group.events
    group.eventsTaken()
    for event in events where !isOver {
      switch event {
      case .assigned(let partitions):
        assignment = group.metadata()
        dividesUntil = .min
        router.group.assign(partitions, to: self)
      case .revoked: dividesUntil = router.tick + Self.divisionMilliseconds
      case .fenced: router.group.lost(self, isFenced: true)
      case .failed(let error):
        Log.warning("the group of routers failed", ["reason": error.description])
        router.group.lost(self, isFenced: false)
      }
    }
  }

  /// Leaves without a word: the place stays this instance's, for whoever comes next under its id.
  func end() {
    guard !isOver else { return }
    isOver = true
    waiting = []
    router.broker(.closeState(instance: instance)) { _ in }
    guard let group else { return }
    group.isHeld = false
    router.loop.unwatch(descriptor: group.descriptor)
    let reference = GroupReference(group: group)
    self.group = nil
    router.broker(.letGo(reference)) { _ in }
  }

  // MARK: Commits

  /// Writes rows and a position, with those of other partitions in one transaction; answered to the owner.
  func commit(_ content: StateCommit, tag: UInt64, of owner: OwnerHost) {
    waiting.append(Commit(owner: owner, tag: tag, content: content))
  }

  /// What came up meanwhile is the next transaction.
  func flush() {
    guard !isCommitting, !waiting.isEmpty, let assignment, router.tick >= dividesUntil else { return }
    guard mayAct || router.isEnding else { return }
    let commits = waiting.filter { !$0.owner.isOver }
    waiting = []
    guard !commits.isEmpty else { return }
    isCommitting = true
    group?.isHeld = true
    let began = Clock.nanoseconds()
    let isStandIn = instance != router.serverID
    router.broker(.commit(instance: instance, isStandIn: isStandIn, commits.map(\.content), assignment)) {
      [self] answer in
      isCommitting = false
      group?.isHeld = false
      router.metrics.record(.commit, nanoseconds: Clock.nanoseconds() - began)
      for commit in commits {
        commit.owner.committed(tag: commit.tag, isDone: answer.hasCommitted(commit.content.partition))
      }
      if case .fenced = answer, !isOver { router.group.lost(self, isFenced: true) }
    }
  }
}
