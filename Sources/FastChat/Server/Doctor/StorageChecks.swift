import Glibc

/// The data directory, the disk under it, and how long that takes to keep what it is told.
enum StorageChecks {
  /// Bytes of SQLite's log that stay (`journal_size_limit`), and what should be free beside it.
  private static let logBytes = 64 << 20
  private static let comfortableBytes = 1 << 30
  /// Files of a store: the database, its log, its index, the lock.
  private static let files = 4
  /// Nanoseconds: an acknowledgement waits for the one at least; nobody should meet the other.
  private static let medianMax: UInt64 = 10_000_000
  private static let maxMax: UInt64 = 1_000_000_000
  /// Nanoseconds below which a disk has hardly been asked.
  private static let medianMin: UInt64 = 15_000

  static func directory(_ facts: Facts, _ plan: Plan) -> Finding {
    let path = Printable.short(plan.configuration.dataDirectory)
    let word = Shell.word(plan.configuration.dataDirectory)
    let data = facts.data
    switch data.state {
    case .present(let owner, let mode, let isWritable):
      return present(path, word, data, owner: owner, mode: mode, isWritable: isWritable)
    case .absent(true?): return .fine("data", "\(path) is not there yet and can be made")
    case .absent(false?):
      return .broken(
        "data", "\(path) is not there, and this user may not make it",
        "install -d -m 700 -o \(data.user) \(word), as root",
        "or StateDirectory=fastchat in the unit's [Service]",
        "or --data DIRECTORY")
    case .absent(nil):
      return .broken(
        "data", "\(path) is not there, nor the directory that it would be made in",
        "install -d -m 700 \(word)",
        "or --data DIRECTORY")
    case .notDirectory: return .broken("data", "\(path) is no directory", "--data DIRECTORY")
    case .unreachable(let code):
      return .broken("data", "\(path): \(String(cString: strerror(code)))", "--data DIRECTORY")
    }
  }

  private static func present(
    _ path: String, _ word: String, _ data: DataFacts, owner: UInt32, mode: UInt32, isWritable: Bool
  ) -> Finding {
    let bits = String(mode & 0o7777, radix: 8)
    let found = "\(path), owner \(owner), mode \(bits)"
    if !isWritable {
      return .broken(
        "data", "\(found): user \(data.user) may not write there", "chown -R \(data.user) \(word), as root",
        "or run the server as user \(owner)", "or --data DIRECTORY")
    }
    if let file = data.unwritableFiles.first {
      return .broken(
        "data", "\(found): user \(data.user) may not write \(file) in it",
        "chown -R \(data.user) \(word), as root")
    }
    if let holder = data.holder {
      let who = holder > 0 ? "process \(holder)" : "a process that is not visible here"
      return .broken(
        "data", "\(found): in use by another server (\(who))", "end that server first", "or --data DIRECTORY")
    }
    if mode & 0o077 != 0 {
      return .change("data", "\(found): others may look into it", "chmod 700 \(word)")
    }
    return .fine("data", found)
  }

  static func fileSystem(_ facts: Facts, _ plan: Plan) -> Finding {
    guard let path = facts.data.realPath, let text = facts.texts[Path.mounts],
      let mount = Mount.holding(path, in: text)
    else { return .fine("file system", "the kernel does not tell which") }
    let found = "\(Printable.short(mount.kind)) at \(Printable.short(mount.point))"
    let elsewhere = "--data on a local disk with ext4 or xfs"
    if facts.data.space?.isReadOnly == true || mount.options.contains("ro") {
      return .broken(
        "file system", "\(found), mounted to be read only",
        "mount -o remount,rw \(Shell.word(mount.point))",
        "or \(elsewhere)")
    }
    if mount.isMemory {
      return .change(
        "file system", "\(found) is memory: what was acknowledged is gone with the machine's next start",
        elsewhere)
    }
    if mount.isNetwork {
      return .change(
        "file system", "\(found) is on a network: locks and the log's shared memory do not hold there",
        elsewhere)
    }
    if mount.isLayered {
      return .change(
        "file system", "\(found) belongs to a container, and goes with it",
        "mount a volume there: -v fastchat:\(Shell.word(path)) in Docker", "or \(elsewhere)")
    }
    if mount.passesBarriersOver {
      return .change(
        "file system", "\(found) does not make the disk write: a power cut loses what was acknowledged",
        "mount -o remount,barrier=1 \(Shell.word(mount.point))")
    }
    return .fine("file system", found)
  }

  static func space(_ facts: Facts, _ plan: Plan) -> Finding {
    guard let space = facts.data.space else { return .fine("disk space", "not known") }
    let inodes = space.freeInodes.map { "\($0) inodes" } ?? "inodes as needed"
    let found = "\(Amount.bytes(space.freeBytes)) and \(inodes) free"
    let log = Amount.bytes(logBytes)
    let free = "make room (df -h, du -x), or --data on another disk"
    if let inodes = space.freeInodes, inodes < files {
      return .broken(
        "disk space", "\(found): a store is \(files) files", "delete files (df -i), or --data on another disk"
      )
    }
    if space.freeBytes < logBytes {
      return .broken("disk space", "\(found): the write-ahead log alone takes \(log)", free)
    }
    if space.freeBytes < comfortableBytes {
      return .change("disk space", "\(found), of which the write-ahead log takes \(log)", free)
    }
    return .fine("disk space", "\(found), of which the write-ahead log takes \(log)")
  }

  static func sync(_ facts: Facts, _ plan: Plan) -> Finding {
    switch facts.data.sync {
    case .notTried: return .fine("fsync", "not tried: no directory to write in")
    case .failed(let code):
      return .broken(
        "fsync", "a file of 4 KiB blocks could not be written: \(String(cString: strerror(code)))",
        "make the disk writable, or --data on another one")
    case .times(let times):
      let found =
        "\(times.count) appends of 4 KiB: median \(Amount.milliseconds(nanoseconds: times.medianNanoseconds)), "
        + "longest \(Amount.milliseconds(nanoseconds: times.maxNanoseconds))"
      if times.medianNanoseconds > medianMax {
        return .change(
          "fsync", "\(found); each acknowledgement waits that long",
          "--data on an SSD, best with power-loss protection")
      }
      if times.maxNanoseconds > maxMax {
        return .change(
          "fsync", "\(found); something else keeps the disk busy", "look for it with iostat -x 1 and iotop",
          "or --data on a disk of its own")
      }
      if times.medianNanoseconds < medianMin {
        return .fine(
          "fsync", found,
          advice: ["so fast is memory, or a disk that does not keep what it says it kept: find out which"])
      }
      return .fine("fsync", found)
    }
  }
}
