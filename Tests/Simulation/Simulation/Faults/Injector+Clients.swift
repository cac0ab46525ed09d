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

  /// Two devices of a member of a room, at two servers; nil where there are none.
  private func devicesOfMember() -> (room: Int, leaving: ClientHost, staying: ClientHost)? {
    let roster = cluster.checks.roster
    var found: [(room: Int, leaving: ClientHost, staying: ClientHost)] = []
    for staying in cluster.clients where staying.client.phase == .live {
      let user = roster.user(staying.client.user)
      for leaving in cluster.clients where leaving.client.user == staying.client.user {
        guard leaving.client.phase == .live, leaving.link?.shard.process !== staying.link?.shard.process
        else {
          continue
        }
        for room in roster.chats.indices where roster.chats[room].pair == nil {
          guard cluster.checks.truth.openStay(of: user, in: room) != nil else { continue }
          found.append((room, leaving, staying))
        }
      }
    }
    return engine.random.element(of: found)
  }

  func leaveWhileCut() -> Bool {
    guard let chosen = devicesOfMember(), let process = chosen.staying.link?.shard.process else {
      return false
    }
    let pause = engine.random.between(65_000, 85_000)
    cutFromRedis(process, for: pause)
    engine.after(engine.random.between(2_000, 20_000)) { [self] in
      guard !cluster.isSettling else { return }
      chosen.leaving.leave(room: chosen.room)
      talk(in: chosen.room, awayFrom: process, until: engine.now + pause + 15_000)
    }
    return true
  }

  /// Members of the room who are elsewhere say something in it every second or two.
  private func talk(in room: Int, awayFrom process: ServerProcess, until end: Tick) {
    engine.after(engine.random.between(500, 2_500)) { [self] in
      guard !cluster.isSettling, engine.now < end else { return }
      let others = cluster.clients.filter { host in
        let user = cluster.checks.roster.user(host.client.user)
        return host.client.phase == .live && host.link?.shard.process !== process
          && cluster.checks.truth.openStay(of: user, in: room) != nil
      }
      engine.random.element(of: others)?.say(in: room)
      talk(in: room, awayFrom: process, until: end)
    }
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
