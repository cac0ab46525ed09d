import Chat

// What notes say of values that go to and fro.

extension ViewQuery {
  var text: String {
    let words =
      switch what {
      case .chats: "chats"
      case .eventsAfter(let seq): "events after \(seq.short)"
      case .eventsBefore(let seq): "events before \(seq.short)"
      case .members: "members"
      case .member: "member"
      case .recent(let seq): "recent after \(seq == .max ? -2 : seq.short)"
      }
    return "\(tag): p\(partition) \(words) \(String(decoding: chat, as: UTF8.self)) "
      + String(decoding: user, as: UTF8.self)
  }
}

extension ViewAnswer {
  var text: String {
    if hasFailed { return "\(tag): failed" }
    return "\(tag): view \(view.short)\(isRebuilding ? " rebuilding" : "") of \(directory.short), "
      + "applied \(applied.short), head \(head.short), member \(member.map { "\($0.joined.short)" } ?? "no"), "
      + "rows \(rows.map(\.seq.short))\(hasMore ? " and more" : "")"
  }
}

extension ApplyRequest {
  var text: String {
    "applies \(from.short)..\(upto.short) to \(view.short)\(isReplay ? " again" : "")\(endsRebuild ? " for good" : "") "
      + records.map {
        "\($0.seq.short)\($0.kind.dependsOnState ? "\($0.kind)" : "")\($0.forced == nil ? "" : "!")"
      }
      .joined(separator: " ")
  }
}

extension ApplyAnswer {
  var text: String {
    switch result {
    case .applied(let rows): "-> " + rows.map { "\($0.outcome)" }.joined(separator: " ")
    case .refused(let state): "-> refused by \(state.id?.short ?? "none") at \(state.applied?.short ?? -2)"
    case .unknown: "-> unknown"
    }
  }
}

extension ShardWord {
  var text: String {
    switch self {
    case .registered(let session): "registered \(session.raw & 0xFF_FFFF)"
    case .replaced(let session): "replaced \(session.raw & 0xFF_FFFF)"
    case .roomRegistered(let chat): "registered \(String(decoding: chat, as: UTF8.self))"
    case .registrationDoubted: "registration doubted"
    case .registeredAgain(let epoch, let directories):
      "registered again in \(epoch.short) with \(directories.map(\.short))"
    case .inboxDoubted: "inbox doubted"
    case .leaseHolds(let tick): "lease holds until \(tick)"
    }
  }
}
