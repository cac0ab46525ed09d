/// What an edge asks of the view. `tag` comes back with the answer; it means nothing to the view.
public struct ViewQuery: Sendable {
  public enum What: Sendable, Equatable {
    /// The chats of `user` in the partition, in byte order of their ids, those above `after` only.
    case chats(after: [UInt8])
    /// Events of `chat` above `seq`, oldest first.
    case eventsAfter(Seq)
    /// Events of `chat` below `seq`, newest first; 0 stands for "the newest".
    case eventsBefore(Seq)
    /// Members of `chat` above `after` in byte order.
    case members(after: [UInt8])
    /// Only the head of the answer: positions, `member`, `room`, `head`.
    case member
    /// The partition's recent list above `seq`: which chat got an event, and whom it concerned.
    case recent(after: Seq)
  }

  public var tag: UInt64
  public var partition: Int32
  public var what: What
  /// Empty where `what` is about a user alone.
  public var chat: [UInt8]
  /// Whose chats, or whose member row is read in the same step. Empty for `recent`.
  public var user: [UInt8]
  /// Rows at most.
  public var limit: Int
  /// Bytes of rows' texts at most; at least one row is given whatever its size.
  public var bytes: Int

  public init(
    tag: UInt64, partition: Int32, what: What, chat: [UInt8] = [], user: [UInt8] = [], limit: Int = 0,
    bytes: Int = 0
  ) {
    self.tag = tag
    self.partition = partition
    self.what = what
    self.chat = chat
    self.user = user
    self.limit = limit
    self.bytes = bytes
  }
}

/// Someone's standing in a chat.
public struct MemberRow: Sendable, Equatable {
  public var role: Role
  /// The seq of the event by which he joined; 0 in a direct chat.
  public var joined: Seq

  public init(role: Role, joined: Seq) {
    self.role = role
    self.joined = joined
  }
}

/// A room, as far as who may enter it goes.
public struct RoomRow: Sendable, Equatable {
  public var isPublic: Bool
  public init(isPublic: Bool) { self.isPublic = isPublic }
}

/// What the view said, all of it read in one atomic step.
public struct ViewAnswer: Sendable {
  /// One row; which fields mean something depends on the query. Texts are ranges of `bytes`.
  public struct Row: Sendable {
    /// Event, or the head of a chat, or a recent event.
    public var seq: Seq = 0
    public var prev: Seq = 0
    public var kind: RecordKind = .message
    public var role: Role = .none
    /// Of a chat: since when the user is in it (0 in a direct chat).
    public var joined: Seq = 0
    /// Of a chat: how far the user has read it.
    public var read: Seq = 0
    public var time: WallTime = 0
    public var origin: Origin = .none
    /// Of `chats` and `recent`: the chat's id.
    public var chat: Range<Int> = 0..<0
    /// Of an event or a recent row: whom it concerns. Of `members`: the member.
    public var user: Range<Int> = 0..<0
    /// Of an event: as clients get it.
    public var json: Range<Int> = 0..<0

    public init() {}
  }

  public var tag: UInt64
  public var partition: Int32
  /// The view could not be asked; nothing else here means anything.
  public var hasFailed = false
  public var view: ViewID
  /// The primary that answered.
  public var directory: DirectoryID
  public var applied: Seq
  /// The log's end if the backbone knows it (embedded: always, it is `applied`); nil where it must be asked.
  public var logEnd: Seq?
  /// The view is being rebuilt, or is missing: it answers nothing about chats yet.
  public var isRebuilding = false
  /// The chat's last event, 0 if none.
  public var head: Seq = 0
  /// The asking user's row in the chat; nil for somebody who is not a member.
  public var member: MemberRow?
  /// Nil for a direct chat, and for a room that does not exist.
  public var room: RoomRow?
  public var rows: [Row] = []
  public var bytes: [UInt8] = []
  /// Of `recent`: the list's oldest row of all is not above the seq asked, or nothing came after that seq, so
  /// that nothing is missing in between.
  public var reachesBack = true
  /// There are rows beyond these, in the direction asked.
  public var hasMore = false

  public init(tag: UInt64, partition: Int32, view: ViewID, directory: DirectoryID, applied: Seq) {
    self.tag = tag
    self.partition = partition
    self.view = view
    self.directory = directory
    self.applied = applied
  }
}
