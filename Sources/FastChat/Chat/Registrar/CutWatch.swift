/// What a server wants said of its way to the brokers.
public enum CutAction: Equatable, Sendable {
  /// Say for `Limits.leaseMilliseconds` that this server reaches no broker.
  case mark(ServerEpoch)
  /// Take that back, where this epoch said it.
  case unmark(ServerEpoch)
}

/// Whether this server is cut off from the brokers, and of which others it believes that. A pure machine.
///
/// A server that is cut off keeps its lease, since its sessions are where they were, and says so: others stand in
/// for it as for a dead one (`StandIns`), until it says so no more.
///
/// - It hears of brokers by acknowledged records alone: whoever is answered in any other way may still not write.
/// - It takes no place in the group while it says so, its own neither: whoever stands in for it would be put out
///   of that place, and another one, who reads that it is cut off, would take it from both.
/// - Nobody begins to believe others who was without brokers himself a moment ago: where they were away for all,
///   some hear from them sooner than others.
public final class CutWatch {
  /// Seconds without an acknowledged record after which a server says that it is cut off. Where nobody writes, a
  /// probe does every two, and asks all partitions after the first that went without an answer.
  public static let cutSeconds = 5
  /// Seconds without one that count as a silence.
  public static let silentSeconds = 3
  /// Milliseconds after a silence until it says no more that it is cut off, with the next record that is
  /// acknowledged: a link that comes and goes is no link.
  public static let calmMilliseconds: Int64 = 3_000
  /// Milliseconds after a silence until it believes it of others who had not said so before; by then all that
  /// were in the same one have taken it back.
  public static let doubtMilliseconds: Int64 = 10_000

  private let server: String
  public private(set) var actions: [CutAction] = []
  /// This server is cut off, and says so.
  public private(set) var isCut = false
  /// When the log last acknowledged something, and the seconds that went by since. (Counted one by one: a process
  /// that stood still has missed no answer.)
  private var acknowledgedAt: Tick?
  private var silence = 0
  private var lastSilence: Tick = .min / 2
  /// Who says that it is cut off, and is believed.
  private var believed: Set<ServerEpoch> = []

  /// `server`: this one.
  public init(server: String) { self.server = server }

  public func actionsPerformed() { actions.removeAll(keepingCapacity: true) }

  // MARK: Inputs

  /// Each second, with the time of the last acknowledged record.
  public func heard(acknowledgedAt last: Tick?, epoch: Epoch, tick: Tick) {
    silence = last == acknowledgedAt ? silence + 1 : 0
    acknowledgedAt = last
    if silence >= Self.silentSeconds { lastSilence = tick }
    let own = ServerEpoch(server: server, epoch: epoch)
    if silence >= Self.cutSeconds {
      isCut = true
    } else if isCut, silence == 0, tick - lastSilence >= Self.calmMilliseconds {
      isCut = false
      actions.append(.unmark(own))
    }
    if isCut { actions.append(.mark(own)) }
  }

  /// Who says that it is cut off, `living` being those; read before the leases.
  public func cutsRead(_ read: LeasesRead, tick: Tick) {
    guard !read.hasFailed else { return }
    let isInDoubt = tick - lastSilence < Self.doubtMilliseconds
    believed = isInDoubt ? believed.intersection(read.living) : Set(read.living)
  }

  // MARK: What follows

  /// The leases as stand-ins are to judge them: without those of servers that are cut off.
  public func judged(_ read: LeasesRead) -> LeasesRead {
    var judged = read
    judged.living.removeAll(where: believed.contains)
    return judged
  }
}
