import Glibc

/// The directory that a store lives in, and the lock that keeps a second server out of it.
///
/// ```
/// <data>/lock          held with flock while a server runs; holds its process id
/// <data>/fastchat.db   the store, and beside it SQLite's -wal and -shm
/// ```
final class DataDirectory {
  private let lock: Int32

  static func databasePath(_ directory: String) -> String { directory + "/fastchat.db" }

  /// Makes the directory, for its owner only, if it is absent (its parent is there), and locks it.
  init(_ directory: String) throws(StoreError) {
    if mkdir(directory, 0o700) == 0 {
      Self.sync(directory + "/..")
    } else if errno != EEXIST {
      throw Self.unwritable("cannot make the data directory \(directory)")
    }
    lock = open(directory + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard lock >= 0 else { throw Self.unwritable("cannot write in the data directory \(directory)") }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      let cause = errno
      let holder = Self.holder(lock)
      close(lock)
      guard cause == EWOULDBLOCK else {
        errno = cause
        throw Self.unwritable("cannot lock the data directory \(directory)")
      }
      let who = holder.map { " (process \($0))" } ?? ""
      throw StoreError(
        .inUse(pid: holder), "the data directory \(directory) is in use by another server\(who)")
    }
    writeHolder()
  }

  deinit { close(lock) }

  /// Writes the directory's entries to the disk, so that a file made in it is still there after a power cut.
  static func sync(_ directory: String) {
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }

  /// For people who ask who holds the lock; nothing depends on it, so that a full disk does not matter.
  private func writeHolder() {
    let text = "\(getpid())\n"
    guard ftruncate(lock, 0) == 0 else { return }
    _ = text.withCString { pwrite(lock, $0, text.utf8.count, 0) }
  }

  private static func holder(_ lock: Int32) -> Int32? {
    var text = [UInt8](repeating: 0, count: 16)
    let count = pread(lock, &text, text.count, 0)
    guard count > 1 else { return nil }
    return Int32(String(decoding: text[..<(count - 1)], as: UTF8.self))
  }

  private static func unwritable(_ what: String) -> StoreError {
    StoreError(.unwritable, "\(what): \(String(cString: strerror(errno)))")
  }
}
