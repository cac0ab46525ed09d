public import Chat

/// What the log comes to, folded record by record in its order: a pure function of the log, written apart
/// from the owner and in the plainest form. What views, hints and answers say is held against it.
public final class Truth {
  /// One event of a chat.
  public struct Event {
    public let seq: Seq
    public let prev: Seq
    public let kind: RecordKind
    /// Of a membership event: the role from then on.
    public let role: Role
    public let author: Int
    public let device: String
    public let id: String
    /// When a server accepted it.
    public let time: WallTime
    public let body: String
    public let origin: Origin
  }

  /// A time in which a user was in a room, his coming and his going included.
  public struct Stay {
    public let joined: Seq
    public fileprivate(set) var left: Seq?
    public let role: Role
  }

  public struct ChatState {
    public fileprivate(set) var events: [Event] = []
    /// Nil for a direct chat, and while the room does not exist.
    public fileprivate(set) var isPublic: Bool?
    public fileprivate(set) var created: Seq = 0
    /// By user, oldest first.
    public fileprivate(set) var stays: [Int: [Stay]] = [:]
    /// How many of the oldest events retention may have taken.
    public fileprivate(set) var trimmed = 0
  }

  /// One record of the log.
  public struct Record {
    public let seq: Seq
    public let appended: WallTime
    /// `RecordHash`; of a foreign record 0.
    public let hash: UInt64
    /// Nil for a record that is not ours.
    public let outcome: Outcome?
    /// Of a membership event: the role from then on.
    public let role: Role
    public let chat: Int
  }

  struct Key: Hashable {
    var chat: Int
    var user: Int
    var device: String
    var id: String
  }

  /// What the first record of a name came to.
  public struct First {
    public let seq: Seq
    public let time: WallTime
    public let appended: WallTime
    public let outcome: Outcome
  }

  public let roster: Roster
  public let generation: Int64
  private let limits: Limits
  public private(set) var chats: [ChatState] = []
  /// By partition, in order.
  public private(set) var records: [[Record]]
  /// Partitions whose log lost what it had acknowledged: nothing is folded there any more.
  public private(set) var lost: Set<Int> = []
  private var firsts: [Key: First] = [:]
  /// The event that each name became.
  private var eventOfKey: [Key: Seq] = [:]
  /// Names that became an event twice: (chat, seq).
  public private(set) var doubled: [(chat: Int, seq: Seq)] = []
  /// Records whose author is not the one that made its id.
  public private(set) var misattributed: [(chat: Int, seq: Seq)] = []

  public init(roster: Roster, limits: Limits, generation: Int64 = 1) {
    self.roster = roster
    self.limits = limits
    self.generation = generation
    records = Array(repeating: [], count: Int(roster.partitions))
  }

  /// The seq of the partition's last record.
  public func end(_ partition: Int) -> Seq {
    records[partition].last?.seq ?? SeqSpace.nothingYet(generation: generation)
  }

  // MARK: The log

  /// A record as `AppendCodec` writes it, taken by the log.
  @discardableResult
  public func append(
    partition: Int, seq: Seq, appended: WallTime, bytes: UnsafeRawBufferPointer
  ) -> Outcome {
    var offset = 0
    guard let record = AppendCodec.decode(bytes, at: &offset) else {
      preconditionFailure("a record that no edge wrote")
    }
    return append(partition: partition, seq: seq, appended: appended, record: record)
  }

  @discardableResult
  public func append(partition: Int, seq: Seq, appended: WallTime, record: borrowing Append) -> Outcome {
    guard !lost.contains(partition) else { return .event }
    precondition(seq > end(partition), "a log goes forward")
    let chat = roster.chat(String(utf8: record.chat))
    grow(to: chat)
    let key = Key(
      chat: chat, user: roster.user(String(utf8: record.from)), device: String(utf8: record.device),
      id: String(utf8: record.id))
    var outcome = Outcome.duplicate
    var role = Role.none
    if let first = firsts[key], appended - first.appended <= Limits.dedupeSpanMilliseconds {
      outcome = .duplicate
    } else {
      (outcome, role) = judge(record, key)
      firsts[key] = First(seq: seq, time: record.time, appended: appended, outcome: outcome)
      if outcome == .event { become(seq: seq, record, key, role) }
    }
    records[partition].append(
      Record(
        seq: seq, appended: appended, hash: RecordHash.of(record), outcome: outcome, role: role, chat: chat))
    return outcome
  }

  /// A record of somebody else, or one in a partition that is not its chat's: skipped by everybody.
  public func appendForeign(partition: Int, seq: Seq, appended: WallTime) {
    guard !lost.contains(partition) else { return }
    records[partition].append(
      Record(seq: seq, appended: appended, hash: 0, outcome: nil, role: .none, chat: -1))
  }

  /// The log of the partition lost what it had acknowledged.
  public func lose(partition: Int) { lost.insert(partition) }

  /// Retention may have taken the events of the partition below `floor`, and of each chat all but the
  /// newest `limits.windowEvents`.
  public func trim(partition: Int, below floor: Seq) {
    for chat in chats.indices where roster.chats[chat].partition == partition {
      var count = chats[chat].trimmed
      while count < chats[chat].events.count, chats[chat].events[count].seq < floor { count += 1 }
      chats[chat].trimmed = max(count, chats[chat].events.count - limits.windowEvents)
    }
  }

  /// Retention may have taken the oldest `count` of the chat's stored events.
  public func trim(chat: Int, by count: Int) {
    grow(to: chat)
    chats[chat].trimmed = min(chats[chat].events.count, chats[chat].trimmed + count)
  }

  // MARK: Folding

  private func grow(to chat: Int) {
    while chats.count <= chat { chats.append(ChatState()) }
  }

  private func judge(_ record: borrowing Append, _ key: Key) -> (Outcome, Role) {
    guard roster.chats[key.chat].isRoom else { return (.event, .none) }
    let state = chats[key.chat]
    let members = state.stays.values.count { $0.last?.left == nil }
    let here = roster.chats[key.chat].partition
    let rooms = chats.indices.count {
      roster.chats[$0].partition == here && openStay(of: key.user, in: $0) != nil
    }
    return Judge.outcome(
      of: record.kind, isRepeat: record.isRepeat,
      state: Judge.State(
        room: state.isPublic.map(RoomRow.init), role: openStay(of: key.user, in: key.chat)?.role ?? .none,
        members: members, rooms: rooms), limits: limits)
  }

  private func become(seq: Seq, _ record: borrowing Append, _ key: Key, _ role: Role) {
    if eventOfKey.updateValue(seq, forKey: key) != nil { doubled.append((key.chat, seq)) }
    if !key.id.hasPrefix("\(roster.users[key.user]).\(key.device).") { misattributed.append((key.chat, seq)) }
    let isMessage = record.kind == .message
    chats[key.chat].events.append(
      Event(
        seq: seq, prev: chats[key.chat].events.last?.seq ?? 0, kind: record.kind,
        role: isMessage ? .none : role, author: key.user, device: key.device, id: key.id, time: record.time,
        body: isMessage ? String(utf8: record.body) : "", origin: record.origin))
    guard !isMessage else { return }
    if record.kind == .create {
      chats[key.chat].created = seq
      chats[key.chat].isPublic = !String(utf8: record.body).hasSuffix("\"public\":false}")
    }
    if role == .none {
      let last = chats[key.chat].stays[key.user]!.count - 1
      chats[key.chat].stays[key.user]![last].left = seq
    } else {
      chats[key.chat].stays[key.user, default: []].append(Stay(joined: seq, left: nil, role: role))
    }
  }

  // MARK: Asking

  public func state(of chat: Int) -> ChatState { chat < chats.count ? chats[chat] : ChatState() }

  public func openStay(of user: Int, in chat: Int) -> Stay? {
    guard chat < chats.count, let last = chats[chat].stays[user]?.last, last.left == nil else { return nil }
    return last
  }

  /// The stay that the seq lies in; in a direct chat of the user's one without an end.
  public func stay(of user: Int, in chat: Int, at seq: Seq) -> Stay? {
    if let pair = roster.chats[chat].pair {
      return pair.0 == user || pair.1 == user ? Stay(joined: 0, left: nil, role: .member) : nil
    }
    guard chat < chats.count else { return nil }
    return chats[chat].stays[user]?.last { $0.joined <= seq && seq <= $0.left ?? .max }
  }

  /// Whether the user was ever in the chat.
  public func wasEverIn(_ chat: Int, _ user: Int) -> Bool {
    roster.isDirect(chat, of: user) || (chat < chats.count && chats[chat].stays[user] != nil)
  }

  /// The index of the chat's first event at or above the seq.
  public func index(in chat: Int, at seq: Seq) -> Int {
    guard chat < chats.count else { return 0 }
    var low = 0
    var high = chats[chat].events.count
    while low < high {
      let middle = (low + high) / 2
      if chats[chat].events[middle].seq < seq { low = middle + 1 } else { high = middle }
    }
    return low
  }

  public func event(in chat: Int, at seq: Seq) -> Event? {
    let index = index(in: chat, at: seq)
    guard chat < chats.count, index < chats[chat].events.count else { return nil }
    let event = chats[chat].events[index]
    return event.seq == seq ? event : nil
  }

  public func record(partition: Int, at seq: Seq) -> Record? {
    let all = records[partition]
    var low = 0
    var high = all.count
    while low < high {
      let middle = (low + high) / 2
      if all[middle].seq < seq { low = middle + 1 } else { high = middle }
    }
    return low < all.count && all[low].seq == seq ? all[low] : nil
  }

  /// What the first record of that name came to; nil where the log has none of it.
  public func first(chat: Int, user: Int, device: String, id: String) -> First? {
    firsts[Key(chat: chat, user: user, device: device, id: id)]
  }

  /// The event that the name became.
  public func event(chat: Int, user: Int, device: String, id: String) -> Seq? {
    eventOfKey[Key(chat: chat, user: user, device: device, id: id)]
  }
}
