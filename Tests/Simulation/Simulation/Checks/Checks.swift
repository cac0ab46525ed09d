public import Chat

/// What a run's invariants are held against: told what the log took, what clients were handed and what the
/// engine did, it notes each break of an invariant at the moment it can be seen, and the rest at the end.
public final class Checks {
  /// What ails a server or its surroundings now: who is closed, and how, must have its reason there.
  public struct Trouble: OptionSet, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Its lease lapsed, or its renewal stalls.
    public static let lease = Trouble(rawValue: 1 << 0)
    /// The directory lost something, is another primary, or cannot be reached.
    public static let directory = Trouble(rawValue: 1 << 1)
    /// It stood still.
    public static let frozen = Trouble(rawValue: 1 << 2)
    /// The log or its inbox cannot be reached.
    public static let brokers = Trouble(rawValue: 1 << 3)
    /// The process ended or drains.
    public static let stopped = Trouble(rawValue: 1 << 4)
    /// The client's own network.
    public static let network = Trouble(rawValue: 1 << 5)
  }

  /// What clock skew and the way of a frame add to the three seconds of PROTOCOL, "Requests and answers".
  public static let removalAllowanceMilliseconds: Int64 = 500
  /// Violations that are kept; a run that is broken breaks often.
  public static let violationsKept = 20

  public let truth: Truth
  public let roster: Roster
  public private(set) var violations: [Violation] = []
  public private(set) var ledgers: [Ledger] = []
  /// Now, as the engine last said.
  public internal(set) var now: Tick = 0
  /// A session is owed also what a short stay in a room brought that began and ended while it was attached.
  /// Not in a cluster, where a gap longer than the recent list may hide such a stay.
  public var owesPassedStays = true
  /// When a client was told `ok` of his leaving: by chat and user.
  private var removals: [ChatUser: (seq: Seq, at: Tick)] = [:]
  /// Until then removals in the partition may be unknown again: its view went back.
  private var excused: [Tick]
  /// Behind which the log was replayed into each partition's view, the highest: what was before that in a
  /// chat is not known there.
  private(set) var replayedBehind: [Seq]
  private var checkedDoubles = 0
  private var checkedAuthors = 0

  struct ChatUser: Hashable {
    var chat: Int
    var user: Int
  }

  public init(truth: Truth) {
    self.truth = truth
    roster = truth.roster
    excused = Array(repeating: 0, count: Int(truth.roster.partitions))
    replayedBehind = Array(repeating: 0, count: Int(truth.roster.partitions))
  }

  /// A view is rebuilt: its replay begins behind `seq`.
  public func replays(partition: Int, behind seq: Seq) {
    replayedBehind[partition] = max(replayedBehind[partition], seq)
  }

  /// The ledger of one more device.
  public func ledger(user: String, device: String) -> Ledger {
    let ledger = Ledger(user: roster.user(user), device: device, checks: self)
    ledgers.append(ledger)
    return ledger
  }

  public func note(_ invariant: Invariant, _ text: @autoclosure () -> String) {
    guard violations.count < Self.violationsKept else { return }
    violations.append(Violation(invariant, text()))
  }

  /// Time goes on.
  public func tick(_ now: Tick) { self.now = now }

  // MARK: What the engine tells

  /// The log took a record.
  ///
  /// - Parameter wallOffset: what wall time is ahead of the ticks.
  @discardableResult
  public func appended(
    partition: Int, seq: Seq, appended: WallTime, bytes: UnsafeRawBufferPointer, wallOffset: Int64
  ) -> Outcome {
    let outcome = truth.append(partition: partition, seq: seq, appended: appended, bytes: bytes)
    checkNewest(partition: partition, outcome, wallOffset: wallOffset)
    return outcome
  }

  private func checkNewest(partition: Int, _ outcome: Outcome, wallOffset: Int64) {
    while checkedDoubles < truth.doubled.count {
      let double = truth.doubled[checkedDoubles]
      note(.i4, "\(roster.chats[double.chat].name) \(double.seq): a second event of one id")
      checkedDoubles += 1
    }
    while checkedAuthors < truth.misattributed.count {
      let wrong = truth.misattributed[checkedAuthors]
      note(.i10, "\(roster.chats[wrong.chat].name) \(wrong.seq): written in somebody else's name")
      checkedAuthors += 1
    }
    guard outcome == .event, let record = truth.records[partition].last, roster.chats[record.chat].isRoom,
      let event = truth.chats[record.chat].events.last, event.kind == .message
    else { return }
    checkAuthor(of: event, in: record.chat, wallOffset: wallOffset)
  }

  /// A removed member's sends are refused at the latest 3 s after the `ok`.
  private func checkAuthor(of event: Truth.Event, in chat: Int, wallOffset: Int64) {
    guard truth.openStay(of: event.author, in: chat) == nil else { return }
    let name = roster.chats[chat].name
    guard truth.wasEverIn(chat, event.author) else {
      return note(.i10, "\(name) \(event.seq): \(roster.users[event.author]) was never in it")
    }
    guard let removal = removals[ChatUser(chat: chat, user: event.author)],
      truth.state(of: chat).stays[event.author]?.last?.left == removal.seq
    else { return }
    let accepted = event.time - wallOffset
    let latest = removal.at + Limits.leaseMilliseconds + Self.removalAllowanceMilliseconds
    guard accepted > latest, accepted > excused[roster.chats[chat].partition] else { return }
    note(
      .i10,
      "\(name) \(event.seq): \(event.id) was accepted \(accepted - removal.at) ms after the ok of the leaving"
    )
  }

  /// A client was told `ok` of his leaving.
  ///
  /// - Parameter upto: the seq of the record that asked for it. A later leaving is another one.
  func removalConfirmed(chat: Int, user: Int, upto: Seq) {
    guard let left = truth.state(of: chat).stays[user]?.last?.left, left <= upto else { return }
    let key = ChatUser(chat: chat, user: user)
    if let known = removals[key], known.seq == left { return }
    removals[key] = (left, now)
  }

  /// The partition's view went back: until `tick` removals may be unknown again.
  public func viewWentBack(partition: Int, until tick: Tick) {
    excused[partition] = max(excused[partition], tick)
  }

  /// Whether the user may be shown the chat by a read that was asked at `tick`.
  func mayAsk(_ user: Int, _ chat: Int, at tick: Tick) -> Bool {
    if roster.isDirect(chat, of: user) || truth.openStay(of: user, in: chat) != nil { return true }
    guard truth.wasEverIn(chat, user) else { return false }
    guard let removal = removals[ChatUser(chat: chat, user: user)] else { return true }
    guard truth.state(of: chat).stays[user]!.last!.left == removal.seq else { return true }
    return tick <= removal.at || tick <= excused[roster.chats[chat].partition]
  }

  /// A queue's length, held against its bound.
  public func bound(_ name: @autoclosure () -> String, _ value: Int, atMost bound: Int) {
    if value > bound { note(.i8, "\(name()): \(value) of \(bound)") }
  }

  /// Codes with which a server may end a session that it has welcomed, for the client's own sake.
  public static let ownCloseCodes: Set<UInt16> = [4001, 4003, 4504]

  /// A server ended a session. `hasNewerSession`: the device said `hello` again, on another connection.
  public func serverClosed(
    _ who: @autoclosure () -> String, code: UInt16, wasWelcomed: Bool, hasNewerSession: Bool,
    trouble: Trouble
  ) {
    if code == 4504 {
      if !hasNewerSession { note(.i9, "\(who()) was told 4504 and has no newer session") }
      return
    }
    guard trouble.isSubset(of: [.lease, .directory]), wasWelcomed else { return }
    guard Self.ownCloseCodes.contains(code) else {
      return note(
        .i9, "\(who()) was closed with \(code) while nothing but \(trouble.rawValue) ailed the server")
    }
  }

  // MARK: The end

  /// Everything is settled: what everybody has been handed is held against the whole log.
  public func finish() {
    for ledger in ledgers { ledger.finish() }
  }

  /// All violations; in a run whose only faults were of hints and inboxes each is one of I7 too.
  public func violations(onlyHintsFailed: Bool) -> [Violation] {
    guard onlyHintsFailed, let first = violations.first(where: { $0.invariant != .i7 }) else {
      return violations
    }
    return violations + [Violation(.i7, "only hints were lost, late or doubled, and yet: \(first)")]
  }
}
