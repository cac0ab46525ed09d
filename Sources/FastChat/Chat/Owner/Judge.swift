/// What a record comes to, given the state of its chat: the rules, apart from wherever that state is kept.
///
/// The Redis script of a cluster says the same in Lua; the simulator holds both against each other.
public enum Judge {
  /// The state that a judgement needs.
  public struct State {
    /// Nil for a direct chat, and for a room that does not exist.
    public var room: RoomRow?
    /// The author's role in the room.
    public var role: Role
    public var members: Int
    /// Rooms that the author is in.
    public var rooms: Int

    public init(room: RoomRow?, role: Role, members: Int, rooms: Int) {
      self.room = room
      self.role = role
      self.members = members
      self.rooms = rooms
    }
  }

  /// The outcome of a record of a *room* that was not seen before, and the author's role after it where
  /// the outcome is `event`. A message in a direct chat is always an event.
  public static func outcome(
    of kind: RecordKind, isRepeat: Bool, state: State, limits: Limits
  ) -> (outcome: Outcome, role: Role) {
    switch kind {
    case .message:
      // A first send was authorised by its edge, and is never refused here (DESIGN section 3).
      guard isRepeat else { return (.event, state.role) }
      guard let room = state.room else { return (.notFound, .none) }
      if state.role != .none { return (.event, state.role) }
      return (room.isPublic ? .forbidden : .notFound, .none)
    case .create:
      if state.room != nil { return (.exists, state.role) }
      if state.rooms >= limits.userRooms { return (.forbidden, .none) }
      return (.event, .owner)
    case .join:
      guard let room = state.room else { return (.notFound, .none) }
      if state.role != .none { return (.unchanged, state.role) }
      guard room.isPublic else { return (.notFound, .none) }
      if state.members >= limits.roomMembers || state.rooms >= limits.userRooms { return (.forbidden, .none) }
      return (.event, .member)
    case .leave:
      guard let room = state.room else { return (.notFound, .none) }
      if state.role != .none { return (.event, .none) }
      return (room.isPublic ? .unchanged : .notFound, .none)
    }
  }
}
