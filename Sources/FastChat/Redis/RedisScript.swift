/// The scripts, in the folder `Scripts`; each touches one slot, and does what it does in one step.
public enum RedisScript: UInt8, CaseIterable, Sendable {
  // Of an owner.
  case apply, readView, beginRebuild, restore, restoreEvents, restoreReads
  // Of an edge.
  case query, raiseRead
  // Of the directory.
  case takeLease, renewLease, dropLease, readLeases
  case registerSessions, removeSessions, removeRoom
  // Of an operator.
  case holdView, removeKeys, moveView

  /// The Lua source, for `SCRIPT LOAD`.
  public var source: [UInt8] {
    switch self {
    case .apply: PackageResources.apply_lua
    case .readView: PackageResources.read_view_lua
    case .beginRebuild: PackageResources.begin_rebuild_lua
    case .restore: PackageResources.restore_lua
    case .restoreReads: PackageResources.restore_reads_lua
    case .query: PackageResources.query_lua
    case .raiseRead: PackageResources.raise_read_lua
    case .takeLease: PackageResources.take_lease_lua
    case .renewLease: PackageResources.renew_lease_lua
    case .dropLease: PackageResources.drop_lease_lua
    case .readLeases: PackageResources.read_leases_lua
    case .registerSessions: PackageResources.register_sessions_lua
    case .removeSessions: PackageResources.remove_sessions_lua
    case .removeRoom: PackageResources.remove_room_lua
    case .holdView: PackageResources.hold_view_lua
    case .removeKeys: PackageResources.remove_keys_lua
    case .moveView: PackageResources.move_view_lua
    case .restoreEvents: PackageResources.restore_events_lua
    }
  }
}
