import JSON

/// A batch on its way: applied to the view, looked up, hinted.
struct OwnerPass {
  enum Stage {
    case applying
    case lookingUp
    case readingLeases
  }

  /// Whom an event concerns, as places in the look-up; -1: nobody.
  struct Targets {
    var firstUser: Int32 = -1
    var secondUser: Int32 = -1
    var room: Int32 = -1
  }

  /// A record that came before, here or earlier.
  struct Duplicate {
    var origin: Origin
    var first: DedupeTable.Entry
  }

  var stage = Stage.applying
  var request: ApplyRequest
  /// Bytes of the queue that this batch has taken.
  var queueBytes = 0
  /// When the log took the first record that is not committed.
  var firstUncommitted: WallTime?
  /// For each record of the request: its name, and when the log took it.
  var names: [(key: KeyedHash.Value, appended: WallTime)] = []
  var duplicates: [Duplicate] = []
  /// Where the dedupe table ended before the batch.
  var mark: UInt64
  /// Every living server gets it, with hints or without.
  var isBeat = false
  /// The directory changed while the batch was under way: it is not sent.
  var isTainted = false

  // Known once it is applied.
  var rows: [ApplyAnswer.Row] = []
  var verdicts: [Verdict] = []
  var lookUp = LookUp()
  /// For each record of the request.
  var targets: [Targets] = []
  var lookedUp: LookedUp?

  init(request: ApplyRequest, mark: UInt64) {
    self.request = request
    self.mark = mark
  }

  var isEmpty: Bool { request.upto == request.from }
}

/// Names in the order in which they first came, each once.
struct DistinctNames: ~Copyable {
  private var table: NameTable
  private(set) var names: [[UInt8]] = []

  init(seed: UInt64) { table = NameTable(seed: seed) }

  /// The place of a name.
  mutating func place(_ name: UnsafeRawBufferPointer) -> Int32 {
    if let number = table.find(name) { return number }
    let number = table.retain(name)
    names.append(Array(name))
    return number
  }

  /// All of them; there are none any more.
  mutating func take() -> [[UInt8]] {
    // The last one first: the table gives the numbers again in the reverse order of their release.
    for number in (0..<Int32(names.count)).reversed() { _ = table.release(number) }
    defer { names = [] }
    return names
  }
}
