/// What a comparison found, each thing once, as lines for people.
struct Differences {
  /// Lines that are kept; more are only counted.
  static let keptMax = 10_000
  /// Lines that are shown of one partition.
  static let shownMax = 10

  private(set) var lines: [String] = []
  private var known: Set<String> = []
  private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  mutating func add(_ line: String) {
    guard known.count < Self.keptMax else {
      count += 1
      return
    }
    guard known.insert(line).inserted else { return }
    count += 1
    lines.append(line)
  }

  /// What both found: the rest was on its way while one of them looked. Where there is more than is kept, it
  /// stays as it is.
  func confirmed(by other: Differences) -> Differences {
    guard count == lines.count, other.count == other.lines.count else { return other }
    var both = Differences()
    for line in lines where other.known.contains(line) { both.add(line) }
    return both
  }
}
