/// Which seq a partition had reached so and so long ago, by the log's own time: what the view keeps for a
/// span may go below it.
struct LogMarks: ~Copyable {
  private struct Mark: BitwiseCopyable {
    var seq: Seq
    var appended: WallTime
  }

  /// Milliseconds of log time from one mark to the next.
  private static let distance: WallTime = 1_000

  private let span: WallTime
  private var marks = Queue<Mark>()
  private var newest: WallTime = .min
  /// Records below it were taken more than the span before the newest one; 0 before that is known.
  private var floor: Seq = 0
  /// The floor that the view was trimmed to last.
  private var trimmed: Seq = 0

  init(span: WallTime) { self.span = span }

  /// What the view is to be trimmed to; 0 where it was, and nothing has come below since.
  var due: Seq { floor == trimmed ? 0 : floor }

  /// The view was trimmed to what was due then.
  mutating func trimmed(to due: Seq) { if due > 0 { trimmed = due } }

  mutating func note(_ seq: Seq, appended: WallTime) {
    if newest == .min || appended - newest >= Self.distance {
      marks.append(Mark(seq: seq, appended: appended))
      newest = appended
    }
    while let oldest = marks.first, oldest.appended < appended - span {
      floor = oldest.seq
      _ = marks.popFirst()
    }
  }
}

/// How long the log has ended below what it is known to have had: a broker's answer is believed when it has
/// stayed the same for `Limits.logEndMilliseconds`.
struct LogEndWatch {
  private var end: Seq?
  private var since: Tick = 0

  /// Whether an answer seems to miss records, so that it is asked again soon.
  var isSuspicious: Bool { end != nil }

  /// Takes an answer; true where the log really ends below `known`.
  mutating func answered(_ end: Seq, known: Seq, at tick: Tick) -> Bool {
    guard end < known else {
      self.end = nil
      return false
    }
    guard self.end == end else {
      self.end = end
      since = tick
      return false
    }
    return tick - since >= Limits.logEndMilliseconds
  }
}
