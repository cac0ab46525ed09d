/// What may go wrong in a simulated cluster. Each can be chosen alone by its name.
public enum FaultKind: Int, CaseIterable, Sendable {
  // Processes.
  /// A server dies with all that it had in memory, and comes back.
  case kill
  /// A server stands still for 30 s and more, with its sockets open.
  case freeze
  /// One shard of a server stands still for some seconds.
  case shardStall
  /// A server's router is seconds behind.
  case slowRouter
  /// A server goes down cleanly, and comes back.
  case drain
  /// The wall clocks of servers differ by up to some seconds.
  case clockSkew
  /// A shard's mailbox is so small that it overflows.
  case mailboxFull

  // The log.
  /// Reports come up to a minute late: those past 30 s count as failures.
  case reportLate
  /// A report of an append that happened never comes.
  case appendDespiteError
  case reportWithoutOffset
  case reportTwice
  case appendTwice
  /// What a server handed to its producer is appended long after, when it has stood still.
  case lateAppend
  /// A broker is gone for some seconds: nothing is answered.
  case brokerFailover
  /// The broker tells a log end that is too low, for less than 10 s.
  case logEndBack
  /// The log loses its last records for good.
  case logLost
  /// Retention takes the oldest records and events.
  case retention

  // Inboxes and the router group.
  case inboxTruncated
  case inboxGone
  /// Batches of one server stay under way for long.
  case lateBatches
  /// An inbox does not take a batch, and the owner is told.
  case batchLost
  case batchTwice
  /// Partitions move between living members.
  case rebalance
  /// Members hear late that somebody has taken their place.
  case twoOwners
  /// A stand-in dies.
  case standInDies
  /// A transaction's answer never comes.
  case commitLost
  /// No transaction comes through for longer than clients repeat a request: owners stop, and what was
  /// appended first is applied with its last repeats behind it.
  case commitStall

  // Redis.
  /// A primary goes back by less than the commit lag.
  case viewBack
  /// A primary goes back by more than that.
  case viewFarBack
  /// One partition's slot goes back alone: it moved to a primary that lagged.
  case slotBack
  /// The same under the same replication id, so that only its owner can notice. No Redis does that. What
  /// attaches before the owner has noticed may miss an event, so no run draws it; it is chosen by name.
  case slotBackUnseen
  case flush
  /// A replica that lags takes over; the old primary answers some connections for a while.
  case failover
  /// Sessions and rooms lose their last second; leases survive, and so does the replication id... of a
  /// primary that was restarted it does not.
  case directoryBack
  /// Connections break: commands that ran are not answered.
  case disconnect
  /// A primary answers nothing for some seconds.
  case redisFreeze
  /// Renewals of one server's lease do not arrive.
  case leaseStall
  /// One server's questions to Redis, and the answers, take long: batches overtake them.
  case slowRedis
  /// One server does not reach Redis for longer than a recent list goes back.
  case redisCut

  // Clients.
  /// Connections break, and clients move.
  case cut
  /// Clients read slowly.
  case slowReader
  /// All shards of a server begin to listen to one room at once.
  case roomRace
  /// An idle session gets its first direct message while its server's lease has lapsed.
  case lapsedFirstMessage
  /// A user's first chat begins while a session of theirs attaches.
  case firstChatWhileAttaching

  // Behind all others: in a run without them chance comes to what it did before there were they.
  /// A server does not reach the brokers, or none does, for a while or again and again; its Redis and its clients
  /// stay.
  case kafkaCut
  /// A user leaves a room while the server of another device of theirs does not reach Redis for longer than a recent
  /// list goes back, and the room goes on by more than a short history keeps.
  case leftWhileCut

  /// In words with hyphens, as the program's flags name it.
  public var name: String { FaultKind.names[rawValue] }

  private static let names = allCases.map { kind in
    "\(kind)".reduce(into: "") { $0 += $1.isUppercase ? "-" + $1.lowercased() : String($1) }
  }

  public init?(name: String) {
    guard let kind = FaultKind.allCases.first(where: { $0.name == name }) else { return nil }
    self = kind
  }

  /// How likely a run has it, beside others.
  var weight: Double {
    switch self {
    case .cut: 0.7
    case .kill, .disconnect, .slowReader: 0.3
    case .logLost, .commitStall: 0.01
    case .slotBackUnseen: 0
    case .flush, .viewFarBack, .retention, .mailboxFull, .leftWhileCut: 0.1
    default: 0.18
    }
  }
}

/// The faults of one run.
public struct FaultSet: Sendable, Equatable {
  private var bits: UInt64 = 0

  public init(_ kinds: [FaultKind] = []) { for kind in kinds { insert(kind) } }

  public static let all = FaultSet(FaultKind.allCases.filter { $0 != .slotBackUnseen })

  public mutating func insert(_ kind: FaultKind) { bits |= 1 << UInt64(kind.rawValue) }
  public mutating func remove(_ kind: FaultKind) { bits &= ~(1 << UInt64(kind.rawValue)) }
  func isSubset(of other: FaultSet) -> Bool { bits & ~other.bits == 0 }
  public func contains(_ kind: FaultKind) -> Bool { bits & 1 << UInt64(kind.rawValue) != 0 }
  /// Whether nothing goes wrong but with what is on its way from owners to servers (I7).
  var isOfHintsOnly: Bool {
    let hints: [FaultKind] = [.inboxTruncated, .inboxGone, .lateBatches, .batchLost, .batchTwice]
    return !kinds.isEmpty && kinds.allSatisfy(hints.contains)
  }
  public var kinds: [FaultKind] { FaultKind.allCases.filter(contains) }

  /// Chosen by chance: a few at a time, so that each also works alone; one run in twelve has none. By a chance
  /// of their own: the rest of a run is the same, however many kinds there are and whichever are left out.
  static func draw(seed: UInt64) -> FaultSet {
    var random = Generator(seed: ~seed)
    var set = FaultSet()
    let busy = [0.0, 0.4, 1.0, 1.0, 1.8][random.below(5)]
    for kind in FaultKind.allCases where random.chance(kind.weight * busy) { set.insert(kind) }
    return set
  }
}
