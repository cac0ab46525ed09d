import CLinuxIO
import Glibc

/// Times a disk as the store uses it: appends, each kept before the next.
enum SyncProbe {
  private static let appends = 50
  private static let appendBytes = 4_096
  /// A slow disk is known by fewer.
  private static let nanosecondsMax: UInt64 = 5_000_000_000

  /// Writes in a file without a name, which is gone however the process ends.
  static func run(in directory: String) -> DataFacts.Sync {
    let descriptor = openFile(in: directory)
    guard descriptor >= 0 else { return .failed(errno: errno) }
    defer { close(descriptor) }
    let bytes = [UInt8](repeating: 0x66, count: appendBytes)
    var times: [UInt64] = []
    let start = Clock.nanoseconds()
    while times.count < appends, Clock.nanoseconds() - start < nanosecondsMax {
      let before = Clock.nanoseconds()
      errno = ENOSPC
      guard write(descriptor, bytes, bytes.count) == bytes.count, fdatasync(descriptor) == 0 else {
        return .failed(errno: errno)
      }
      times.append(Clock.nanoseconds() - before)
    }
    times.sort()
    return .times(
      DataFacts.SyncTimes(
        count: times.count, medianNanoseconds: times[times.count / 2], maxNanoseconds: times[times.count - 1])
    )
  }

  private static func openFile(in directory: String) -> Int32 {
    let unnamed = linuxio_open_unnamed(directory)
    if unnamed >= 0 { return unnamed }
    // Some file systems have no such files: one whose name goes at once, with no signal in between.
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    let path = directory + "/.fastchat-doctor-\(getpid())"
    let named = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    if named >= 0 { unlink(path) }
    return named
  }
}
