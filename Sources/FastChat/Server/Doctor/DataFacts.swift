/// What is known of the data directory and of the disk under it.
struct DataFacts: Sendable {
  enum State: Sendable, Equatable {
    /// A directory. `mode`: its permission bits.
    case present(owner: UInt32, mode: UInt32, isWritable: Bool)
    /// Not there. Nil: neither is the directory that it would be made in.
    case absent(parentIsWritable: Bool?)
    case notDirectory
    case unreachable(errno: Int32)
  }

  /// What the disk has left.
  struct Space: Sendable, Equatable {
    var freeBytes: Int
    /// Nil where the file system does not count them.
    var freeInodes: Int?
    var isReadOnly = false
  }

  /// How long the disk took for each write that it was told to keep.
  struct SyncTimes: Sendable, Equatable {
    var count: Int
    var medianNanoseconds: UInt64
    var maxNanoseconds: UInt64
  }

  enum Sync: Sendable, Equatable {
    case times(SyncTimes)
    case failed(errno: Int32)
    /// No directory to write in.
    case notTried
  }

  var state = State.absent(parentIsWritable: true)
  /// The directory, or the one that it would be made in, links resolved; nil where there is none.
  var realPath: String?
  /// The user that asks.
  var user: UInt32 = 0
  /// Of the store's own files those that this user may not write.
  var unwritableFiles: [String] = []
  /// Another server that has the directory; 0: one whose process id is not visible from here.
  var holder: Int32?
  var space: Space?
  var sync = Sync.notTried
}

/// A line of /proc/locks: `1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF`.
enum FileLock {
  /// The process that holds a flock on the file of that device and inode; 0 where it is not visible.
  static func holder(in text: String, major: UInt32, minor: UInt32, inode: UInt64) -> Int32? {
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count >= 6, words[1] == "FLOCK" else { continue }
      let parts = words[5].split(separator: ":")
      guard parts.count == 3, UInt32(parts[0], radix: 16) == major, UInt32(parts[1], radix: 16) == minor,
        UInt64(parts[2]) == inode
      else { continue }
      return max(Int32(words[4]) ?? 0, 0)
    }
    return nil
  }
}
