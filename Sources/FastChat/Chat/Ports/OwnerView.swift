/// What an owner and the view say to each other (DESIGN section 5, "The owner").

/// A partition's view as its hash of positions tells it, read in one step.
public struct ViewState: Sendable, Equatable {
  /// Nil where there is no view at all.
  public var id: ViewID?
  /// Nil where a rebuild was begun and has not restored its rows yet.
  public var applied: Seq?
  /// `RecordHash` of the record at `applied`; 0 where none was applied yet.
  public var hash: UInt64
  /// When the log took that record; 0 where none was applied yet.
  public var appended: WallTime
  /// Up to where the view is being rebuilt; nil where it is not.
  public var rebuildingUntil: Seq?

  public init(
    id: ViewID? = nil, applied: Seq? = nil, hash: UInt64 = 0, appended: WallTime = 0,
    rebuildingUntil: Seq? = nil
  ) {
    self.id = id
    self.applied = applied
    self.hash = hash
    self.appended = appended
    self.rebuildingUntil = rebuildingUntil
  }
}

/// What a record that was judged by the state of its room came to: kept in the view for
/// `Limits.dedupeSpanMilliseconds`, and in the state topic for the window, so that nothing is judged twice.
public struct OutcomeRow: Sendable, Equatable {
  public var seq: Seq
  public var outcome: Outcome
  /// The author's role after it; `.none` where it did not change.
  public var role: Role

  public init(seq: Seq, outcome: Outcome, role: Role) {
    self.seq = seq
    self.outcome = outcome
    self.role = role
  }
}

/// The view's positions, and the outcomes it remembers above a seq.
public struct ViewStateAnswer: Sendable {
  public var tag: UInt64
  /// The view could not be asked; nothing else here means anything.
  public var hasFailed = false
  public var state = ViewState()
  /// In the order of their seqs.
  public var outcomes: [OutcomeRow] = []
  /// There are outcomes beyond these.
  public var hasMore = false

  public init(tag: UInt64) { self.tag = tag }
}

/// A run of records for the view, applied as one: `from` and `view` are compared with what the view has,
/// and nothing is written unless both are the same.
public struct ApplyRequest: Sendable {
  /// One record that may become an event; duplicates and records that are not ours are not among them,
  /// but counted in `upto`.
  public struct Record: Sendable {
    public var seq: Seq
    public var kind: RecordKind
    public var isRepeat: Bool
    /// What it came to when it was judged the first time, in a rebuild; nil where it is judged now.
    public var forced: OutcomeRow?
    public var origin: Origin
    /// When the server accepted it.
    public var time: WallTime
    /// Ranges of `bytes`: the chat's id, the author's.
    public var chat: Range<Int>
    public var from: Range<Int>
    /// The event as clients get it, but for the decimal of `prev` that the view puts between the two.
    public var head: Range<Int>
    public var tail: Range<Int>
    /// Of `create`: the room's properties as JSON, `{"name":..,"public":..}`.
    public var room: Range<Int>

    public init(
      seq: Seq, kind: RecordKind, isRepeat: Bool, forced: OutcomeRow? = nil, origin: Origin, time: WallTime,
      chat: Range<Int>, from: Range<Int>, head: Range<Int>, tail: Range<Int>, room: Range<Int>
    ) {
      self.seq = seq
      self.kind = kind
      self.isRepeat = isRepeat
      self.forced = forced
      self.origin = origin
      self.time = time
      self.chat = chat
      self.from = from
      self.head = head
      self.tail = tail
      self.room = room
    }
  }

  public var tag: UInt64
  public var partition: Int32
  public var view: ViewID
  public var from: Seq
  public var upto: Seq
  /// `RecordHash` of the record at `upto` and when the log took it; not used where `upto == from`.
  public var hash: UInt64 = 0
  public var appended: WallTime = 0
  /// Rows of the recent list, of the outcomes and of the histories with a seq below these may go.
  public var recentFloor: Seq = 0
  public var outcomeFloor: Seq = 0
  public var windowFloor: Seq = 0
  /// This run replays what the view may have had already: events and rows that are there stay as they are.
  public var isReplay = false
  /// The rebuild ends with this run.
  public var endsRebuild = false
  public var records: [Record] = []
  public var bytes: [UInt8] = []

  public init(tag: UInt64, partition: Int32, view: ViewID, from: Seq, upto: Seq) {
    self.tag = tag
    self.partition = partition
    self.view = view
    self.from = from
    self.upto = upto
  }
}

public struct ApplyAnswer: Sendable {
  public struct Row: Sendable, Equatable {
    public var outcome: Outcome
    /// Of an event: the chat's event before it.
    public var prev: Seq
    /// Of a membership event: the role from now on.
    public var role: Role

    public init(outcome: Outcome, prev: Seq, role: Role) {
      self.outcome = outcome
      self.prev = prev
      self.role = role
    }
  }

  public enum Result: Sendable {
    /// One row for each record of the request.
    case applied([Row])
    /// Nothing was written: the view has another id or stands elsewhere.
    case refused(ViewState)
    /// No answer came: it may have been applied or not.
    case unknown
  }

  public var tag: UInt64
  public var result: Result

  public init(tag: UInt64, result: Result) {
    self.tag = tag
    self.result = result
  }
}

/// A view begins anew: under another id, without `applied` until its rows are restored.
public struct RebuildRequest: Sendable {
  public var tag: UInt64
  public var partition: Int32
  /// What the view is expected to be; it is refused where it is something else.
  public var expected: ViewState
  public var id: ViewID
  public var until: Seq

  public init(tag: UInt64, partition: Int32, expected: ViewState, id: ViewID, until: Seq) {
    self.tag = tag
    self.partition = partition
    self.expected = expected
    self.id = id
    self.until = until
  }
}

/// Rows of the state topic for a view that is being rebuilt; refused where the view has another id. A row
/// that the view has from a higher seq stays.
public struct RestoreRequest: Sendable {
  public var tag: UInt64
  public var partition: Int32
  public var view: ViewID
  public var rows: [StateRow]
  /// Set with the last rows: where the replay begins. The view has an `applied` from then on.
  public var applied: Seq?

  public init(tag: UInt64, partition: Int32, view: ViewID, rows: [StateRow], applied: Seq?) {
    self.tag = tag
    self.partition = partition
    self.view = view
    self.rows = rows
    self.applied = applied
  }
}

/// The answer to a `RebuildRequest` or a `RestoreRequest`.
public struct RebuildAnswer: Sendable {
  public enum Result: Sendable {
    case done
    case refused(ViewState)
    case unknown
  }

  public var tag: UInt64
  public var result: Result

  public init(tag: UInt64, result: Result) {
    self.tag = tag
    self.result = result
  }
}
