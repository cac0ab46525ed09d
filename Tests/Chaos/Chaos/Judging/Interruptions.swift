/// The longest times that users waited, by kind of fault, apart for those whose instance was hit.
public struct Interruptions: Sendable {
  public enum Measure: Int, CaseIterable, Sendable {
    /// From a device's first sending to its ack.
    case acknowledgement
    /// From one device's first sending to another's being handed it, or from when that one wanted to be there.
    case delivery
  }

  public struct Row: Sendable {
    public let fault: String
    public var times = 0
    /// Milliseconds; nil where nothing was measured.
    public var longest: [Measure: [Bool: Int]] = [:]
    /// Which wait that was.
    public var stories: [Measure: [Bool: String]] = [:]

    public func longest(_ measure: Measure, ofHit isHit: Bool) -> Int? { longest[measure]?[isHit] }
  }

  /// What it is called while nothing is wrong.
  public static let calm = "none"

  public private(set) var rows: [Row] = []

  /// One time that a fault, or the calm between two, was on.
  private struct Occurrence {
    let row: Int
    let start: Int
    /// A fault of what all instances share.
    let hitsAll: Bool
    var hitDevices: Set<Int> = []
  }

  private var occurrences: [Occurrence]

  public init() {
    rows = [Row(fault: Self.calm, times: 1)]
    occurrences = [Occurrence(row: 0, start: 0, hitsAll: false)]
  }

  /// A fault begins, and the one before it has ended.
  mutating func begin(_ fault: String, hitsAll: Bool, at now: Int) {
    let row: Int
    if let known = rows.firstIndex(where: { $0.fault == fault }) {
      row = known
    } else {
      row = rows.count
      rows.append(Row(fault: fault))
    }
    rows[row].times += 1
    occurrences.append(Occurrence(row: row, start: now, hitsAll: hitsAll))
  }

  mutating func hit(_ device: Int) { occurrences[occurrences.count - 1].hitDevices.insert(device) }

  /// A wait belongs to the last fault that was on while it lasted.
  /// - Parameter story: what waited, for people.
  mutating func add(
    _ measure: Measure, from begin: Int, to now: Int, devices: [Int], story: @autoclosure () -> String = ""
  ) {
    var place = occurrences.count - 1
    while occurrences[place].row == 0, place > 0, occurrences[place].start > begin { place -= 1 }
    let isHit = occurrences[place].hitsAll || devices.contains { occurrences[place].hitDevices.contains($0) }
    let row = occurrences[place].row
    guard now - begin > rows[row].longest[measure]?[isHit] ?? -1 else { return }
    rows[row].longest[measure, default: [:]][isHit] = now - begin
    rows[row].stories[measure, default: [:]][isHit] = story()
  }

  /// Of each longest wait above a bound, what it was that waited.
  public func stories(above milliseconds: Int) -> [String] {
    rows.flatMap { row in
      Measure.allCases.flatMap { measure in
        [true, false].compactMap { isHit in
          guard let longest = row.longest(measure, ofHit: isHit), longest > milliseconds else { return nil }
          let word = measure == .delivery ? "delivery" : "ack"
          return "\(row.fault): \(word) after \(longest) ms\(isHit ? " (hit)" : ""): "
            + (row.stories[measure]?[isHit] ?? "")
        }
      }
    }
  }

  /// The table, widths fitted to a terminal.
  public var table: String {
    func cell(_ value: Int?) -> String {
      guard let value else { return "-" }
      let hundredths = value % 1_000 / 10
      return "\(value / 1_000).\(hundredths < 10 ? "0" : "")\(hundredths) s"
    }
    func padded(_ text: String, _ width: Int) -> String {
      text + String(repeating: " ", count: max(0, width - text.count))
    }
    var lines = [
      padded("longest wait during", 30) + padded("times", 7) + padded("ack: hit", 11) + padded("others", 11)
        + padded("delivery: hit", 15) + "others"
    ]
    for row in rows {
      lines.append(
        padded(row.fault, 30) + padded("\(row.times)", 7)
          + padded(cell(row.longest(.acknowledgement, ofHit: true)), 11)
          + padded(cell(row.longest(.acknowledgement, ofHit: false)), 11)
          + padded(cell(row.longest(.delivery, ofHit: true)), 15)
          + cell(row.longest(.delivery, ofHit: false)))
    }
    return lines.joined(separator: "\n")
  }
}
