/// What a server's registrar is told and says (DESIGN sections 5, "Leases", and 7).

/// A session as the directory knows it.
public struct SessionEntry: Sendable, Equatable {
  public var session: SessionID
  public var user: [UInt8]
  public var device: [UInt8]
  /// When its `hello` was, by the directory's clock: tells which session of a device is newer. Nil before
  /// the first registration, which gives it.
  public var helloAt: WallTime?

  public init(session: SessionID, user: [UInt8], device: [UInt8], helloAt: WallTime? = nil) {
    self.session = session
    self.user = user
    self.device = device
    self.helloAt = helloAt
  }
}

/// A registration as the directory took it.
public struct SessionRegistered: Sendable, Equatable {
  public var session: SessionID
  public var helloAt: WallTime
  /// So many newer sessions of the device are there that this one is not kept: it is over.
  public var isOutdated: Bool
  /// Older sessions of the device: their servers are told to end them, and take them out.
  public var replaced: [ReplacedSession]

  public init(session: SessionID, helloAt: WallTime, isOutdated: Bool, replaced: [ReplacedSession]) {
    self.session = session
    self.helloAt = helloAt
    self.isOutdated = isOutdated
    self.replaced = replaced
  }
}

public struct ReplacedSession: Sendable, Equatable {
  public var server: ServerEpoch
  public var session: SessionID

  public init(server: ServerEpoch, session: SessionID) {
    self.server = server
    self.session = session
  }
}

/// What a lease says of who holds it: a predecessor on the same host whose process is gone is replaced at
/// once.
public struct LeaseHolder: Sendable, Equatable {
  public var epoch: Epoch
  public var host: String
  public var boot: String
  public var process: Int64

  public init(epoch: Epoch, host: String, boot: String, process: Int64) {
    self.epoch = epoch
    self.host = host
    self.boot = boot
    self.process = process
  }
}

/// What a registrar tells a shard; put into its mailbox in order.
public enum ShardWord: Sendable {
  case registered(SessionID)
  /// A newer session of the device attached, here or elsewhere.
  case replaced(SessionID)
  case roomRegistered(chat: [UInt8])
  /// Lease or directory is in doubt: hold everything until `registeredAgain`.
  case registrationDoubted
  /// All sessions and rooms of this server are registered, in this epoch, with these primaries.
  case registeredAgain(epoch: Epoch, directories: [DirectoryID])
  /// Batches may be missing, whatever the registrations.
  case inboxDoubted
  /// The lease holds at least until this tick.
  case leaseHolds(until: Tick)
}
