import Glibc

/// How many files, sockets among them, the process may open.
enum Descriptors {
  /// Raises the soft limit to the hard one (RLIMIT_NOFILE) and returns what holds then.
  static func raiseLimit() -> Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1_024 }
    let soft = limit.rlim_cur
    limit.rlim_cur = limit.rlim_max
    if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) != 0 { limit.rlim_cur = soft }
    return Int(clamping: limit.rlim_cur)
  }
}
