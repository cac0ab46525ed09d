/// What the state topic has still to be told, and how old the oldest of it is.
struct Ledger {
  /// Rows that wait at most: beyond it no batch is applied.
  static let maximumRows = 1 << 16

  private struct Mark {
    var upto: Seq
    var appended: WallTime
  }

  /// Records taken within so many milliseconds of log time share a mark.
  private static let distance: WallTime = 1_000

  private(set) var rows: [StateRow] = []
  /// Runs of records that were applied and are not committed: the last seq, and when the first was taken.
  private var marks: [Mark] = []
  /// Of the commit under way.
  private var upto: Seq = 0
  private var rowsUnderWay = 0
  var lastCommit: Tick = .min / 2

  /// What the records came to that wait here, by their seqs.
  var outcomes: [Seq: OutcomeRow] {
    var outcomes: [Seq: OutcomeRow] = [:]
    for row in rows {
      guard case .outcome(let outcome, let role) = row.value else { continue }
      outcomes[row.seq] = OutcomeRow(seq: row.seq, outcome: outcome, role: role)
    }
    return outcomes
  }

  var isFull: Bool { rows.count >= Self.maximumRows }

  /// Whether a record taken at `appended` is close enough to what is committed to be applied.
  func allows(_ appended: WallTime, after first: WallTime?) -> Bool {
    guard let oldest = marks.first?.appended ?? first else { return true }
    return appended - oldest <= Limits.commitLagMilliseconds
  }

  /// Records up to `seq` were applied, the first of them taken at `appended`.
  mutating func applied(_ seq: Seq, appended: WallTime) {
    if let last = marks.last, appended - last.appended < Self.distance {
      marks[marks.count - 1].upto = seq
    } else {
      marks.append(Mark(upto: seq, appended: appended))
    }
  }

  /// A record was judged by the state of its room.
  mutating func judged(
    _ row: OutcomeRow, _ kind: RecordKind, chat: UnsafeRawBufferPointer, from: UnsafeRawBufferPointer,
    room: UnsafeRawBufferPointer
  ) {
    let chat = Array(chat)
    if row.outcome == .event, kind.dependsOnState {
      if kind == .create {
        rows.append(StateRow(chat: chat, seq: row.seq, value: .chat(room: Array(room))))
      }
      rows.append(StateRow(chat: chat, seq: row.seq, value: .member(user: Array(from), role: row.role)))
    }
    rows.append(StateRow(chat: chat, seq: row.seq, value: .outcome(row.outcome, role: row.role)))
  }

  mutating func append(_ row: StateRow) { rows.append(row) }

  /// A transaction with all rows is under way.
  mutating func commits(upto: Seq, at tick: Tick) {
    self.upto = upto
    rowsUnderWay = rows.count
    lastCommit = tick
  }

  /// It was committed; returns up to where.
  mutating func committed() -> Seq {
    rows.removeFirst(rowsUnderWay)
    rowsUnderWay = 0
    while let first = marks.first, first.upto <= upto { marks.removeFirst() }
    return upto
  }

  /// What was not committed is read again.
  mutating func restart() { self = Ledger() }
}
