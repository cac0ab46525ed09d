/// What a registrar wants done; the answers come back under the same tag. Performed in order, all of them
/// before the next input.
public enum RegistrarAction {
  // To the directory; answered by `leaseAnswered`, `sessionsRegistered`, `roomsRegistered`, `done`,
  // `directoriesRead`.
  /// Take the lease where nobody holds it, or where its holder is `replacing`; enters the server in the set
  /// of all first. `.held` where it is this epoch's already, which renews it too.
  case takeLease(tag: UInt64, LeaseHolder, replacing: LeaseHolder?)
  /// Let it hold for `Limits.leaseMilliseconds` from now, where it is this epoch's.
  case renewLease(tag: UInt64, Epoch)
  /// Give it up, where it is this epoch's.
  case dropLease(Epoch)
  /// At most `Registrar.entriesAtOnce`.
  case registerSessions(tag: UInt64, Epoch, [SessionEntry])
  case removeSessions(tag: UInt64, Epoch, [SessionEntry])
  /// Rooms of the whole log; each goes to its partition's slot.
  case registerRooms(tag: UInt64, Epoch, [[UInt8]])
  /// Where the entry is this server's and epoch's.
  case removeRooms(tag: UInt64, Epoch, [[UInt8]])
  case readDirectories(tag: UInt64)

  // To the brokers; answered by `inboxAnswered`.
  /// Make the inbox topic of the epoch and wait for it, or find out whether it still stands.
  case makeInbox(tag: UInt64, Epoch)
  case checkInbox(tag: UInt64, Epoch)
  /// Read the inbox of this epoch from its beginning, and no other any more.
  case readInbox(Epoch)

  // To others.
  case tell(shard: Int, ShardWord)
  /// Through the inbox of that server: end this session, it was replaced.
  case tellReplaced(ReplacedSession)
  /// The server id is in use by a living server: this one may not go on.
  case refuseStart(LeaseHolder)
}

public enum LeaseAnswer: Sendable, Equatable {
  /// It is this epoch's, and holds for `Limits.leaseMilliseconds` since the request was made.
  case held
  /// There is no lease.
  case absent
  /// Somebody else's.
  case other(LeaseHolder)
  case unknown
}
