public import Chat
public import SimulatedRedis

/// I5 and I6: a partition's view is the truth folded up to `applied`, within what trimming and a rebuild
/// allow.
extension Checks {
  /// Where the view stands, held against the log. Cheap: to be asked after each write.
  public func checkPositions(partition: Int, _ view: ViewState) {
    guard !truth.lost.contains(partition), let applied = view.applied else { return }
    guard applied <= truth.end(partition) else {
      return note(.i6, "p\(partition): applied \(applied) is beyond the log's end \(truth.end(partition))")
    }
    guard view.hash != 0 else { return }
    guard let record = truth.record(partition: partition, at: applied) else {
      return note(.i6, "p\(partition): applied \(applied) is no record of the log")
    }
    if record.outcome != nil, record.hash != view.hash {
      note(.i6, "p\(partition): the view remembers another record at \(applied)")
    }
  }

  /// Everything that the view holds. For the end of a run, and for whoever looks for the moment at which a
  /// view went wrong.
  public func checkView(partition: Int, _ view: ViewState, _ reading: PartitionReading) {
    checkPositions(partition: partition, view)
    guard !truth.lost.contains(partition), let applied = view.applied, view.rebuildingUntil == nil else {
      return
    }
    var seen: Set<Int> = []
    for chat in reading.chats {
      let number = roster.chat(chat.name)
      seen.insert(number)
      checkChat(number, chat, applied)
    }
    for chat in truth.chats.indices where roster.chats[chat].partition == partition {
      if !seen.contains(chat), truth.head(of: chat, at: applied) > 0 {
        note(.i5, "\(roster.chats[chat].name) is missing in the view at \(applied)")
      }
    }
    for user in reading.users { checkChats(of: user, partition: partition, applied) }
    for row in reading.outcomes { checkOutcome(row, partition: partition) }
  }

  private func checkChat(_ number: Int, _ chat: PartitionReading.Chat, _ applied: Seq) {
    let head = truth.head(of: number, at: applied)
    if chat.head != head { note(.i5, "\(chat.name) has the head \(chat.head), not \(head), at \(applied)") }
    let state = truth.state(of: number)
    let isPublic = state.created > 0 && state.created <= applied ? state.isPublic : nil
    if chat.isPublic != isPublic {
      note(.i5, "\(chat.name) is public: \(String(describing: chat.isPublic)) at \(applied)")
    }
    if roster.chats[number].isRoom { checkMembers(number, chat, applied) }
    checkHistory(number, chat, applied)
  }

  private func checkMembers(_ number: Int, _ chat: PartitionReading.Chat, _ applied: Seq) {
    for member in chat.members {
      let stay = truth.stayStanding(of: roster.user(member.name), in: number, at: applied)
      if stay?.joined != member.row.joined || stay?.role != member.row.role {
        note(
          .i5,
          "\(member.name) is in \(chat.name) since \(member.row.joined), not \(stay?.joined ?? 0), at \(applied)"
        )
      }
    }
    let count = truth.state(of: number).stays.keys.count {
      truth.stayStanding(of: $0, in: number, at: applied) != nil
    }
    if count != chat.members.count {
      note(.i5, "\(chat.name) has \(chat.members.count) members, not \(count), at \(applied)")
    }
  }

  private func checkHistory(_ number: Int, _ chat: PartitionReading.Chat, _ applied: Seq) {
    let state = truth.state(of: number)
    var index = truth.index(in: number, at: applied + 1)
    for stored in chat.history.reversed() {
      index -= 1
      guard index >= 0, state.events[index].seq == stored.seq, state.events[index].kind == stored.kind,
        state.events[index].role == stored.role, roster.users[state.events[index].author] == stored.user
      else {
        let expected = index >= 0 ? "\(state.events[index].seq)" : "nothing"
        return note(.i5, "the history of \(chat.name) has \(stored.seq), not \(expected), at \(applied)")
      }
      // Of the oldest one a rebuild knows only that there was another before it.
      if stored.prev != state.events[index].prev, index > state.trimmed {
        note(.i5, "\(chat.name) \(stored.seq) comes after \(stored.prev), not \(state.events[index].prev)")
      }
    }
    if index > state.trimmed, index <= state.events.count {
      note(.i5, "the history of \(chat.name) lacks \(state.events[index - 1].seq) at \(applied)")
    }
  }

  private func checkChats(of user: PartitionReading.User, partition: Int, _ applied: Seq) {
    let number = roster.user(user.name)
    for chat in user.chats {
      let place = roster.chat(chat.name)
      let joined: Seq? =
        roster.chats[place].isRoom
        ? truth.stayStanding(of: number, in: place, at: applied)?.joined
        : roster.isDirect(place, of: number) && truth.head(of: place, at: applied) > 0 ? 0 : nil
      if joined != chat.row.joined {
        note(.i5, "\(user.name) has \(chat.name) since \(chat.row.joined) among his chats at \(applied)")
      }
    }
    let count = truth.chats.indices.count { chat in
      guard roster.chats[chat].partition == partition else { return false }
      if roster.chats[chat].isRoom { return truth.stayStanding(of: number, in: chat, at: applied) != nil }
      return roster.isDirect(chat, of: number) && truth.head(of: chat, at: applied) > 0
    }
    if count != user.chats.count {
      note(.i5, "\(user.name) has \(user.chats.count) chats in p\(partition), not \(count), at \(applied)")
    }
  }

  private func checkOutcome(_ row: OutcomeRow, partition: Int) {
    guard let record = truth.record(partition: partition, at: row.seq), let outcome = record.outcome else {
      return note(.i5, "p\(partition): an outcome of \(row.seq), which is no record")
    }
    if outcome != row.outcome {
      note(.i5, "p\(partition): \(row.seq) came to \(row.outcome), not \(outcome)")
    }
  }
}

extension Truth {
  /// The chat's last event up to a place of the log; 0 where there is none.
  func head(of chat: Int, at applied: Seq) -> Seq {
    let index = index(in: chat, at: applied + 1)
    return index > 0 ? chats[chat].events[index - 1].seq : 0
  }

  /// The stay in a room that stands at a place of the log.
  func stayStanding(of user: Int, in chat: Int, at applied: Seq) -> Stay? {
    state(of: chat).stays[user]?.last { $0.joined <= applied && applied < $0.left ?? .max }
  }
}
