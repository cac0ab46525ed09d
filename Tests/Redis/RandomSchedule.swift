import Chat
import Redis
import Support

/// Commands at random: such as owners, edges and registrars give, and such as they never should.
struct RandomSchedule {
  private var random: SeededGenerator
  private let both: BothServers
  private var logs: [Int32: Log] = [:]

  /// A partition's log as an owner knows it.
  private struct Log {
    var view: ViewID = 0
    var end: Seq
    var records: [TestRecord] = []
    var outcomes: [Seq: OutcomeRow] = [:]
    var last: ApplyRequest?
  }

  /// Above 10^14, where Lua's own numbers would lose their digits.
  private static let begin = SeqSpace.base(generation: 200)
  private static let chats = [
    "room:r0", "room:r1", "room:r2", "dm:u0:u1", "dm:u1:u2", "dm:u3:u3", "dm:A-long.name_of@somebody:u0",
  ]
  private static let users = ["u0", "u1", "u2", "u3", "U4", "u-4", "u.4", "A-long.name_of@somebody"]

  init(seed: UInt64, _ both: BothServers) {
    random = SeededGenerator(seed: seed)
    self.both = both
  }

  mutating func step() throws {
    let partition = Int32(random.upTo(1))
    if logs[partition] == nil { logs[partition] = Log(end: Self.begin - 1) }
    switch random.upTo(99) {
    case 0..<36: try apply(partition)
    case 36..<44: try applyWrongly(partition)
    case 44..<50: try rebuild(partition)
    case 50..<70: try query(partition)
    case 70..<73:
      let after = random.chance(20) ? Seq.max : somewhere(partition)
      try both.run(.readView(partition: partition, outcomesAfter: after, limit: random.upTo(5)))
    case 73..<77: if random.chance(40) { try restoreReads(partition) } else { try raiseRead(partition) }
    case 77..<99: try directory()
    default: if random.chance(5) { try both.flush() }
    }
  }

  // MARK: The view

  private func state(_ partition: Int32) throws -> ViewState {
    let reply = try both.run(.readView(partition: partition, outcomesAfter: .max))
    return ViewStateAnswer(tag: 0, reply: reply).state
  }

  private mutating func somewhere(_ partition: Int32) -> Seq {
    let log = logs[partition]!
    return random.chance(10) ? 0 : log.end - Seq(random.upTo(Int(log.end - Self.begin) + 8)) + 4
  }

  private mutating func pick(_ all: [String]) -> String { all[random.upTo(all.count - 1)] }

  private mutating func limits() -> Limits {
    var limits = Limits()
    limits.windowEvents = random.chance(50) ? 5 : 1000
    limits.roomMembers = 2 + random.upTo(2)
    limits.userRooms = 1 + random.upTo(2)
    return limits
  }

  /// The next run of the log, or what a replay has to read again.
  private mutating func apply(_ partition: Int32) throws {
    let state = try state(partition)
    guard let id = state.id, let applied = state.applied else { return try begin(partition, state) }
    var log = logs[partition]!
    var records: [TestRecord] = []
    let isReplay = applied < log.end && random.chance(95)
    if isReplay {
      records = Array(log.records.filter { $0.seq > applied }.prefix(random.upTo(12)))
      for i in records.indices where random.chance(95) { records[i].forced = log.outcomes[records[i].seq] }
    } else {
      for _ in 0..<random.upTo(4) {
        log.end += 1 + Seq(random.upTo(3))
        records.append(record(log.end))
      }
      log.records += records
    }
    var upto = records.last?.seq ?? applied
    if !isReplay, random.chance(20) {
      log.end += 1
      upto = log.end
    }
    let endsRebuild = state.rebuildingUntil.map { upto >= $0 } ?? false || random.chance(1)
    var request = ApplyRequest(
      view: id, from: applied, upto: upto, partition: partition, records,
      isReplay: (isReplay || state.rebuildingUntil != nil) && random.chance(97), endsRebuild: endsRebuild)
    if random.chance(30) {
      request.recentFloor = somewhere(partition)
      request.outcomeFloor = somewhere(partition)
      request.windowFloor = random.chance(30) ? somewhere(partition) : 0
    }
    let reply = try both.run(.apply(request, limits: limits()))
    log.last = request
    if case .applied(let rows) = ApplyAnswer(request: request, reply: reply).result {
      for (record, row) in zip(records, rows)
      where record.chat.hasPrefix("room") && (record.isRepeat || record.kind != .message) {
        log.outcomes[record.seq] = OutcomeRow(seq: record.seq, outcome: row.outcome, role: row.role)
      }
    }
    logs[partition] = log
  }

  private mutating func record(_ seq: Seq) -> TestRecord {
    var record = TestRecord(seq: seq, chat: pick(Self.chats), from: pick(Self.users))
    if record.chat.hasPrefix("room") {
      record.kind = [.message, .message, .create, .join, .join, .leave][random.upTo(5)]
      record.isPublic = random.chance(70)
    }
    record.isRepeat = random.chance(25)
    return record
  }

  /// What is refused, comes twice, or only checks.
  private mutating func applyWrongly(_ partition: Int32) throws {
    let log = logs[partition]!
    var request: ApplyRequest
    switch random.upTo(3) {
    case 0:
      guard let last = log.last else { return }
      request = last
    case 1:
      request = ApplyRequest(view: log.view &+ 1, from: log.end, upto: log.end + 1, partition: partition, [])
    case 2:
      let from = somewhere(partition)
      let records = [record(from + 1), record(from + 2)]
      request = ApplyRequest(view: log.view, from: from, partition: partition, records)
    default:
      let applied = try state(partition).applied ?? 0
      request = ApplyRequest(view: log.view, from: applied, partition: partition, [])
    }
    request.partition = partition
    try both.run(.apply(request, limits: limits()))
  }

  private mutating func begin(_ partition: Int32, _ state: ViewState) throws {
    let id = random.next() | 1
    let until = max(logs[partition]!.end, Self.begin - 1)
    let begin = RebuildRequest(tag: 1, partition: partition, expected: state, id: id, until: until)
    try both.run(.beginRebuild(begin))
    logs[partition]!.view = id
    for _ in 0..<random.upTo(2) {
      let rows = rows(partition)
      try both.run(
        .restore(RestoreRequest(tag: 1, partition: partition, view: id, rows: rows, applied: nil)))
    }
    // One that dies halfway leaves no `applied`.
    guard random.chance(80) else { return }
    var applied = Self.begin - 1
    if random.chance(50), let record = logs[partition]!.records.randomElement(using: &random) {
      applied = record.seq
    }
    let restore = RestoreRequest(
      tag: 1, partition: partition, view: id, rows: rows(partition), applied: applied)
    try both.run(.restore(restore))
  }

  private mutating func rebuild(_ partition: Int32) throws {
    let state = try state(partition)
    switch random.upTo(3) {
    case 0: try begin(partition, state)
    case 1:
      var other = state
      other.applied = random.chance(50) ? nil : somewhere(partition)
      if random.chance(30) { other.id = nil }
      let id = random.next() | 1
      if other.id == state.id, other.applied == state.applied { logs[partition]!.view = id }
      try both.run(
        .beginRebuild(RebuildRequest(tag: 1, partition: partition, expected: other, id: id, until: 5)))
    default:
      let restore = RestoreRequest(
        tag: 1, partition: partition, view: random.chance(60) ? state.id ?? 7 : 7, rows: rows(partition),
        applied: nil)
      try both.run(.restore(restore))
    }
  }

  /// Rows of the state topic, true ones and others.
  private mutating func rows(_ partition: Int32) -> [StateRow] {
    (0..<random.upTo(8)).map { _ in
      let chat = pick(Self.chats)
      let known = logs[partition]!.records.randomElement(using: &random)?.seq
      let seq = known ?? somewhere(partition)
      let bytes = Array(chat.utf8)
      if chat.hasPrefix("dm") || random.chance(40) { return StateRow(chat: bytes, seq: seq, value: .head) }
      if random.chance(30) {
        let room = "{\"name\":\"x\",\"public\":\(random.chance(50))}"
        return StateRow(chat: bytes, seq: seq, value: .chat(room: Array(room.utf8)))
      }
      let role = Role(rawValue: UInt8(random.upTo(3)))!
      return StateRow(chat: bytes, seq: seq, value: .member(user: Array(pick(Self.users).utf8), role: role))
    }
  }

  private mutating func query(_ partition: Int32) throws {
    let seq = somewhere(partition)
    let after = random.chance(50) ? "" : random.chance(50) ? pick(Self.users) : pick(Self.chats)
    let all: [ViewQuery.What] = [
      .member, .chats(after: Array(after.utf8)), .members(after: Array(after.utf8)), .eventsAfter(seq),
      .eventsBefore(random.chance(30) ? 0 : seq), .recent(after: seq),
    ]
    let what = all[random.upTo(all.count - 1)]
    let query = ViewQuery(
      what, chat: random.chance(10) ? "" : pick(Self.chats), user: random.chance(10) ? "" : pick(Self.users),
      partition: partition, limit: random.chance(50) ? random.upTo(6) : 100,
      bytes: random.chance(50) ? random.upTo(300) : 65_536)
    try both.run(.query(query))
  }

  private mutating func raiseRead(_ partition: Int32) throws {
    let mark = ReadMark(
      chat: Array(pick(Self.chats).utf8), user: Array(pick(Self.users).utf8), seq: somewhere(partition),
      origin: SessionID(raw: 1))
    try both.run(.raiseRead(mark, partition: partition))
  }

  private mutating func restoreReads(_ partition: Int32) throws {
    let id = random.chance(40) ? nil : random.chance(80) ? try state(partition).id : 7
    let marks = (0..<random.upTo(6)).map { _ in
      ReadMark(
        chat: Array(pick(Self.chats).utf8), user: Array(pick(Self.users).utf8), seq: somewhere(partition),
        origin: SessionID(raw: 0))
    }
    try both.run(.restoreReads(marks[...], partition: partition, view: id, areLast: random.chance(20)))
  }

  // MARK: The directory

  private mutating func directory() throws {
    let name = pick(["s1", "s2", "s3"])
    let server = ServerEpoch(server: name, epoch: .max - UInt64(random.upTo(2)))
    let room = Array(pick(["room:r0", "room:r1"]).utf8)
    switch random.upTo(10) {
    case 0:
      let old = random.chance(30) ? LeaseHolder(epoch: .max - 1, host: "h:1", boot: "b", process: 7) : nil
      let holder = LeaseHolder(epoch: server.epoch, host: "h:1", boot: "b", process: 7)
      try both.run(.takeLease(server: name, holder, replacing: old, milliseconds: 1_000_000))
    case 1: try both.run(.renewLease(server: name, server.epoch, milliseconds: 1_000_000))
    case 2:
      if random.chance(50) {
        try both.lapse(name)
      } else {
        try both.run(.dropLease(server: name, server.epoch))
      }
    case 3: try both.run(.readLeases)
    case 4, 5:
      let entries = (0..<(1 + random.upTo(4))).map { _ in session(withTime: random.chance(40)) }
      let commands = RedisCommand.registerSessions(server: server, earlier: earlier(than: server), entries)
      for command in commands { try both.run(command) }
    case 6:
      let entries = (0..<(1 + random.upTo(4))).map { _ in session(withTime: false) }
      let commands = RedisCommand.removeSessions(server: server, earlier: earlier(than: server), entries)
      for command in commands { try both.run(command) }
    case 7: try both.run(.registerRoom(room, server: server, partitions: 2))
    case 8: try both.run(.removeRoom(room, server: server, partitions: 2))
    case 9:
      try both.run(random.chance(60) ? .markCut(server, milliseconds: 1_000_000) : .unmarkCut(server))
      try both.run(.readCuts)
    default:
      var lookUp = LookUp()
      lookUp.users = Self.users.map { Array($0.utf8) }
      lookUp.rooms = [room]
      for command in RedisCommand.lookUp(lookUp, partitions: 2) { try both.run(command) }
      try both.run(.readDirectory)
    }
  }

  private mutating func earlier(than server: ServerEpoch) -> [Epoch] {
    guard random.chance(30) else { return [] }
    return (UInt64.max - 2...UInt64.max).filter { $0 != server.epoch && random.chance(60) }
  }

  private mutating func session(withTime: Bool) -> SessionEntry {
    var time: WallTime?
    // Also one from a clock that was ahead.
    if withTime {
      time = BothServers.clock + WallTime(random.upTo(10)) - (random.chance(80) ? 1000 : -60_000)
    }
    return SessionEntry(
      session: SessionID(raw: 1 << 56 | UInt64(random.upTo(5))), user: Array(pick(Self.users).utf8),
      device: Array(pick(["phone", "", "tab-1"]).utf8), helloAt: time)
  }
}
