/// The last lines of a run, for whoever looks for the cause of a failure. A run that fails is made again
/// with this on: a seed gives the same run each time, so nobody pays for it before.
public final class Trace {
  public static let linesMax = 400

  private let capacity: Int
  private var lines: [String] = []
  private var start = 0

  public init(capacity: Int) { self.capacity = capacity }

  public var isOn: Bool { capacity > 0 }

  public func append(_ line: String) {
    if lines.count < capacity {
      lines.append(line)
    } else {
      lines[start] = line
      start = (start + 1) % capacity
    }
  }

  /// Oldest first.
  public var all: [String] { Array(lines[start...] + lines[..<start]) }
}
