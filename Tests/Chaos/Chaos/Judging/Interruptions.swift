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
  private var current = 0
  private var hitDevices: Set<Int> = []
  /// A fault of what all instances share.
  private var hitsAll = false

  public init() { rows = [Row(fault: Self.calm, times: 1)] }

  /// From now on what is measured is this fault's, until the next one begins.
  mutating func begin(_ fault: String, hitsAll: Bool) {
    if let known = rows.firstIndex(where: { $0.fault == fault }) {
      current = known
    } else {
      current = rows.count
      rows.append(Row(fault: fault))
    }
    rows[current].times += 1
    hitDevices = []
    self.hitsAll = hitsAll
  }

  mutating func hit(_ device: Int) { hitDevices.insert(device) }

  /// - Parameter story: what waited, for people.
  mutating func add(
    _ measure: Measure, milliseconds: Int, devices: [Int], story: @autoclosure () -> String = ""
  ) {
    let isHit = hitsAll || devices.contains { hitDevices.contains($0) }
    let before = rows[current].longest[measure]?[isHit] ?? 0
    guard milliseconds > before else { return }
    rows[current].longest[measure, default: [:]][isHit] = milliseconds
    rows[current].stories[measure, default: [:]][isHit] = story()
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
