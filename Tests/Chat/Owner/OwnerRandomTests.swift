import Chat
import Testing

/// Owners that change, die, overlap and lose answers, over a view that goes back and vanishes: whatever
/// happened, in the end each record changed the view once, in order, and with one outcome.
@Suite struct OwnerRandomTests {
  private struct Dice: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state ^ state >> 33) &* 0xFF51_AFD7_ED55_8CCD
    }

    mutating func happens(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
  }

  /// What the log alone says: the events of each chat, and the members of each room.
  private func fold(_ log: [OwnerBackends.Record]) -> (
    events: [String: [Seq]], members: [String: Set<String>]
  ) {
    var events: [String: [Seq]] = [:]
    var members: [String: Set<String>] = [:]
    var rooms: [String: RoomRow] = [:]
    var seen: [String: WallTime] = [:]
    for record in log {
      guard let text = record.append else { continue }
      let chat = String(decoding: text.chat, as: UTF8.self)
      let from = String(decoding: text.from, as: UTF8.self)
      let name = chat + "|" + from + "|" + String(decoding: text.id, as: UTF8.self)
      if let first = seen[name], record.appended - first <= Limits.dedupeSpanMilliseconds { continue }
      seen[name] = record.appended
      var outcome = Outcome.event
      if chat.hasPrefix("room:"), text.isRepeat || text.kind.dependsOnState {
        outcome =
          Judge.outcome(
            of: text.kind, isRepeat: text.isRepeat,
            state: Judge.State(
              room: rooms[chat], role: members[chat]?.contains(from) == true ? .member : .none,
              members: members[chat]?.count ?? 0, rooms: 0), limits: Limits()
          ).outcome
      }
      guard outcome == .event else { continue }
      events[chat, default: []].append(record.seq)
      switch text.kind {
      case .create:
        rooms[chat] = RoomRow(isPublic: true)
        members[chat] = [from]
      case .join: members[chat, default: []].insert(from)
      case .leave: members[chat]?.remove(from)
      case .message: break
      }
    }
    return (events, members)
  }

  private func traffic(_ world: OwnerBackends, _ dice: inout Dice) {
    let user = ["ann", "bob", "eve"].randomElement(using: &dice)!
    let room = ["room:q", "room:r"].randomElement(using: &dice)!
    // Few ids: many repeats.
    let id = "\(Int.random(in: 0..<400, using: &dice))"
    let isRepeat = dice.happens(30)
    switch Int.random(in: 0..<10, using: &dice) {
    case 0:
      world.append(room, from: user, id: id, kind: .create, isRepeat: isRepeat, body: "{\"public\":true}")
    case 1, 2: world.append(room, from: user, id: id, kind: .join, isRepeat: isRepeat)
    case 3: world.append(room, from: user, id: id, kind: .leave, isRepeat: isRepeat)
    case 4, 5: world.append(room, from: user, id: id, isRepeat: isRepeat)
    case 6: world.appendForeign()
    default: world.append("dm:ann:bob", from: "ann", id: id, isRepeat: isRepeat)
    }
    if dice.happens(3) { world.wall += 20_000 }
  }

  /// 217: outcomes that a view under rebuild still had from above its place were judged again.
  @Test(arguments: Array(1...15) + [217]) func everyRecordChangesTheViewOnce(seed: Int) {
    var dice = Dice(state: UInt64(seed) &* 0x9E37_79B9_7F4A_7C15)
    let world = OwnerBackends()
    let s1 = ServerEpoch(server: "s1", epoch: 1)
    world.living = [s1]
    world.users = ["ann": [s1], "bob": [s1]]
    var seeds: UInt64 = 0
    let faults = dice.happens(80) ? 8 : 0
    var faultDice = dice
    func make() -> OwnerHost {
      seeds += 1
      let host = OwnerHost(world, seed: UInt64(seed) << 32 | seeds)
      func mayFail(_ action: OwnerAction) -> Bool {
        switch action {
        case .readLog, .pauseLog, .resumeLog, .readState, .stop: false
        default: faultDice.happens(faults)
        }
      }
      host.before = { !mayFail($0) }
      host.after = { !mayFail($0) }
      host.owner.assigned(committed: world.committed, tick: host.tick, wall: world.wall)
      return host
    }
    var hosts = [make()]
    var snapshot = world.view
    for _ in 0..<1_500 {
      let host = hosts.randomElement(using: &dice)!
      switch Int.random(in: 0..<100, using: &dice) {
      case 0..<25: traffic(world, &dice)
      case 25..<75: _ = host.step()
      case 75..<93: host.pass(100)
      case 93:
        // A new owner; the one before it is gone, or goes on for a while without knowing. It cannot commit:
        // the group has fenced it.
        let zombie = hosts.last!
        let before = zombie.before
        zombie.before = { action in
          if case .commit = action { return false }
          return before(action)
        }
        hosts = dice.happens(50) ? [zombie, make()] : [make()]
      case 94: if hosts.count > 1 { hosts.removeFirst() }
      case 95, 96: snapshot = world.view
      case 97: if dice.happens(50) { world.view = snapshot }
      case 98: if dice.happens(25) { world.view = OwnerBackends.View() }
      default: world.primaries = [world.primaries[0] + 1]
      }
    }
    hosts = [hosts.last!]
    hosts[0].before = { _ in true }
    hosts[0].after = { _ in true }
    hosts[0].pass(40_000)
    let truth = fold(world.log)
    #expect(hosts[0].stops.isEmpty)
    #expect(hosts[0].owner.isInService)
    #expect(world.view.state.applied == world.end)
    #expect(world.committed == world.end)
    for (chat, seqs) in truth.events { #expect(world.history(chat) == seqs, "\(chat)") }
    #expect(world.view.history.keys.allSatisfy { truth.events[$0] != nil })
    for (room, members) in truth.members { #expect(Set(world.members(room)) == members, "\(room)") }
  }
}
