import Chat
import JSON
import SimulatedRedis
import Simulation
import Testing

/// A made-up history for a check: what the log took, and what a device was told.
private final class History {
  let truth: Truth
  let checks: Checks
  let bob: Ledger
  private var last = SeqSpace.base(generation: 1) - 1

  static let wall: Int64 = 1_000_000

  init() {
    truth = Truth(roster: Roster(partitions: 1), limits: Limits())
    checks = Checks(truth: truth)
    bob = checks.ledger(user: "bob", device: "d")
  }

  /// Has the log take a record; its seq.
  @discardableResult
  func append(
    _ kind: RecordKind, _ chat: String, from: String, id: String? = nil, number: Int = 1,
    at: Tick = 0, isRepeat: Bool = false
  ) -> Seq {
    last += 1
    var bytes = ByteBuffer()
    let id = id ?? "\(from).d.\(number)"
    let body = kind == .create ? "{\"name\":\"R\",\"public\":true}" : "\"\(id)\""
    func record(_ texts: [[UInt8]]) {
      texts[0].withUnsafeBytes { chat in
        texts[1].withUnsafeBytes { from in
          texts[2].withUnsafeBytes { id in
            texts[3].withUnsafeBytes { body in
              Array("d".utf8).withUnsafeBytes { device in
                AppendCodec.encode(
                  Append(
                    partition: 0, kind: kind, isRepeat: isRepeat, origin: .none, time: History.wall + at,
                    chat: chat, from: from, device: device, id: id, body: body), into: &bytes)
              }
            }
          }
        }
      }
    }
    record([Array(chat.utf8), Array(from.utf8), Array(id.utf8), Array(body.utf8)])
    checks.appended(
      partition: 0, seq: last, appended: History.wall + at, bytes: bytes.bytes, wallOffset: History.wall)
    return last
  }

  /// Has the log take a message.
  @discardableResult
  func append(
    _ chat: String, from: String, id: String? = nil, number: Int = 1, at: Tick = 0, isRepeat: Bool = false
  ) -> Seq {
    append(.message, chat, from: from, id: id, number: number, at: at, isRepeat: isRepeat)
  }

  /// Bob's session is welcomed, as a device that comes back.
  func welcomeBob() {
    bob.connecting()
    bob.welcomed()
  }

  /// Bob is handed the event, as it is or with another `prev`.
  func hand(_ chat: String, _ seq: Seq, prev: Seq? = nil, id: String? = nil) {
    let number = truth.roster.chat(chat)
    let index = truth.index(in: number, at: seq)
    let events = truth.state(of: number).events
    let event = events[min(index, events.count - 1)]
    let author = truth.roster.users[event.author]
    let text =
      event.kind == .message
      ? """
      {"type":"message","chat":"\(chat)","seq":\(seq),"prev":\(prev ?? event.prev),"from":"\(author)",\
      "id":"\(id ?? event.id)","time":1,"body":\(event.body)}
      """
      : """
      {"type":"member","chat":"\(chat)","seq":\(seq),"prev":\(prev ?? event.prev),"user":"\(author)",\
      "role":\(event.role == .none ? "null" : "\"\(event.role)\""),"by":"\(author)"}
      """
    bob.handed(History.frame(text), chat: number)
  }

  static func frame(_ text: String) -> ServerFrame {
    Array(text.utf8).withUnsafeBytes { ServerFrame($0)! }
  }

  func chat(_ name: String) -> Int { truth.roster.chat(name) }

  /// Which invariants are seen broken, once the history is over.
  func broken() -> Set<Invariant> {
    checks.finish()
    return Set(checks.violations.map(\.invariant))
  }
}

private let dm = "dm:alice:bob"
private let room = "room:r"

@Suite struct ChecksTests {
  @Test func aHistoryInWhichAllIsWellBreaksNothing() {
    let history = History()
    history.welcomeBob()
    history.bob.live()
    let first = history.append(dm, from: "alice", number: 1)
    history.hand(dm, first)
    let own = history.append(dm, from: "bob", number: 1)
    history.bob.acked(id: "bob.d.1", chat: history.chat(dm), seq: own, isMarked: false)
    history.append(.create, room, from: "alice", number: 2)
    let join = history.append(.join, room, from: "bob", number: 2)
    history.hand(room, join)
    history.bob.done(id: "bob.d.2", chat: history.chat(room), isLeave: false)
    let said = history.append(room, from: "alice", number: 3)
    history.hand(room, said)
    let leave = history.append(.leave, room, from: "bob", number: 3)
    history.hand(room, leave)
    history.append(room, from: "alice", number: 4)
    history.checks.bound("mailbox", 10, atMost: 10)
    #expect(history.broken() == [])
  }

  @Test func i1SeesAnAckOfWhatTheLogHasNot() {
    let history = History()
    history.welcomeBob()
    let seq = history.append(dm, from: "alice")
    history.hand(dm, seq)
    history.bob.acked(id: "bob.d.1", chat: history.chat(dm), seq: seq + 1, isMarked: false)
    #expect(history.broken() == [.i1])
  }

  @Test func i2SeesWhatIsHandedTwiceOrOutOfOrder() {
    let history = History()
    history.welcomeBob()
    let first = history.append(dm, from: "alice", number: 1)
    history.hand(dm, first)
    history.hand(dm, first)
    #expect(history.broken() == [.i2])
  }

  @Test func i3SeesWhatIsSkippedAndWhatNeverCame() {
    let skipped = History()
    skipped.welcomeBob()
    skipped.append(dm, from: "alice", number: 1)
    skipped.hand(dm, skipped.append(dm, from: "alice", number: 2))
    #expect(skipped.checks.violations.map(\.invariant) == [.i3])

    let missing = History()
    missing.welcomeBob()
    missing.append(dm, from: "alice")
    #expect(missing.broken() == [.i3])
  }

  @Test func i3SeesAResetOfWhatIsStillStored() {
    let history = History()
    history.welcomeBob()
    let seq = history.append(dm, from: "alice", number: 1)
    history.append(dm, from: "alice", number: 2)
    history.bob.reset(chat: history.chat(dm), head: seq + 1)
    #expect(history.broken() == [.i3])

    let allowed = History()
    allowed.welcomeBob()
    let first = allowed.append(dm, from: "alice", number: 1)
    allowed.append(dm, from: "alice", number: 2)
    allowed.truth.trim(chat: allowed.chat(dm), by: 1)
    allowed.bob.reset(chat: allowed.chat(dm), head: first + 1)
    #expect(allowed.broken() == [])
  }

  @Test func i4SeesASecondEventOfOneIdAndARepeatAckedAsAnother() {
    let late = History()
    late.append("dm:alice:alice", from: "alice")
    late.append("dm:alice:alice", from: "alice", at: Limits.dedupeSpanMilliseconds + 1)
    #expect(late.broken() == [.i4])

    let repeated = History()
    repeated.welcomeBob()
    repeated.append(dm, from: "bob")
    let copy = repeated.append(dm, from: "bob", at: 1_000, isRepeat: true)
    repeated.bob.acked(id: "bob.d.1", chat: repeated.chat(dm), seq: copy, isMarked: true)
    #expect(repeated.broken().contains(.i4))
  }

  @Test func i4SeesADuplicateThatIsShown() {
    let history = History()
    history.welcomeBob()
    let first = history.append(dm, from: "alice")
    let copy = history.append(dm, from: "alice", at: 1_000)
    history.hand(dm, first)
    history.hand(dm, copy, prev: first)
    #expect(history.broken() == [.i4])
  }

  @Test func i4SeesAnEventOfWhatWasRefused() {
    let history = History()
    history.welcomeBob()
    history.bob.refused(id: "bob.d.1", chat: history.chat(dm), code: "forbidden", isMarked: false)
    let seq = history.append(dm, from: "bob")
    history.bob.acked(id: "bob.d.1", chat: history.chat(dm), seq: seq, isMarked: false)
    #expect(history.broken() == [.i4])
  }

  @Test func i5SeesAnEventThatIsNotTheLogs() {
    let history = History()
    history.welcomeBob()
    history.append(dm, from: "alice", number: 1)
    let seq = history.append(dm, from: "alice", number: 2)
    history.hand(dm, seq - 1)
    history.hand(dm, seq, prev: 7)
    #expect(history.broken() == [.i5])
  }

  @Test func i7RepeatsWhatBrokeWhereOnlyHintsFailed() {
    let history = History()
    history.welcomeBob()
    history.append(dm, from: "alice")
    #expect(history.broken() == [.i3])
    #expect(history.checks.violations(onlyHintsFailed: false).map(\.invariant) == [.i3])
    #expect(history.checks.violations(onlyHintsFailed: true).map(\.invariant) == [.i3, .i7])
  }

  @Test func i8SeesAQueueBeyondItsBound() {
    let history = History()
    history.checks.bound("mailbox", 11, atMost: 10)
    #expect(history.broken() == [.i8])
  }

  @Test func i9SeesAClientThrownOutForALapsedLease() {
    func close(_ code: UInt16, newer: Bool = false, _ trouble: Checks.Trouble) -> Set<Invariant> {
      let history = History()
      history.checks.serverClosed(
        "bob", code: code, wasWelcomed: true, hasNewerSession: newer, trouble: trouble)
      return history.broken()
    }
    #expect(close(4000, .lease) == [.i9])
    #expect(close(4000, [.lease, .directory]) == [.i9])
    #expect(close(4504, .lease) == [.i9])
    #expect(close(4504, newer: true, .lease) == [])
    #expect(close(4000, [.lease, .stopped]) == [])
    #expect(close(4001, .directory) == [])
  }

  @Test func i10SeesAMessageShownToANonMember() {
    let history = History()
    history.welcomeBob()
    history.append(.create, room, from: "alice", number: 1)
    history.hand(room, history.append(room, from: "alice", number: 2))
    #expect(history.broken() == [.i10])
  }

  @Test func i10SeesARemovedMembersSendThatIsTakenTooLate() {
    func send(_ milliseconds: Tick) -> Set<Invariant> {
      let history = History()
      history.welcomeBob()
      history.append(.create, room, from: "alice", number: 1)
      history.hand(room, history.append(.join, room, from: "bob", number: 1))
      history.hand(room, history.append(.leave, room, from: "bob", number: 2))
      history.checks.tick(100)
      history.bob.done(id: "bob.d.2", chat: history.chat(room), isLeave: true)
      let seq = history.append(room, from: "bob", number: 3, at: milliseconds)
      history.bob.acked(id: "bob.d.3", chat: history.chat(room), seq: seq, isMarked: false)
      return history.broken()
    }
    #expect(send(3_000) == [])
    #expect(send(4_000) == [.i10])
  }

  @Test func i10SeesARecordInSomebodyElsesName() {
    let history = History()
    history.append(dm, from: "alice", id: "bob.d.1")
    #expect(history.checks.violations.map(\.invariant) == [.i10])
  }
}

/// The checks of a view against the truth.
@Suite struct ViewChecksTests {
  private let history = History()
  private let first: Seq
  private let joined: Seq
  private let said: Seq

  init() {
    first = history.append(dm, from: "alice", number: 1)
    history.append(.create, room, from: "alice", number: 2)
    joined = history.append(.join, room, from: "bob", number: 1)
    said = history.append(room, from: "alice", number: 3)
  }

  private var state: ViewState {
    ViewState(id: 1, applied: said, hash: history.truth.records[0].last!.hash, appended: History.wall)
  }

  private var reading: PartitionReading {
    var reading = PartitionReading()
    for name in [dm, room] {
      let chat = history.truth.state(of: history.chat(name))
      reading.chats.append(
        .init(
          name: name, head: chat.events.last!.seq, isPublic: chat.isPublic,
          members: chat.stays.map { user, stays in
            .init(
              name: history.truth.roster.users[user],
              row: MemberRow(role: stays[0].role, joined: stays[0].joined))
          },
          history: chat.events.map {
            .init(
              seq: $0.seq, prev: $0.prev, kind: $0.kind, role: $0.role,
              user: history.truth.roster.users[$0.author])
          }))
    }
    for (user, since) in [("alice", joined - 1), ("bob", joined)] {
      let role = user == "bob" ? Role.member : .owner
      reading.users.append(
        .init(
          name: user,
          chats: [
            .init(name: dm, row: MemberRow(role: .member, joined: 0)),
            .init(name: room, row: MemberRow(role: role, joined: since)),
          ]))
    }
    reading.outcomes = [OutcomeRow(seq: joined, outcome: .event, role: .member)]
    return reading
  }

  private func broken(_ state: ViewState, _ reading: PartitionReading) -> Set<Invariant> {
    history.checks.checkView(partition: 0, state, reading)
    return Set(history.checks.violations.map(\.invariant))
  }

  @Test func aViewThatIsTheTruthBreaksNothing() { #expect(broken(state, reading) == []) }

  @Test func i6SeesAViewAheadOfItsLog() {
    var state = state
    state.applied = said + 1
    #expect(broken(state, PartitionReading()).contains(.i6))
  }

  @Test func i6SeesAnotherRecordAtItsPosition() {
    var state = state
    state.hash += 1
    #expect(broken(state, reading) == [.i6])
  }

  @Test func i5SeesAHead() {
    var reading = reading
    reading.chats[1].head = joined
    #expect(broken(state, reading) == [.i5])
  }

  @Test func i5SeesAHoleInAHistory() {
    var reading = reading
    reading.chats[1].history.remove(at: 1)
    #expect(broken(state, reading) == [.i5])
  }

  @Test func i5SeesAHistoryCutTooEarlyButNotOneThatRetentionCut() {
    var reading = reading
    reading.chats[1].history.removeFirst()
    #expect(broken(state, reading) == [.i5])
    let other = ViewChecksTests()
    other.history.truth.trim(chat: other.history.chat(room), by: 1)
    #expect(other.broken(other.state, reading) == [])
  }

  @Test func i5SeesAMemberTooManyAndOneTooFew() {
    var fewer = reading
    fewer.chats[1].members.removeAll { $0.name == "bob" }
    #expect(broken(state, fewer) == [.i5])
    let other = ViewChecksTests()
    var more = other.reading
    more.chats[1].members.append(.init(name: "carol", row: MemberRow(role: .member, joined: joined)))
    #expect(other.broken(other.state, more) == [.i5])
  }

  @Test func i5SeesAChatMissingAmongAUsersOwn() {
    var reading = reading
    reading.users[1].chats.removeLast()
    #expect(broken(state, reading) == [.i5])
  }

  @Test func i5SeesAnotherOutcome() {
    var reading = reading
    reading.outcomes[0].outcome = .forbidden
    #expect(broken(state, reading) == [.i5])
  }

  @Test func aViewThatIsBeingRebuiltIsHeldToItsPositionsOnly() {
    var state = state
    state.rebuildingUntil = said
    #expect(broken(state, PartitionReading()) == [])
  }
}
