import Chat
import EventLoop
import Kafka

/// The router's helper: a thread for calls that wait for a broker, one at a time, so that the router's loop
/// never does (DESIGN section 6).
final class BrokerHelper: @unchecked Sendable {
  /// Jobs that wait at most; one beyond it has failed.
  static let jobsMax = 1_024
  /// Milliseconds after which it looks whether it was closed without being told; nothing depends on it.
  private static let waitMilliseconds: Int64 = 60_000

  struct Answered: Sendable {
    let ticket: UInt64
    let answer: BrokerAnswer
  }

  let answers: Mailbox<Answered>
  private let monitor = Monitor()
  // Guarded by the monitor.
  private var jobs: [(ticket: UInt64, job: BrokerJob)] = []
  /// The last job went before others that had waited for longer.
  private var hasOvertaken = false
  private var isClosed = false

  init() throws(LoopError) { answers = try Mailbox(capacity: Self.jobsMax) }

  /// False where too many wait.
  func submit(_ job: BrokerJob, ticket: UInt64) -> Bool {
    monitor.locked {
      guard jobs.count < Self.jobsMax else { return false }
      let place = jobs.firstIndex { $0.job.rank > job.rank } ?? jobs.count
      jobs.insert((ticket, job), at: place)
      monitor.wake()
      return true
    }
  }

  /// No job is done any more but the one under way.
  func close() {
    monitor.locked {
      isClosed = true
      monitor.wake()
    }
  }

  /// The body of the thread.
  func serve(_ desk: BrokerDesk) {
    while let (ticket, job) = next() {
      answers.postAlways(Answered(ticket: ticket, answer: desk.perform(job)))
    }
  }

  private func next() -> (UInt64, BrokerJob)? {
    monitor.locked {
      while jobs.isEmpty, !isClosed { _ = monitor.wait(until: Clock.tick() + Self.waitMilliseconds) }
      guard !isClosed else { return nil }
      // Every other time it is the turn of who would wait for ever behind commits that are slow.
      let last = jobs.firstIndex { $0.job.rank == BrokerJob.lastRank }
      let isOvertaking = jobs[0].job.rank == BrokerJob.commitRank && last != nil
      defer { hasOvertaken = isOvertaking && !hasOvertaken }
      return jobs.remove(at: isOvertaking && hasOvertaken ? last! : 0)
    }
  }
}

/// What the helper works with. Made on the router's thread, and the helper's alone from then on.
final class BrokerDesk: @unchecked Sendable {
  private let configuration: KafkaConfiguration
  private let topics: Topics
  private let watermarks: Watermarks
  private let generation: Int64
  private let partitions: Int32
  private var stores: [String: StateStore] = [:]
  /// Partitions of the state topic that had no leader when that was last asked, which is after each transaction
  /// that failed, and before each next one while there are some.
  private var leaderless: Set<Int32> = []
  /// Milliseconds that it may take to be told.
  private static let leaderMilliseconds: Int32 = 3_000

  init(
    _ configuration: KafkaConfiguration, topics: Topics, watermarks: Watermarks, generation: Int64,
    partitions: Int32
  ) {
    self.configuration = configuration
    self.topics = topics
    self.watermarks = watermarks
    self.generation = generation
    self.partitions = partitions
  }

  func perform(_ job: BrokerJob) -> BrokerAnswer {
    defer { reportNotices() }
    do throws(KafkaError) {
      return try answer(job)
    } catch {
      Log.warning("a broker did not do what was asked", ["reason": error.description])
      return .failed
    }
  }

  /// After each job, so that what the connections had to say does not pile up.
  private func reportNotices() {
    var notices = topics.takeNotices() + watermarks.takeNotices()
    for store in stores.values { notices += store.takeNotices() }
    for notice in notices { BrokerLinks.report(notice) }
  }

  private func answer(_ job: BrokerJob) throws(KafkaError) -> BrokerAnswer {
    switch job {
    case .makeInbox(let server): try topics.ensure(.inbox(topics.names, server))
    case .findInbox(let server): return .found(try topics.exists(topics.names.inbox(server)))
    case .listInboxes: return .inboxes(try topics.inboxes())
    case .deleteInbox(let server): try topics.delete(topics.names.inbox(server))
    case .logEnd(let partition): return .seq(try watermarks.logEnd(partition))
    case .oldestRecord(let partition): return .seq(try watermarks.logBeginning(partition))
    case .firstRecord(let partition, let time):
      // The end first: a record that comes between the two is not stepped over.
      let end = try watermarks.logEnd(partition)
      return .seq(try watermarks.firstRecords([partition], since: max(time, 0))[0] ?? end + 1)
    case .readsEnd(let partition): return .offset(try watermarks.readsEnd(partition))
    case .openState(let instance): try open(instance)
    case .closeState(let instance): stores[instance] = nil
    case .committed(let reference, let partition):
      return .position(try reference.group.committed([partition])[0])
    case .stateRange(let reference, let partition):
      let committed = try reference.group.committed([partition])[0]
      return .stateRange(committed: committed, end: try watermarks.stateEnd(partition))
    case .commit(let instance, let isStandIn, let commits, let member):
      return commit(instance, isStandIn: isStandIn, commits, member)
    case .letGo: break
    }
    return .done
  }

  private func open(_ instance: String) throws(KafkaError) {
    stores[instance] = nil
    stores[instance] = try StateStore(
      configuration, topics: topics.names, generation: generation, partitions: partitions, instance: instance)
  }

  /// After a failure the producer is begun anew: it may have been fenced, given up by its broker, or left in the
  /// middle of an abort that no broker answered. Whether this member still has its place is said by the group, in
  /// whose name offsets are written. A stand-in whose producer was fenced does not ask: whoever did it is the one
  /// it stood in for, and would be fenced in turn.
  ///
  /// Rows for a partition that nobody leads would hold up the transaction until it fails, and every other
  /// partition with it: they are left out until there is a leader.
  private func commit(_ instance: String, isStandIn: Bool, _ commits: [StateCommit], _ member: GroupMetadata)
    -> BrokerAnswer
  {
    do throws(KafkaError) {
      if stores[instance] == nil { try open(instance) }
      if !leaderless.isEmpty { lookForLeaders() }
      let able = commits.filter { $0.rows.isEmpty || !leaderless.contains($0.partition) }
      guard !able.isEmpty else { return .failed }
      try stores[instance]?.commit(able, as: member)
      return able.count == commits.count ? .done : .committed(Set(able.map(\.partition)))
    } catch {
      stores[instance] = nil
      if error.cause == Self.divided {
        // The group went on without an answer of ours: no more than a second try.
        Log.info("positions are committed again: partitions were divided anew", ["instance": instance])
        return .failed
      }
      let isReplaced = error.cause == Self.replaced || isStandIn && error.code == .fenced
      if isReplaced { return .fenced }
      Log.warning(
        "positions were not committed; it is tried again",
        ["instance": instance, "reason": error.description])
      lookForLeaders()
      return .failed
    }
  }

  private func lookForLeaders() {
    // Where nobody can be asked there is no telling.
    guard let found = try? topics.leaderless(topics.names.state, milliseconds: Self.leaderMilliseconds),
      found != leaderless
    else { return }
    leaderless = found
    let list = found.sorted().map { "\($0)" }.joined(separator: ",")
    if found.isEmpty {
      Log.info("all partitions of the state topic have a leader again")
    } else {
      Log.warning(
        "partitions of the state topic have no leader; theirs are not committed, the others' are",
        ["partitions": list])
    }
  }

  private static let replaced = "FENCED_INSTANCE_ID"
  private static let divided = "ILLEGAL_GENERATION"
}
