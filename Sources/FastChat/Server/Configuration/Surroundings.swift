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

  /// How many files the process may have open, once its soft limit is raised to the hard one.
  public static func descriptorsMax() -> Int { Descriptors.raiseLimit() }
}
