/// What may go wrong with a server that stands alone.
public enum EmbeddedFault: Int, CaseIterable, Sendable {
  /// A commit fails: it came to nothing, or happened all the same.
  case failedCommit
  /// The process dies between a commit and its answers, or before the commit, and starts again.
  case crash
  /// A commit takes seconds.
  case slowDisk
  /// Questions to the view fail.
  case failedRead
  /// Answers of the view come long after they were read: batches overtake them.
  case slowReader
  /// A shard's mailbox is so small that it overflows.
  case mailboxFull
  /// Clients read slowly: copies are dropped.
  case pullMode
  /// Retention takes the oldest events.
  case retention
  /// A shard stands still for longer than repeats are remembered for.
  case shardStall
  /// Connections break.
  case cut

  public var name: String { "\(self)" }

  public init?(name: String) {
    guard let fault = EmbeddedFault.allCases.first(where: { $0.name == name }) else { return nil }
    self = fault
  }
}

/// The faults of one run over the embedded backbone.
public struct EmbeddedFaults: Sendable, Equatable {
  private var bits: UInt32 = 0

  public init(_ faults: [EmbeddedFault] = []) { for fault in faults { insert(fault) } }

  public static let all = EmbeddedFaults(EmbeddedFault.allCases)

  public mutating func insert(_ fault: EmbeddedFault) { bits |= 1 << UInt32(fault.rawValue) }
  public func contains(_ fault: EmbeddedFault) -> Bool { bits & 1 << UInt32(fault.rawValue) != 0 }
  public var faults: [EmbeddedFault] { EmbeddedFault.allCases.filter(contains) }

  /// Chosen by chance; one run in four has none.
  static func draw(_ random: inout Generator) -> EmbeddedFaults {
    var set = EmbeddedFaults()
    let busy = [0.0, 0.2, 0.4, 0.7][random.below(4)]
    for fault in EmbeddedFault.allCases where random.chance(busy) { set.insert(fault) }
    return set
  }
}

/// How often each fault really happened, and what else is worth seeing.
public struct EmbeddedCoverage: Sendable {
  public internal(set) var faults = [Int](repeating: 0, count: EmbeddedFault.allCases.count)
  public internal(set) var appends = 0
  public internal(set) var events = 0
  public internal(set) var handed = 0
  public internal(set) var resets = 0
  public internal(set) var doubts = 0

  public init() {}

  mutating func count(_ fault: EmbeddedFault) { faults[fault.rawValue] += 1 }

  public mutating func add(_ other: EmbeddedCoverage) {
    for i in faults.indices { faults[i] += other.faults[i] }
    appends += other.appends
    events += other.events
    handed += other.handed
    resets += other.resets
    doubts += other.doubts
  }
}
