import Chat

/// What goes wrong between clients and servers, and schedules that chance alone would seldom make.
extension Injector {
  func cut() -> Bool {
    for _ in 0..<1 + engine.random.below(4) {
      guard let host = engine.random.element(of: cluster.clients), host.link != nil else { continue }
      host.cut()
    }
    return false
  }

  func congest() -> Bool {
    var hasHappened = false
    for _ in 0..<1 + engine.random.below(4) {
      guard let link = engine.random.element(of: cluster.clients)?.link else { continue }
      link.congest(for: engine.random.between(200, 20_000))
      hasHappened = true
    }
    return hasHappened
  }

  /// Everybody is cut off, and comes back to all shards at once: each is the first to listen to its rooms.
  func cutAll() -> Bool {
    for host in cluster.clients where host.link != nil {
      host.cut(comesBackAfter: engine.random.between(0, 20))
    }
    return true
  }

  /// A direct chat that nobody wrote in yet, and who begins it; nil where there is none.
  private func newChat() -> (from: ClientHost, to: ClientHost, chat: Int)? {
    let roster = cluster.checks.roster
    var found: [(from: ClientHost, to: ClientHost, chat: Int)] = []
    for from in cluster.clients where from.client.phase == .live {
      for to in cluster.clients where to.client.user != from.client.user {
        let chat = roster.direct(roster.user(from.client.user), roster.user(to.client.user))
        if cluster.checks.truth.state(of: chat).events.isEmpty { found.append((from, to, chat)) }
      }
    }
    return engine.random.element(of: found)
  }

  func sendDuringLapse() -> Bool {
    guard cluster.stalledLease == nil, let chosen = newChat(), let link = chosen.to.link else { return false }
    let server = link.shard.process.name
    cluster.trouble(.lease, server: server, for: 40_000)
    cluster.stalledLease = server
    let lapse = engine.random.between(3_000, 5_000)
    engine.after(lapse) { [self] in
      if !cluster.isSettling { chosen.from.say(in: chosen.chat) }
    }
    engine.after(lapse + engine.random.between(0, 3_000)) { [unowned cluster] in cluster.stalledLease = nil }
    return true
  }

  func sendWhileAttaching() -> Bool {
    guard let chosen = newChat(), chosen.to.link != nil else { return false }
    chosen.to.cut(comesBackAfter: engine.random.between(0, 100))
    engine.after(engine.random.between(20, 300)) { [self] in
      if !cluster.isSettling { chosen.from.say(in: chosen.chat) }
    }
    return true
  }
}
