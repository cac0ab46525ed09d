/// What a server wants done to stand in for others; performed in order, all of it before the next input.
public enum StandInAction: Equatable, Sendable {
  /// Take the lock of that server, or let it hold for `Limits.leaseMilliseconds` from now where it is
  /// `holder`'s. Answered by `lockAnswered`.
  case takeLock(tag: UInt64, server: String, holder: ServerEpoch)
  /// Give it up, where it is `holder`'s.
  case dropLock(server: String, holder: ServerEpoch)
  /// Join the router group under that server's instance id.
  case join(server: String)
  case leave(server: String)
}

/// Which servers this one stands in for (DESIGN section 6): routers are static members of their group, whose
/// partitions would rest for a session timeout after a death. One of those that see a lease gone takes a lock,
/// itself a lease, and joins in the dead one's place. A pure machine.
///
/// - Only a server that was seen alive since this one watches is judged: what was dead before has its
///   partitions given to others, or never had any.
/// - Nobody judges for two lifetimes of a lease after the directory came back: its servers have to come first.
/// - It stands in only while its own lease holds, and until the other's lease is there again.
public final class StandIns {
  /// Servers that one stands in for at once.
  public static let serversAtOnce = 4
  /// Milliseconds without a judgement after the directory came back.
  public static let judgementMilliseconds: Int64 = 2 * Limits.leaseMilliseconds
  /// Milliseconds that a lease is missed before it is judged as lost for good where the directory may have lost
  /// them all: their holders would have set them again by then. Where the own lease has stood for as long, only
  /// the other's death explains it, and it is judged at once.
  public static let absenceMilliseconds: Int64 = Limits.leaseRenewalMilliseconds
  /// Milliseconds between two reads of the leases after which the directory is taken to have been away.
  static let gapMilliseconds: Int64 = Limits.leaseMilliseconds

  private struct Place {
    var server: String
    var lock = Lane()
    /// The lock holds at least until then.
    var heldUntil: Tick = .min
    var hasJoined = false
  }

  private let server: String
  public private(set) var actions: [StandInAction] = []
  private var tick: Tick = 0
  private var lastTag: UInt64 = 0
  private var own: ServerEpoch?
  private var ownUntil: Tick = .min
  /// The first of the reads since which the own lease was never missed.
  private var ownSeenSince: Tick?
  private var directories: [DirectoryID] = []
  private var readAt: Tick?
  private var judgesFrom: Tick = .max
  /// Servers that were seen alive and are not now, and since when. Ordered by name.
  private var absent: [(server: String, since: Tick)] = []
  private var alive: Set<String> = []
  /// Who is judged dead, and whose lock is tried.
  private var places: [Place] = []

  /// `server`: this one.
  public init(server: String) { self.server = server }

  /// The servers that this one stands in for now.
  public var joined: [String] { places.filter(\.hasJoined).map(\.server) }

  public func actionsPerformed() { actions.removeAll(keepingCapacity: true) }

  // MARK: Inputs

  /// About every 100 ms.
  public func tick(_ tick: Tick) {
    self.tick = tick
    if let readAt, tick - readAt > Self.gapMilliseconds { judgesFrom = .max }
    if tick >= ownUntil { return leaveAll() }
    for index in places.indices.reversed() {
      _ = places[index].lock.isGivenUp(at: tick)
      // Another one may have the lock by now.
      if places[index].hasJoined, tick >= places[index].heldUntil { leave(index) }
    }
    askForLocks()
  }

  /// The registrar's lease, as it is told to the shards.
  public func leaseHolds(epoch: Epoch, until: Tick) {
    if let own, own.epoch != epoch {
      ownSeenSince = nil
      leaveAll()
    }
    own = ServerEpoch(server: server, epoch: epoch)
    ownUntil = until
  }

  /// The own lease lapsed, or is somebody else's.
  public func leaseLapsed() {
    ownUntil = .min
    ownSeenSince = nil
    leaveAll()
  }

  /// The leases, read each second or more often.
  public func leasesRead(_ read: LeasesRead, tick: Tick) {
    self.tick = tick
    guard !read.hasFailed else {
      judgesFrom = .max
      ownSeenSince = nil
      return
    }
    let isOwnThere = own.map(read.living.contains) ?? false
    ownSeenSince = isOwnThere ? ownSeenSince ?? tick : nil
    let ids = read.directories.sorted()
    let cameBack = readAt.map { tick - $0 > Self.gapMilliseconds } ?? true
    if judgesFrom == .max || cameBack || ids != directories { judgesFrom = tick + Self.judgementMilliseconds }
    readAt = tick
    directories = ids
    let living = Set(read.living.lazy.map(\.server).filter { $0 != self.server })
    for server in alive.subtracting(living).sorted() {
      absent.append((server, since: tick))
    }
    absent.removeAll { living.contains($0.server) }
    absent.sort { $0.server < $1.server }
    alive = living
    for index in places.indices.reversed() where living.contains(places[index].server) { giveUp(index) }
    judge()
  }

  /// nil: not known.
  public func lockAnswered(_ tag: UInt64, isHeld: Bool?) {
    guard let index = places.firstIndex(where: { $0.lock.tag == tag }),
      places[index].lock.isAnswered(by: tag)
    else { return }
    switch isHeld {
    case nil:
      places[index].lock.failed(at: tick)
    case false?:
      places[index].lock.succeeded(next: tick + Limits.leaseRenewalMilliseconds)
      if places[index].hasJoined { leave(index) }
    case true?:
      let askedAt = places[index].lock.askedAt
      places[index].lock.succeeded(next: askedAt + Limits.leaseRenewalMilliseconds)
      places[index].heldUntil = askedAt + Limits.leaseMilliseconds
      if !places[index].hasJoined, tick < places[index].heldUntil {
        places[index].hasJoined = true
        actions.append(.join(server: places[index].server))
      }
    }
  }

  /// The group put this stand-in out: the returning server took its instance id back. It is judged again once
  /// it was seen alive.
  public func fenced(server: String) {
    absent.removeAll { $0.server == server }
    guard let index = places.firstIndex(where: { $0.server == server }) else { return }
    dropLock(places[index])
    places.remove(at: index)
  }

  // MARK: What follows

  private func judge() {
    guard tick >= judgesFrom, tick < ownUntil else { return }
    let isDirectoryWhole = ownSeenSince.map { tick - $0 >= Self.absenceMilliseconds } ?? false
    for (server, since) in absent where isDirectoryWhole || tick - since >= Self.absenceMilliseconds {
      if !places.contains(where: { $0.server == server }) { places.append(Place(server: server)) }
    }
    askForLocks()
  }

  private func askForLocks() {
    guard let own else { return }
    for index in places.indices where places[index].lock.mayAsk(at: tick) {
      // A new place is taken only by judgement; a lock that is held is renewed whatever the directory does.
      if !places[index].hasJoined {
        guard tick >= judgesFrom, takenPlaces < Self.serversAtOnce else { continue }
      }
      lastTag += 1
      places[index].lock.ask(lastTag, at: tick)
      actions.append(.takeLock(tag: lastTag, server: places[index].server, holder: own))
    }
  }

  /// Places that are taken, or perhaps: others have the locks of the rest.
  private var takenPlaces: Int { places.count { $0.hasJoined || $0.lock.tag != 0 } }

  private func leave(_ index: Int) {
    places[index].hasJoined = false
    actions.append(.leave(server: places[index].server))
  }

  private func giveUp(_ index: Int) {
    let place = places.remove(at: index)
    if place.hasJoined { actions.append(.leave(server: place.server)) }
    dropLock(place)
  }

  private func dropLock(_ place: Place) {
    guard let own else { return }
    actions.append(.dropLock(server: place.server, holder: own))
  }

  private func leaveAll() {
    for index in places.indices.reversed() { giveUp(index) }
  }
}
