/// Whole numbers, sizes and durations as people write them, read exactly and without Foundation.
///
/// Each kind reads a text into its base unit (nil where it is not one), and writes a value back in the
/// largest unit that divides it, so that what is printed can be read again.
enum Count {
  static func parse(_ text: some StringProtocol) -> Int? {
    guard !text.isEmpty, text.utf8.count <= 18, text.utf8.allSatisfy({ (0x30...0x39).contains($0) })
    else { return nil }
    return Int(text)
  }
}

/// A number and a unit of a table: `64KiB`, `7d`.
struct Quantity: Sendable {
  /// Rising; the first one is the base unit.
  let units: [(name: String, factor: Int)]
  /// Other names of units that are read and never written.
  var aliases: [String: String] = [:]
  /// Whether a bare number counts base units.
  let takesBareNumbers: Bool

  static let bytes = Quantity(
    units: [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)],
    aliases: ["K": "KiB", "M": "MiB", "G": "GiB"], takesBareNumbers: true)
  static let milliseconds = Quantity(
    units: [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)],
    takesBareNumbers: false)

  func parse(_ text: some StringProtocol) -> Int? {
    let digits = text.prefix { $0.isASCII && $0.isWholeNumber }
    let name = text[digits.endIndex...]
    guard let number = Count.parse(digits) else { return nil }
    if name.isEmpty { return takesBareNumbers || number == 0 ? number : nil }
    guard let unit = units.first(where: { $0.name == aliases[String(name)] ?? String(name) }) else {
      return nil
    }
    let (value, overflow) = number.multipliedReportingOverflow(by: unit.factor)
    return overflow ? nil : value
  }

  func format(_ value: Int) -> String {
    let unit = value == 0 ? units[0] : units.last { value % $0.factor == 0 } ?? units[0]
    return "\(value / unit.factor)\(unit.name)"
  }
}
