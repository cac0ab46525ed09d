public import Chat

/// What a simulated primary holds: a value, so that a snapshot is a copy. Typed by what our keys hold, since
/// nothing else is ever stored; `lines(now:)` says it as Redis would.
public struct Keyspace: Sendable {
  /// The views, each of one slot: a partition's can be set back alone.
  public var partitions: [Int32: PartitionSpace] = [:]
  /// `fc:{u:<user>}:d` by user, then by `<server>:<epoch>:<session>`.
  public var sessions: [String: [String: SessionRow]] = [:]
  /// `fc:{srv}:<server>`
  public var leases: [String: Lease] = [:]
  /// `fc:{srv}:all`
  public var servers: Set<String> = []
  /// `fc:{srv}:cut:all`
  public var cut: Set<String> = []

  public init() {}

  public struct SessionRow: Sendable, Equatable {
    public var server: String
    public var epoch: Epoch
    public var device: String
    public var helloAt: WallTime

    public init(server: String, epoch: Epoch, device: String, helloAt: WallTime) {
      self.server = server
      self.epoch = epoch
      self.device = device
      self.helloAt = helloAt
    }
  }

  public struct Lease: Sendable, Equatable {
    /// `epoch:process:boot:host`
    public var text: [UInt8]
    /// It holds up to and with this millisecond.
    public var expires: WallTime

    public init(text: [UInt8], expires: WallTime) {
      self.text = text
      self.expires = expires
    }
  }
}

/// The keys of one partition: `fc:{pN}:...`.
public struct PartitionSpace: Sendable {
  /// `view`
  var view = ViewRow()
  /// `l`
  var recent = SeqStream<RecentRow>()
  /// `o`
  var outcomes = SeqStream<StoredOutcome>()
  /// `x`: `<chat>\n<user>` to the seq of the removal, during a rebuild.
  var removals: [String: Seq] = [:]
  /// `k:`, `m:`, `h:` and `s:` of each chat.
  var chats: [ChatSpace] = []
  var chatPlaces: [String: Int] = [:]
  /// `c:` and `r:` of each user.
  var users: [UserSpace] = []
  var userPlaces: [String: Int] = [:]

  public init() {}

  struct ViewRow: Sendable, Equatable {
    var id: ViewID?
    var applied: Seq?
    var hash: UInt64?
    var appended: WallTime?
    var until: Seq?
    /// Where the replay of a rebuild began.
    var begin: Seq?
    /// Up to where the view reflected the log when its rebuild began: older rows are not restored.
    var base: Seq?
    /// From the beginning of a rebuild until the read positions are back.
    var lacksReads = false
  }

  struct RecentRow: StreamRow {
    var seq: Seq
    var chat: String
    var user: String
    var kind: RecordKind
    var role: Role
  }

  struct StoredOutcome: StreamRow {
    var seq: Seq
    var chat: String
    var outcome: Outcome
    var role: Role
  }

  struct StoredEvent: StreamRow {
    var seq: Seq
    var prev: Seq
    var kind: RecordKind
    var role: Role
    var user: String
    var time: WallTime
    /// `epoch:session:request`
    var origin: [UInt8]
    var json: [UInt8]
  }

  struct ChatSpace: Sendable {
    let name: String
    let isRoom: Bool
    var head: Seq?
    /// What the history was trimmed to last.
    var floor: Seq?
    var isPublic: Bool?
    /// The room's properties as JSON; set with `isPublic`.
    var room: [UInt8] = []
    var members: [String: MemberRow] = [:]
    var history = SeqStream<StoredEvent>()
    var historyExpires: WallTime = .max
    /// Server to epoch.
    var servers: [String: Epoch] = [:]

    init(_ name: String) {
      self.name = name
      isRoom = name.utf8.first == UInt8(ascii: "r")
    }

    /// The users of a direct chat, as its name says.
    var users: [String] {
      guard name.hasPrefix("dm:") else { return [] }
      let users = name.utf8.dropFirst(3).split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
      return users.count == 2 ? users.map { String(Substring($0)) } : []
    }
  }

  struct UserSpace: Sendable {
    var chats: [String: MemberRow] = [:]
    var reads: [String: Seq] = [:]
  }

  /// The place of a chat in `chats`, which is made where there is none.
  mutating func chat(_ name: String) -> Int {
    if let place = chatPlaces[name] { return place }
    chatPlaces[name] = chats.count
    chats.append(ChatSpace(name))
    return chats.count - 1
  }

  mutating func user(_ name: String) -> Int {
    if let place = userPlaces[name] { return place }
    userPlaces[name] = users.count
    users.append(UserSpace())
    return users.count - 1
  }

  /// Forgets a history that nothing was added to for too long.
  mutating func expireHistory(_ chat: Int, now: WallTime) {
    if now > chats[chat].historyExpires {
      chats[chat].history.removeAll()
      chats[chat].historyExpires = .max
    }
  }

  mutating func enter(_ user: String, _ chat: Int, _ row: MemberRow) {
    let name = chats[chat].name
    chats[chat].members[user] = row
    users[self.user(user)].chats[name] = row
  }

  mutating func leave(_ user: String, _ chat: Int) {
    let name = chats[chat].name
    chats[chat].members[user] = nil
    let place = self.user(user)
    users[place].chats[name] = nil
    users[place].reads[name] = nil
  }

  /// Lets the users of a direct chat be in it.
  mutating func enterDirect(_ chat: Int) {
    for user in chats[chat].users {
      let place = self.user(user)
      if users[place].chats[chats[chat].name] == nil {
        users[place].chats[chats[chat].name] = MemberRow(role: .member, joined: 0)
      }
    }
  }

  /// Whether a member's row, or his removal, is known from this record or a later one.
  func isSettled(_ user: String, _ chat: Int, _ seq: Seq) -> Bool {
    if let row = chats[chat].members[user], row.joined >= seq { return true }
    return removals.isEmpty ? false : (removals[chats[chat].name + "\n" + user] ?? -1) >= seq
  }

  mutating func remember(removalOf user: String, _ chat: Int, _ seq: Seq) {
    removals[chats[chat].name + "\n" + user] = seq
  }
}
