import Chat
import Kafka

/// Something that waits for a broker, done on the helper's thread.
enum BrokerJob: Sendable {
  case makeInbox(ServerEpoch)
  /// Answered by `found`.
  case findInbox(ServerEpoch)
  /// Answered by `inboxes`.
  case listInboxes
  case deleteInbox(ServerEpoch)
  /// The seq of the last record of a partition; answered by `seq`.
  case logEnd(Int32)
  /// The seq of the oldest record of a partition; answered by `seq`.
  case oldestRecord(Int32)
  /// The seq of the first record that the log took then or later, or the one behind its end; answered by `seq`.
  case firstRecord(Int32, since: WallTime)
  /// The offset behind the last read position of a partition; answered by `offset`.
  case readsEnd(Int32)
  /// Begins to write state under an instance id, and ends what a predecessor left open.
  case openState(instance: String)
  case closeState(instance: String)
  /// Answered by `position`.
  case committed(GroupReference, Int32)
  /// Where the committed position and then the end of a partition's rows are; answered by `stateRange`.
  case stateRange(GroupReference, Int32)
  /// Rows and positions in one transaction; answered by `done`, `committed`, `failed`, `fenced`.
  case commit(instance: String, isStandIn: Bool, [StateCommit], GroupMetadata)
  /// Lets a membership or a handle go, which waits for librdkafka's threads.
  case letGo(any Sendable)
}

extension BrokerJob {
  /// What goes first: the own inbox, without which nobody attaches to the whole server; then positions, of which
  /// no owner applies more than a minute's without a commit, while a question about a partition that nobody
  /// leads takes its whole time. Where both wait, it is the turn of one of each.
  var rank: Int {
    switch self {
    case .makeInbox, .findInbox: 0
    case .commit: Self.commitRank
    default: Self.lastRank
    }
  }

  static let commitRank = 1
  static let lastRank = 2
}

enum BrokerAnswer: Sendable {
  case done
  case found(Bool)
  case inboxes([ServerEpoch])
  case seq(Seq)
  case offset(Int64)
  case position(Seq?)
  /// Of these partitions; the others had no leader and are to be tried again.
  case committed(Set<Int32>)
  case stateRange(committed: Seq?, end: Int64)
  /// Nothing was done, or nobody knows.
  case failed
  /// Another one has this instance's place.
  case fenced
}

extension BrokerAnswer {
  /// Whether the rows and the position of a partition were committed.
  func hasCommitted(_ partition: Int32) -> Bool {
    switch self {
    case .done: true
    case .committed(let partitions): partitions.contains(partition)
    default: false
    }
  }
}

/// A membership on its way to the helper: the two questions that it asks of it may be asked on any thread.
struct GroupReference: @unchecked Sendable {
  let group: RouterGroup
}
