import Chat
import JSON

/// A log, a view, a directory and a state topic in memory, for owners to be tested against.
final class OwnerBackends {
  struct Record {
    var seq: Seq
    var appended: WallTime
    /// Nil for a record that is not ours.
    var append: Text?
  }

  struct Text {
    var kind: RecordKind
    var isRepeat: Bool
    var origin: Origin
    var time: WallTime
    var chat, from, device, id, body: [UInt8]
  }

  struct View {
    struct Event: Equatable {
      var seq: Seq
      var prev: Seq
      var json: String
    }

    var state = ViewState()
    var heads: [String: Seq] = [:]
    var rooms: [String: RoomRow] = [:]
    var members: [String: [String: (role: Role, seq: Seq)]] = [:]
    var outcomes: [Seq: OutcomeRow] = [:]
    var history: [String: [Event]] = [:]
  }

  static let base = SeqSpace.base(generation: 1)
  var wall: WallTime = 1_000_000_000
  var log: [Record] = []
  var firstSeq = base
  var view = View()
  var replays = 0
  var state: [StateRow] = []
  var committed: Seq?
  var users: [String: [ServerEpoch]] = [:]
  var rooms: [String: [ServerEpoch]] = [:]
  var primaries: [DirectoryID] = [7]
  var living: [ServerEpoch] = []

  var end: Seq { log.last?.seq ?? OwnerBackends.base - 1 }

  @discardableResult func append(
    _ chat: String, from: String = "ann", id: String, kind: RecordKind = .message, isRepeat: Bool = false,
    epoch: Epoch = 1, body: String = "1"
  ) -> Seq {
    wall += 1
    log.append(
      Record(
        seq: max(end + 1, OwnerBackends.base), appended: wall,
        append: Text(
          kind: kind, isRepeat: isRepeat,
          origin: Origin(epoch: epoch, session: SessionID(raw: 5), request: UInt32(log.count + 1)),
          time: wall,
          chat: Array(chat.utf8), from: Array(from.utf8), device: Array("d".utf8), id: Array(id.utf8),
          body: Array(body.utf8))))
    return end
  }

  func appendForeign() {
    wall += 1
    log.append(Record(seq: max(end + 1, OwnerBackends.base), appended: wall, append: nil))
  }

  /// Retention takes the records below `seq` away.
  func trim(below seq: Seq) { firstSeq = max(firstSeq, seq) }

  func record(_ seq: Seq) -> Record? {
    let index = Int(seq - OwnerBackends.base)
    return seq >= firstSeq && log.indices.contains(index) ? log[index] : nil
  }

  func first(at time: WallTime) -> Seq {
    log.first { $0.appended >= time && $0.seq >= firstSeq }?.seq ?? end + 1
  }

  // MARK: The view

  func apply(_ request: ApplyRequest) -> ApplyAnswer.Result {
    guard view.state.id == request.view, view.state.applied == request.from else {
      return .refused(view.state)
    }
    func text(_ range: Range<Int>) -> String { String(decoding: request.bytes[range], as: UTF8.self) }
    if request.isReplay { replays += 1 }
    var rows: [ApplyAnswer.Row] = []
    for record in request.records {
      let chat = text(record.chat)
      let from = text(record.from)
      var outcome = Outcome.event
      var role = Role.none
      let isJudged = chat.hasPrefix("room:") && (record.isRepeat || record.kind.dependsOnState)
      if let forced = record.forced {
        (outcome, role) = (forced.outcome, forced.role)
      } else if isJudged {
        let members = view.members[chat] ?? [:]
        (outcome, role) = Judge.outcome(
          of: record.kind, isRepeat: record.isRepeat,
          state: Judge.State(
            room: view.rooms[chat], role: members[from]?.role ?? .none,
            members: members.values.count { $0.role != .none }, rooms: 0), limits: Limits())
      }
      if isJudged {
        view.outcomes[record.seq] = OutcomeRow(
          seq: record.seq, outcome: outcome, role: record.kind.dependsOnState ? role : .none)
      }
      var prev: Seq = 0
      if outcome == .event {
        if record.kind == .create { view.rooms[chat] = RoomRow(isPublic: text(record.room).contains("true")) }
        if record.kind.dependsOnState, view.members[chat]?[from]?.seq ?? 0 < record.seq {
          view.members[chat, default: [:]][from] = (role, record.seq)
        }
        prev = write(
          chat, record.seq, isFirst: record.kind == .create, head: text(record.head), tail: text(record.tail))
      }
      rows.append(ApplyAnswer.Row(outcome: outcome, prev: prev, role: role))
    }
    view.state.applied = request.upto
    if request.upto != request.from {
      view.state.hash = request.hash
      view.state.appended = request.appended
    }
    if request.endsRebuild { view.state.rebuildingUntil = nil }
    view.outcomes = view.outcomes.filter { $0.key >= request.outcomeFloor }
    return .applied(rows)
  }

  private func write(_ chat: String, _ seq: Seq, isFirst: Bool, head: String, tail: String) -> Seq {
    if let known = view.history[chat]?.first(where: { $0.seq == seq }) { return known.prev }
    let known = view.heads[chat] ?? 0
    // A head that was restored from above the record tells nothing of what was before it.
    let before = known < seq ? known : seq - 1
    let prev = isFirst ? 0 : view.history[chat]?.last { $0.seq < seq }?.seq ?? before
    view.history[chat, default: []].append(View.Event(seq: seq, prev: prev, json: head + "\(prev)" + tail))
    view.heads[chat] = max(known, seq)
    return prev
  }

  func begin(_ request: RebuildRequest) -> RebuildAnswer.Result {
    guard view.state == request.expected else { return .refused(view.state) }
    view.state = ViewState(id: request.id, rebuildingUntil: request.until)
    return .done
  }

  func restore(_ request: RestoreRequest) -> RebuildAnswer.Result {
    guard view.state.id == request.view, view.state.applied == nil else { return .refused(view.state) }
    for row in request.rows {
      let chat = String(decoding: row.chat, as: UTF8.self)
      switch row.value {
      case .member(let user, let role):
        let user = String(decoding: user, as: UTF8.self)
        if view.members[chat]?[user]?.seq ?? 0 < row.seq {
          view.members[chat, default: [:]][user] = (role, row.seq)
        }
      case .chat(let room):
        view.rooms[chat] = RoomRow(isPublic: String(decoding: room, as: UTF8.self).contains("true"))
      case .head: view.heads[chat] = max(view.heads[chat] ?? 0, row.seq)
      case .outcome, .forgottenOutcome: break
      }
    }
    if let applied = request.applied { view.state.applied = applied }
    return .done
  }

  // MARK: What is looked at afterwards

  /// Seqs of a chat's history.
  func history(_ chat: String) -> [Seq] { (view.history[chat] ?? []).map(\.seq).sorted() }

  func members(_ chat: String) -> [String] {
    (view.members[chat] ?? [:]).filter { $0.value.role != .none }.keys.sorted()
  }

  func stateOutcomes() -> [Seq: Outcome] {
    var found: [Seq: Outcome] = [:]
    for row in state {
      if case .outcome(let outcome, _) = row.value { found[row.seq] = outcome }
      if case .forgottenOutcome = row.value { found[row.seq] = nil }
    }
    return found
  }
}
