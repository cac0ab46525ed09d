import JSON

/// Who is here, and in which rooms: the local tables that hints and sends are held against.
extension Edge {
  func enterUser(_ session: SessionPointer, _ name: UnsafeRawBufferPointer) {
    let number = userNames.retain(name)
    users.reserve(number, filledWith: User())
    session.pointee.user = number
    let user = users[number]
    session.pointee.previousOfUser = Session.none
    session.pointee.nextOfUser = user.pointee.firstSession
    let slot = Int32(session.pointee.id.slot)
    if user.pointee.firstSession >= 0 { sessions[user.pointee.firstSession].pointee.previousOfUser = slot }
    user.pointee.firstSession = slot
  }

  func leaveUser(_ session: SessionPointer) {
    let number = session.pointee.user
    let user = users[number]
    let next = session.pointee.nextOfUser
    let previous = session.pointee.previousOfUser
    if next >= 0 { sessions[next].pointee.previousOfUser = previous }
    if previous >= 0 {
      sessions[previous].pointee.nextOfUser = next
    } else {
      user.pointee.firstSession = next
    }
    session.pointee.user = Session.none
    if user.pointee.firstSession < 0 {
      while user.pointee.firstMembership >= 0 { removeMembership(user.pointee.firstMembership) }
    }
    if userNames.release(number) { user.pointee = User() }
  }

  // MARK: Rooms

  /// The user's entry in a room; nil where this shard knows of none.
  func membership(of user: Int32, in chat: UnsafeRawBufferPointer) -> Int32? {
    guard let number = chatNames.find(chat) else { return nil }
    return membership(of: user, inChat: number)
  }

  func membership(of user: Int32, inChat chat: Int32) -> Int32? {
    // A user has few rooms beside what a room may have of users.
    var number = users[user].pointee.firstMembership
    while number >= 0 {
      if memberships[number].pointee.chat == chat { return number }
      number = memberships[number].pointee.nextOfUser
    }
    return nil
  }

  /// Enters the user in the room, unless he is there; an entry that is there keeps its `joined`, which a
  /// session that stands further back may still need.
  func enterRoom(user: Int32, _ name: UnsafeRawBufferPointer, joined: Seq) {
    let chat = retainChat(name)
    guard membership(of: user, inChat: chat) == nil else { return releaseChat(chat) }
    let entry = chats[chat]
    if entry.pointee.memberCount == entry.pointee.memberCapacity { growMembers(entry) }
    let number = memberships.insert(
      Membership(
        user: user, chat: chat, joined: joined, nextOfUser: users[user].pointee.firstMembership,
        place: entry.pointee.memberCount))
    users[user].pointee.firstMembership = number
    entry.pointee.members![Int(entry.pointee.memberCount)] = number
    entry.pointee.memberCount += 1
    if entry.pointee.memberCount == 1 { listen(chat) }
  }

  func removeMembership(_ number: Int32) {
    let membership = memberships[number].pointee
    let user = users[membership.user]
    if user.pointee.firstMembership == number {
      user.pointee.firstMembership = membership.nextOfUser
    } else {
      var previous = user.pointee.firstMembership
      while memberships[previous].pointee.nextOfUser != number {
        previous = memberships[previous].pointee.nextOfUser
      }
      memberships[previous].pointee.nextOfUser = membership.nextOfUser
    }
    let entry = chats[membership.chat]
    entry.pointee.memberCount -= 1
    let moved = entry.pointee.members![Int(entry.pointee.memberCount)]
    entry.pointee.members![Int(membership.place)] = moved
    memberships[moved].pointee.place = membership.place
    memberships.remove(number)
    queueReaders(of: membership.user, in: membership.chat)
    if entry.pointee.memberCount == 0 { unlisten(membership.chat) }
    releaseChat(membership.chat)
  }

  /// Sessions of the user that have still to read in a room which they waited for to be registered: for who is
  /// not in it any more it is not.
  private func queueReaders(of user: Int32, in chat: Int32) {
    var number = chats[chat].pointee.firstListener
    while number >= 0 {
      let listener = listeners[number].pointee
      number = listener.nextOfChat
      let session = sessions[Int32(listener.session.slot)]
      if listener.state == .behind, session.pointee.user == user { queueForCatchUp(session) }
    }
  }

  private func growMembers(_ entry: UnsafeMutablePointer<ChatEntry>) {
    let capacity = max(4, Int(entry.pointee.memberCapacity) * 2)
    let new = UnsafeMutablePointer<Int32>.allocate(capacity: capacity)
    if let old = entry.pointee.members {
      new.update(from: old, count: Int(entry.pointee.memberCount))
      old.deallocate()
    }
    entry.pointee.members = new
    entry.pointee.memberCapacity = Int32(capacity)
  }

  /// The chat's number, with one reference more.
  func retainChat(_ name: UnsafeRawBufferPointer) -> Int32 {
    let number = chatNames.retain(name)
    chats.reserve(number, filledWith: ChatEntry())
    return number
  }

  func releaseChat(_ number: Int32) {
    guard chatNames.release(number) else { return }
    chats[number].pointee.members?.deallocate()
    chats[number].pointee = ChatEntry()
  }
}
