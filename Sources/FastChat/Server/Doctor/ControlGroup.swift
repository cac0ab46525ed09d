/// A control group (cgroups(7)) that holds the process, and what it bounds.
struct ControlGroup: Sendable, Equatable {
  let path: String
  /// Bytes; nil: no bound.
  var memoryMax: Int?
  /// Bytes, without those that would be given back at once.
  var memoryUsed: Int?
  /// Processors' worth of time, in hundredths; nil: no bound.
  var processorHundredths: Int?

  /// Bytes above which version 1 means "no bound" (it cuts the largest number to whole pages).
  private static let unboundedBytes = 1 << 60
  /// Levels that are looked at, from the process's group upwards.
  static let levelsMax = 16

  init(path: String) { self.path = path }

  /// Of version 2: the texts of `memory.max`, `memory.current`, `memory.stat` and `cpu.max`.
  init(path: String, memoryMax: String?, memoryUsed: String?, statistics: String?, processors: String?) {
    self.path = path
    self.memoryMax = memoryMax.flatMap { Int($0) }.flatMap { $0 < Self.unboundedBytes ? $0 : nil }
    // Pages of files that nobody used lately are given back as soon as somebody wants them.
    self.memoryUsed = memoryUsed.flatMap { Int($0) }.map { max($0 - Self.idleFileBytes(statistics ?? ""), 0) }
    let parts = processors?.split(separator: " ") ?? []
    if parts.count == 2, let quota = Int(parts[0]), let period = Int(parts[1]), quota > 0, period > 0 {
      processorHundredths = quota * 100 / period
    }
  }

  /// `inactive_file 4096` (version 2), `total_inactive_file 4096` (version 1, with the groups below).
  private static func idleFileBytes(_ statistics: String) -> Int {
    for line in statistics.split(separator: "\n") {
      let words = line.split(separator: " ")
      if words.count == 2, words[0] == "inactive_file" || words[0] == "total_inactive_file" {
        return Int(words[1]) ?? 0
      }
    }
    return 0
  }

  var isBounded: Bool { memoryMax != nil || processorHundredths != nil }

  /// Bytes that processes of the group may still take.
  var memoryLeft: Int? { memoryMax.map { max($0 - (memoryUsed ?? 0), 0) } }

  /// The path of a hierarchy in /proc/self/cgroup: that of a version 1 controller, or of version 2 (nil).
  static func path(of controller: String?, in text: String) -> String? {
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      let controllers = parts[1].split(separator: ",").map(String.init)
      let matches = controller.map { controllers.contains($0) } ?? controllers.isEmpty
      if matches { return String(parts[2]) }
    }
    return nil
  }

  /// A path and all above it, the root last: `/a/b`, `/a`, `/`.
  static func levels(_ path: String) -> [String] {
    var parts = path.split(separator: "/")
    var levels: [String] = []
    while !parts.isEmpty, levels.count < levelsMax {
      levels.append("/" + parts.joined(separator: "/"))
      parts.removeLast()
    }
    return levels + ["/"]
  }
}
