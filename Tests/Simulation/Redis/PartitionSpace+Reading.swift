public import Chat

/// What a partition's keys hold, told apart for whoever checks them.
public struct PartitionReading: Sendable {
  public struct Member: Sendable {
    public var name: String
    public var row: MemberRow

    public init(name: String, row: MemberRow) {
      self.name = name
      self.row = row
    }
  }

  public struct Event: Sendable {
    public var seq: Seq
    public var prev: Seq
    public var kind: RecordKind
    public var role: Role
    public var user: String

    public init(seq: Seq, prev: Seq, kind: RecordKind, role: Role, user: String) {
      self.seq = seq
      self.prev = prev
      self.kind = kind
      self.role = role
      self.user = user
    }
  }

  public struct Chat: Sendable {
    public var name: String
    public var head: Seq
    public var isPublic: Bool?
    public var members: [Member]
    public var history: [Event]

    public init(name: String, head: Seq, isPublic: Bool?, members: [Member], history: [Event]) {
      self.name = name
      self.head = head
      self.isPublic = isPublic
      self.members = members
      self.history = history
    }
  }

  /// A user's chats, by the chat's name.
  public struct User: Sendable {
    public var name: String
    public var chats: [Member]

    public init(name: String, chats: [Member]) {
      self.name = name
      self.chats = chats
    }
  }

  public var chats: [Chat] = []
  public var users: [User] = []
  public var outcomes: [OutcomeRow] = []

  public init() {}
}

extension PartitionSpace {
  public var positions: ViewState {
    ViewState(
      id: view.id, applied: view.applied, hash: view.hash ?? 0, appended: view.appended ?? 0,
      rebuildingUntil: view.until)
  }

  public func reading(now: WallTime) -> PartitionReading {
    var reading = PartitionReading()
    for chat in chats {
      let history = now > chat.historyExpires ? [] : Array(chat.history.all)
      reading.chats.append(
        PartitionReading.Chat(
          name: chat.name, head: chat.head ?? 0, isPublic: chat.isPublic,
          members: chat.members.map { PartitionReading.Member(name: $0.key, row: $0.value) },
          history: history.map {
            PartitionReading.Event(seq: $0.seq, prev: $0.prev, kind: $0.kind, role: $0.role, user: $0.user)
          }))
    }
    for (name, place) in userPlaces {
      reading.users.append(
        PartitionReading.User(
          name: name, chats: users[place].chats.map { PartitionReading.Member(name: $0.key, row: $0.value) }))
    }
    reading.outcomes = outcomes.all.map { OutcomeRow(seq: $0.seq, outcome: $0.outcome, role: $0.role) }
    return reading
  }
}
