import Glibc

/// Keeps the state in a file. It is written beside and renamed over the old one, so that there is always one
/// that is whole; a lock on a file beside it keeps a second client out.
public final class FileStorage: ClientStorage {
  private let path: String
  private let isDurable: Bool
  private let lock: Int32

  /// The largest file that is read, in bytes: no state of ours is near it.
  private static let bytesMax = 256 << 20

  /// - Parameters:
  ///   - path: of the file; its directory must exist.
  ///   - isDurable: wait for the disk at each save, so that a power cut takes nothing back. Without it only a
  ///     crash of the machine can.
  /// - Throws: `storage` where the directory cannot be written, or another client uses the file.
  public init(path: String, isDurable: Bool = false) throws(ClientError) {
    self.path = path
    self.isDurable = isDurable
    lock = open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard lock >= 0 else { throw Self.failure("cannot be written", path) }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      let isTaken = errno == EWOULDBLOCK
      let error = Self.failure("cannot be locked", path)
      close(lock)
      guard isTaken else { throw error }
      throw ClientError(
        .storage, "another client uses \(path)", advice: "give each client a file and a device of its own")
    }
  }

  deinit { close(lock) }

  public func load() throws(ClientError) -> [UInt8]? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else {
      if errno == ENOENT { return nil }
      throw Self.failure("cannot be read", path)
    }
    defer { close(file) }
    var bytes: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(file, &room, room.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0, bytes.count + count <= Self.bytesMax else {
        throw Self.failure("cannot be read", path)
      }
      if count == 0 { return bytes }
      bytes += room[..<count]
    }
  }

  public func save(_ state: [UInt8]) throws(ClientError) {
    let beside = path + ".new"
    let file = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw Self.failure("cannot be written", path) }
    guard Self.write(state, to: file), !isDurable || fsync(file) == 0 else {
      let error = Self.failure("cannot be written", path)
      close(file)
      unlink(beside)
      throw error
    }
    // Some file systems tell that they are full only here.
    guard close(file) == 0, rename(beside, path) == 0 else {
      let error = Self.failure("cannot be written", path)
      unlink(beside)
      throw error
    }
    if isDurable { try syncDirectory() }
  }

  private static func write(_ state: [UInt8], to file: Int32) -> Bool {
    var written = 0
    while written < state.count {
      let count = state.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + written, $0.count - written) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return false }
      written += count
    }
    return true
  }

  /// The new name is on the disk too.
  private func syncDirectory() throws(ClientError) {
    let end = path.lastIndex(of: "/")
    let directory = end.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Self.failure("cannot be synced", path) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw Self.failure("cannot be synced", path) }
  }

  private static func failure(_ what: String, _ path: String) -> ClientError {
    let code = errno
    let advice =
      switch code {
      case ENOSPC, EDQUOT: "free some space: until then unsent messages are kept in memory only"
      case EACCES, EPERM, EROFS: "choose a file that this user may write"
      case ENOENT, ENOTDIR: "make its directory first"
      default: "choose another file"
      }
    return ClientError(.storage, "\(path) \(what): \(String(cString: strerror(code)))", advice: advice)
  }
}
