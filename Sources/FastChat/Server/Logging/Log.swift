import Glibc
import Synchronization

/// The server's log: one line for each event on standard error, `key=value`, never a secret.
///
/// For cold paths: a line costs a lock and a write. It never waits, though: a line that standard error does
/// not take at once is counted and dropped, and a flood of one event is counted instead of written.
///
///     Log.info("listening", ["address": "\(address)"])
public enum Log {
  public enum Level: UInt8, CaseIterable, Sendable, Comparable {
    case debug, info, warning, error

    public var name: String {
      switch self {
      case .debug: "debug"
      case .info: "info"
      case .warning: "warning"
      case .error: "error"
      }
    }

    public static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
  }

  public typealias Fields = KeyValuePairs<StaticString, String>

  private static let lowest = Atomic<UInt8>(Level.info.rawValue)
  private static let gate = Mutex(FloodGate())

  /// The least important lines that are written; `info` until it is set.
  public static var level: Level {
    get { Level(rawValue: lowest.load(ordering: .relaxed)) ?? .info }
    set { lowest.store(newValue.rawValue, ordering: .relaxed) }
  }

  public static func debug(_ event: StaticString, _ fields: @autoclosure () -> Fields = [:]) {
    if level <= .debug { write(.debug, event, fields()) }
  }

  public static func info(_ event: StaticString, _ fields: @autoclosure () -> Fields = [:]) {
    if level <= .info { write(.info, event, fields()) }
  }

  public static func warning(_ event: StaticString, _ fields: @autoclosure () -> Fields = [:]) {
    if level <= .warning { write(.warning, event, fields()) }
  }

  public static func error(_ event: StaticString, _ fields: @autoclosure () -> Fields = [:]) {
    write(.error, event, fields())
  }

  private static func write(_ level: Level, _ event: StaticString, _ fields: Fields) {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let line = LogLine(
      time: now, level: level, event: event.description, fields: fields.map { ("\($0)", $1) })
    gate.withLock { gate in
      for (event, count) in gate.endedFloods(at: now.tv_sec) {
        let repeats = LogLine(
          time: now, level: .warning, event: "lines left out", fields: [("of", event), ("count", "\(count)")])
        if !put(repeats.text) { gate.lost += 1 }
      }
      guard gate.admits(line.event, at: now.tv_sec) else { return }
      if gate.lost > 0 {
        let lost = LogLine(
          time: now, level: .warning, event: "lines lost", fields: [("count", "\(gate.lost)")])
        if put(lost.text) { gate.lost = 0 }
      }
      if !put(line.text) { gate.lost += 1 }
    }
  }

  /// Writes a line if the descriptor takes it now. A pipe that is ready takes 4 KiB, more than a line has.
  static func put(_ text: String, to descriptor: Int32 = STDERR_FILENO) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    guard poll(&entry, 1, 0) == 1, entry.revents & Int16(POLLOUT) != 0 else { return false }
    var text = text
    return text.withUTF8 { Glibc.write(descriptor, $0.baseAddress, $0.count) == $0.count }
  }
}

/// How often lines of one event may be written.
struct FloodGate {
  /// Lines of one event that are written in a window, and the window's seconds.
  static let linesMax = 10
  static let windowSeconds = 10
  /// Events that are told apart at a time; further ones share the last row.
  static let eventsMax = 256

  private struct Row {
    var windowStart: Int
    var lines = 0
    var suppressed = 0
  }
  private var rows: [String: Row] = [:]
  /// Lines that standard error did not take.
  var lost = 0

  /// Whether one more line of `event` may be written at `now`, in seconds.
  mutating func admits(_ event: String, at now: Int) -> Bool {
    let key = rows[event] != nil || rows.count < Self.eventsMax ? event : "..."
    var row = rows[key] ?? Row(windowStart: now)
    defer { rows[key] = row }
    if hasEnded(row, now), row.suppressed == 0 { row = Row(windowStart: now) }
    guard row.lines < Self.linesMax else {
      row.suppressed += 1
      return false
    }
    row.lines += 1
    return true
  }

  /// The events whose windows are over and how many lines they left out; they begin anew.
  mutating func endedFloods(at now: Int) -> [(event: String, count: Int)] {
    let ended = rows.filter { hasEnded($0.value, now) && $0.value.suppressed > 0 }
    for event in ended.keys { rows[event] = nil }
    return ended.map { ($0.key, $0.value.suppressed) }.sorted { $0.0 < $1.0 }
  }

  /// A clock that was set back ends a window too.
  private func hasEnded(_ row: Row, _ now: Int) -> Bool {
    now < row.windowStart || now - row.windowStart >= Self.windowSeconds
  }
}
