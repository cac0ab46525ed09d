/// Where the recent list does not reach back to the position, nobody can say which chats went on: the chats
/// of every local user are listed again, and all rooms are taken (DESIGN section 5, step 3 of the answer).
extension Edge {
  func relist(_ partition: Int32, _ answer: borrowing ViewAnswer) {
    let p = Int(partition)
    let applied = answer.applied
    var listing = Relisting(applied: applied, view: answer.view, begunAfter: lastTag, users: [])
    for number in 0..<Int32(users.addressable) where users[number].pointee.firstSession >= 0 {
      listing.users.append(Array(userNames.bytes(number)))
    }
    partitions[p].relisting = listing
    partitions[p].doubt = .relisting
    passBy(p, applied)
    goOn(partition)
  }

  /// It counts as a hint for every read and every list under way.
  private func passBy(_ p: Int, _ seq: Seq) {
    for number in 0..<Int32(chats.addressable) where isUsed(number) {
      guard Int(partition(of: chatNames.bytes(number))) == p else { continue }
      catchUp(listenersOf: number, partition: p, seq)
    }
    for (slot, attach) in attaches where sessions[slot].pointee.phase == .listing {
      attach.lists[p].membershipPassed = max(attach.lists[p].membershipPassed, seq)
    }
  }

  func isUsed(_ chat: Int32) -> Bool {
    chats[chat].pointee.firstListener >= 0 || chats[chat].pointee.memberCount > 0
  }

  private func goOn(_ partition: Int32) {
    let p = Int(partition)
    while let listing = partitions[p].relisting, listing.underWay < Relisting.atOnce, !listing.users.isEmpty {
      let user = partitions[p].relisting!.users.removeLast()
      partitions[p].relisting!.underWay += 1
      askRelist(partition, user, after: [])
    }
    guard let listing = partitions[p].relisting, listing.underWay == 0 else { return }
    endDoubt(partition, at: listing.applied, view: listing.view, directory: directories.first ?? 0)
  }

  private func askRelist(_ partition: Int32, _ user: [UInt8], after: [UInt8]) {
    ask(
      .relist(partition: partition, user: user),
      ViewQuery(
        tag: 0, partition: partition, what: .chats(after: after), user: user, limit: Limits.listRows,
        bytes: Limits.listBytes))
  }

  func received(relisted answer: borrowing ViewAnswer, user: [UInt8], partition: Int32) {
    let p = Int(partition)
    guard let listing = partitions[p].relisting, answer.tag > listing.begunAfter else { return }
    guard !answer.hasFailed, !answer.isRebuilding, answer.view == listing.view,
      directories.contains(answer.directory), answer.applied >= listing.applied
    else {
      partitions[p].relisting = nil
      partitions[p].answered = lastTag
      return waitForRecent(partition)
    }
    if let number = user.withUnsafeBytes({ userNames.find($0) }) {
      for row in answer.rows where row.seq > partitions[p].position {
        answer.bytes.withUnsafeBytes { bytes in
          catchUp(
            UnsafeRawBufferPointer(rebasing: bytes[row.chat]), sessionsOf: number, partition: p, row.seq,
            from: row.joined - 1)
        }
      }
    }
    if answer.hasMore, let last = answer.rows.last {
      return askRelist(partition, user, after: Array(answer.bytes[last.chat]))
    }
    partitions[p].relisting!.underWay -= 1
    goOn(partition)
  }
}
