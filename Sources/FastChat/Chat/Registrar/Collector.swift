/// Which inboxes may be deleted: those of epochs that were seen without a lease for minutes (DESIGN section
/// 6). A pure machine; any server may run it, since deleting twice does no harm.
public final class Collector {
  /// Milliseconds that an epoch has to be without a lease all the time. A server that makes its inbox takes
  /// its lease within seconds, and one whose lease lapsed checks that its inbox stands.
  public static let deadMilliseconds: Int64 = 300_000
  /// Milliseconds between two reads of the leases after which nothing is known of the time between.
  static let gapMilliseconds: Int64 = 2 * Limits.leaseMilliseconds

  private var directories: [DirectoryID] = []
  private var readAt: Tick?
  private var living: Set<ServerEpoch> = []
  /// Inboxes of epochs without a lease, and since when.
  private var dead: [ServerEpoch: Tick] = [:]

  public init() {}

  /// The leases now. What was not known for a while, or another directory, begins all waiting anew.
  public func leasesRead(_ read: LeasesRead, tick: Tick) {
    let ids = read.directories.sorted()
    let isContinued = readAt.map { tick - $0 <= Self.gapMilliseconds } ?? false
    if read.hasFailed || !isContinued || ids != directories { dead.removeAll() }
    guard !read.hasFailed else {
      readAt = nil
      return
    }
    readAt = tick
    directories = ids
    living = Set(read.living)
    dead = dead.filter { !living.contains($0.key) }
  }

  /// The inboxes that there are; answers which of them may be deleted, in the order given.
  public func inboxesListed(_ inboxes: [ServerEpoch], tick: Tick) -> [ServerEpoch] {
    guard let readAt, tick - readAt <= Self.gapMilliseconds else { return [] }
    let listed = Set(inboxes)
    dead = dead.filter { listed.contains($0.key) }
    var deletable: [ServerEpoch] = []
    for inbox in inboxes where !living.contains(inbox) {
      let since = dead[inbox] ?? tick
      dead[inbox] = since
      if tick - since >= Self.deadMilliseconds { deletable.append(inbox) }
    }
    return deletable
  }
}
