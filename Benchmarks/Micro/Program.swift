/// The micro benchmarks: pieces of the server, each beside the least C for the same work.
///
/// `fastchat-bench [--json] [words]` runs those whose name contains one of the words.
@main
enum Program {
  static func main() throws {
    var words = Array(CommandLine.arguments.dropFirst())
    let isJSON = words.contains("--json")
    words.removeAll { $0 == "--json" }
    let all = FrameBenchmarks.all() + TextBenchmarks.all() + ChatBenchmarks.all()
    let chosen = all.filter { candidate in words.isEmpty || words.contains { candidate.name.contains($0) } }
    if !isJSON { print("\(padded("", 42))      ns    floor    ratio   floor is") }
    var objects: [String] = []
    for candidate in chosen {
      let figure = try candidate.make().measure()
      if isJSON {
        objects.append(
          "{\"name\":\"\(figure.name)\",\"floor_name\":\"\(figure.floorName)\",\"ns\":\(figure.ours),"
            + "\"floor_ns\":\(figure.floor),\"ratio\":\(figure.ratio)}")
      } else {
        print(
          padded(figure.name, 42), number(figure.ours), number(figure.floor), number(figure.ratio), "",
          figure.floorName)
      }
    }
    if isJSON { print("[\(objects.joined(separator: ",\n"))]") }
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.utf8.count))
  }

  /// Three significant digits or more, in eight columns.
  private static func number(_ value: Double) -> String {
    let scale = value < 10 ? 100.0 : value < 100 ? 10.0 : 1.0
    let rounded = (value * scale).rounded() / scale
    let text = scale == 1 ? "\(Int(rounded))" : "\(rounded)"
    return String(repeating: " ", count: max(0, 8 - text.utf8.count)) + text
  }
}
