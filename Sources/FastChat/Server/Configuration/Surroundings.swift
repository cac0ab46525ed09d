import Glibc

/// What the process was born into.
public enum Surroundings {
  /// Names and values of the environment.
  public static func environment() -> [(name: String, value: String)] {
    var result: [(name: String, value: String)] = []
    var i = 0
    while let entry = environ[i] {
      let text = String(cString: entry)
      if let equals = text.firstIndex(of: "=") {
        result.append((String(text[..<equals]), String(text[text.index(after: equals)...])))
      }
      i += 1
    }
    return result
  }

  /// How many files the process may have open: the soft limit is raised to the hard one first.
  public static func descriptorsMax() -> Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1_024 }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    return Int(clamping: limit.rlim_max)
  }
}
