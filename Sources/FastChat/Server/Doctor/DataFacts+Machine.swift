import Glibc

extension DataFacts {
  private static let ownFiles = ["lock", "fastchat.db", "fastchat.db-wal", "fastchat.db-shm"]

  /// Looks at a data directory, or at the one that it would be made in, and times the disk there.
  static func gather(_ path: String) -> DataFacts {
    var data = DataFacts()
    data.user = geteuid()
    let parent = directory(holding: path)
    var status = stat()
    var at: String?
    if stat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFDIR else {
        data.state = .notDirectory
        return data
      }
      let isWritable = access(path, R_OK | W_OK | X_OK) == 0
      data.state = .present(owner: status.st_uid, mode: status.st_mode & 0o7777, isWritable: isWritable)
      data.unwritableFiles = ownFiles.filter { file in
        access(path + "/" + file, R_OK | W_OK) != 0 && errno != ENOENT
      }
      data.holder = holder(path + "/lock")
      at = path
    } else if errno == ENOENT {
      let isThere = stat(parent, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
      data.state = .absent(parentIsWritable: isThere ? access(parent, W_OK | X_OK) == 0 : nil)
      at = isThere ? parent : nil
    } else {
      data.state = .unreachable(errno: errno)
    }
    guard let at else { return data }
    data.realPath = resolved(at)
    data.space = space(at)
    if access(at, W_OK | X_OK) == 0 { data.sync = SyncProbe.run(in: at) }
    return data
  }

  /// `/srv/x` for `/srv/x/y/`, `.` for `y`, `/` for `/x`.
  static func directory(holding path: String) -> String {
    var text = path[...]
    while text.count > 1, text.last == "/" { text.removeLast() }
    guard let slash = text.lastIndex(of: "/") else { return "." }
    return slash == text.startIndex ? "/" : String(text[..<slash])
  }

  private static func resolved(_ path: String) -> String? {
    guard let text = realpath(path, nil) else { return nil }
    defer { free(text) }
    return String(cString: text)
  }

  private static func space(_ path: String) -> Space? {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { return nil }
    let (bytes, overflow) = Int(clamping: status.f_bavail).multipliedReportingOverflow(
      by: Int(clamping: status.f_frsize))
    return Space(
      freeBytes: overflow ? .max : bytes,
      freeInodes: status.f_files == 0 ? nil : Int(clamping: status.f_favail),
      isReadOnly: status.f_flag & 1 != 0)
  }

  private static func holder(_ lock: String) -> Int32? {
    var status = stat()
    guard stat(lock, &status) == 0, let text = Facts.text("/proc/locks") else { return nil }
    let device = UInt64(status.st_dev)
    // How glibc packs the two numbers (makedev(3)).
    let major = UInt32(truncatingIfNeeded: device >> 8 & 0xFFF | device >> 32 & ~0xFFF)
    let minor = UInt32(truncatingIfNeeded: device & 0xFF | device >> 12 & ~0xFF)
    return FileLock.holder(in: text, major: major, minor: minor, inode: UInt64(status.st_ino))
  }
}
