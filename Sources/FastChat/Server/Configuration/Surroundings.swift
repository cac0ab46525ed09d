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

  /// What this host calls itself; empty where it does not say.
  static func hostName() -> String {
    var bytes = [CChar](repeating: 0, count: Int(HOST_NAME_MAX) + 1)
    guard gethostname(&bytes, bytes.count - 1) == 0 else { return "" }
    return String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// How many files the process may have open, once its soft limit is raised to the hard one.
  public static func descriptorsMax() -> Int { Descriptors.raiseLimit() }
}
