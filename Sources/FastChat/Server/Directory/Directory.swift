import Chat
import Synchronization

/// Which session a device has now, over all shards of this server: the embedded directory of DESIGN
/// section 7, in memory, since a single server outlives none of its sessions.
///
/// The order of attaching decides which session of a device is newer. Answers at once, so an attaching
/// session is registered before its view is read (DESIGN section 5, "Two orders").
final class Directory: Sendable {
  /// This directory's id: another one with each start.
  let id: UInt64
  private let sessions = Mutex<[DeviceKey: SessionID]>([:])

  init(id: UInt64) { self.id = id }

  /// Makes `session` the one of `device`. Returns the session that it replaces.
  func attach(_ session: SessionID, as device: DeviceKey) -> SessionID? {
    sessions.withLock { $0.updateValue(session, forKey: device) }
  }

  /// Takes `session` out, unless a newer one took its place.
  func detach(_ session: SessionID, of device: DeviceKey) {
    sessions.withLock {
      if $0[device] == session { $0.removeValue(forKey: device) }
    }
  }

  var count: Int { sessions.withLock { $0.count } }
}

/// A user's device, as 128 bits of a hash under this process's random key: two names are 128 bytes, a
/// million of them too many to keep, and a clash of two among a million has odds of 1 in 10^26.
struct DeviceKey: Hashable, Sendable {
  private let low: UInt64
  private let high: UInt64

  init(user: UnsafeRawBufferPointer, device: UnsafeRawBufferPointer) {
    low = DeviceKey.hash(1, user, device)
    high = DeviceKey.hash(2, user, device)
  }

  private static func hash(
    _ half: UInt8, _ user: UnsafeRawBufferPointer, _ device: UnsafeRawBufferPointer
  ) -> UInt64 {
    var hasher = Hasher()
    hasher.combine(half)
    hasher.combine(user.count)
    hasher.combine(bytes: user)
    hasher.combine(bytes: device)
    return UInt64(bitPattern: Int64(hasher.finalize()))
  }

  func hash(into hasher: inout Hasher) { hasher.combine(low) }
}
