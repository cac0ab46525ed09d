import Chat

/// The routers' consumer group: static members by their instance id, eager assignment.
///
/// A member hears of changes late, as its heartbeats go: until then it goes on with what it had, and only
/// its transactions are refused.
final class RouterGroup {
  static let sessionMilliseconds: Tick = 30_000
  /// How long a rebalance waits for those who have not let go.
  static let barrierMilliseconds: Tick = 1_000

  /// A process that joined, under whatever instance id.
  final class Member {
    let instance: String
    /// Told on the member's router thread: its partitions, under the generation; nil takes all of them.
    let assign: (Member, [Int32]?) -> Void
    /// Told once when another process took the instance id.
    let fenced: (Member) -> Void
    /// Whether the process runs: one that stands still or is dead sends no heartbeats.
    let isBeating: () -> Bool
    /// The process's way to the brokers.
    let link: BrokerLink
    /// The process may write to the state topic as long as nobody initialized after it.
    var incarnation = 0
    /// The process has given the place up; it says nothing to the brokers, and hears nothing of them.
    fileprivate(set) var isOver = false
    fileprivate(set) var partitions: [Int32] = []
    fileprivate(set) var generation = 0
    fileprivate var lastBeat: Tick = 0
    fileprivate(set) var isIn = true

    init(
      instance: String, link: BrokerLink, isBeating: @escaping () -> Bool,
      assign: @escaping (Member, [Int32]?) -> Void, fenced: @escaping (Member) -> Void
    ) {
      self.instance = instance
      self.link = link
      self.isBeating = isBeating
      self.assign = assign
      self.fenced = fenced
    }
  }

  private let engine: Engine
  private let partitions: Int32
  /// In the order of their instance ids.
  private(set) var members: [Member] = []
  private var generation = 0
  /// The longest time until a member hears of a change.
  var noticeMax: Tick = RouterGroup.usualNotice
  var noticeMin: Tick = 1
  private static let usualNotice: Tick = 300
  /// The last word of a division that is under way, and whether such words are not waited for any more.
  private var lastWord: Tick = 0
  private var isSettled = false

  init(_ engine: Engine, partitions: Int32) {
    self.engine = engine
    self.partitions = partitions
  }

  /// A member under an id that is there takes its place, and has its partitions at once.
  func join(_ member: Member) {
    member.lastBeat = engine.now
    if let place = members.firstIndex(where: { $0.instance == member.instance }) {
      let old = members[place]
      old.isIn = false
      members[place] = member
      member.partitions = old.partitions
      member.generation = old.generation
      engine.coverage.count(.fencings)
      engine.note("group: \(member.instance) is another process; it has \(member.partitions)")
      reach(old, after: notice()) { old.fenced(old) }
      tell(member, member.partitions)
    } else {
      members.append(member)
      members.sort { $0.instance < $1.instance }
      rebalance()
    }
    watch(member)
  }

  /// Leaves for good; a process that ends without a word stays until its session is over, or another one has its
  /// place.
  func leave(_ member: Member) {
    member.isOver = true
    if !member.link.isCut { remove(member) }
  }

  /// Without a word.
  func giveUp(_ member: Member) { member.isOver = true }

  private func remove(_ member: Member) {
    guard member.isIn, let place = members.firstIndex(where: { $0 === member }) else { return }
    member.isIn = false
    members.remove(at: place)
    rebalance()
  }

  /// Nobody hears late any more: who has still to hear what is his hears it now.
  func settle() {
    noticeMin = 1
    noticeMax = Self.usualNotice
    guard lastWord > engine.now + Self.usualNotice else { return }
    isSettled = true
    for member in members { tell(member, member.partitions) }
  }

  /// Whether a transaction of this member for this partition is taken.
  func isCurrent(_ member: Member, partition: Int32) -> Bool {
    member.isIn && member.generation == generation && member.partitions.contains(partition)
  }

  /// Assigns all partitions anew: everybody is told to let go first, and then what he has.
  func rebalance(shift: Int = 0) {
    generation += 1
    let current = generation
    engine.coverage.count(.rebalances)
    for member in members {
      member.partitions = []
      member.generation = generation
    }
    for partition in 0..<partitions where !members.isEmpty {
      members[(Int(partition) + shift) % members.count].partitions.append(partition)
    }
    engine.note(
      "group: generation \(generation) "
        + members.map { "\($0.instance) \($0.partitions)" }.joined(separator: " "))
    // The new assignment waits for those who let go in time, not for who is late or stands still. Who is late
    // has it once he has heard.
    let heard = members.map { _ in notice() }
    lastWord = max(lastWord, engine.now + (heard.max() ?? 0))
    let wasSettled = isSettled
    var barrier: Tick = 0
    for (member, heard) in zip(members, heard) where isBeating(member) {
      if heard <= RouterGroup.barrierMilliseconds { barrier = max(barrier, heard) }
    }
    for (member, heard) in zip(members, heard) {
      reach(member, after: heard) { [self] in
        guard member.isIn, generation == current, wasSettled == isSettled else { return }
        member.assign(member, nil)
      }
      tell(member, member.partitions, after: max(barrier, heard))
    }
  }

  private func tell(_ member: Member, _ partitions: [Int32], after barrier: Tick = 0) {
    let current = generation
    let wasSettled = isSettled
    reach(member, after: barrier + 30 + engine.random.between(0, 40)) { [self] in
      guard member.isIn, generation == current, wasSettled == isSettled else { return }
      member.assign(member, partitions)
    }
  }

  /// Tells a member's process something, so many milliseconds from now or as soon as it reaches the brokers again.
  private func reach(_ member: Member, after delay: Tick, _ word: @escaping () -> Void) {
    engine.after(delay) { member.link.whenOpen { if !member.isOver { word() } } }
  }

  private func isBeating(_ member: Member) -> Bool {
    member.isBeating() && !member.link.isCut && !member.isOver
  }

  private func notice() -> Tick { engine.random.between(noticeMin, noticeMax) }

  /// Heartbeats, and what their end leads to.
  private func watch(_ member: Member) {
    engine.after(3_000) { [self] in
      guard member.isIn else { return }
      if isBeating(member) {
        member.lastBeat = engine.now
      } else if engine.now - member.lastBeat >= RouterGroup.sessionMilliseconds {
        engine.note("group: \(member.instance) is out")
        remove(member)
        reach(member, after: notice()) { member.assign(member, nil) }
        return
      }
      watch(member)
    }
  }
}
