/// Who takes part in a run: users, their devices, who is in which room.
struct Roster: Sendable {
  struct Member: Sendable {
    let user: String
    let devices: [String]
    /// What its devices send to: as `to` names it, and the chat that this is.
    let targets: [(to: String, chat: String)]
    /// Rooms that its first device joins and leaves all the time.
    let visited: [String]
  }

  /// Made by the keeper, who stays in all of them: what nobody else saw, he did.
  let rooms: [String]
  let keeper: String
  /// By room: who joins before the faults begin, and stays.
  let permanent: [String: [String]]
  let members: [Member]

  var deviceCount: Int { members.reduce(0) { $0 + $1.devices.count } }

  /// - Parameters:
  ///   - users: those that stay in their rooms; a third as many come and go.
  init(users: Int) {
    let names = (0..<max(users, 3)).map { "user\($0)" }
    let visitors = (0..<max(users / 3, 1)).map { "visitor\($0)" }
    rooms = (0..<3).map { "room:r\($0)" }
    keeper = "keeper"
    var permanent: [String: [String]] = [:]
    // The first room has everybody, the others every second and third.
    for (index, room) in rooms.enumerated() {
      permanent[room] = names.indices.filter { $0 % (index + 1) == 0 }.map { names[$0] }
    }
    self.permanent = permanent
    var members: [Member] = []
    for (index, name) in names.enumerated() {
      let next = names[(index + 1) % names.count]
      let other = names[(index + names.count / 2) % names.count]
      var targets = [next, other].filter { $0 != name }.map {
        (to: "user:\($0)", chat: Self.direct(name, $0))
      }
      targets += rooms.filter { permanent[$0]!.contains(name) }.map { (to: $0, chat: $0) }
      if index == 0 { targets.append((to: "user:\(name)", chat: Self.direct(name, name))) }
      let devices = (0..<(index % 4 == 0 ? 3 : 2)).map { "\(name)-d\($0)" }
      members.append(Member(user: name, devices: devices, targets: targets, visited: []))
    }
    for (index, name) in visitors.enumerated() {
      let friend = names[index % names.count]
      members.append(
        Member(
          user: name, devices: ["\(name)-d0", "\(name)-d1"],
          targets: [(to: "user:\(friend)", chat: Self.direct(name, friend))], visited: [rooms[1], rooms[2]]))
    }
    members.append(Member(user: keeper, devices: ["keeper-d0"], targets: [], visited: []))
    self.members = members
  }

  /// A chat of two users, the two in byte order.
  static func direct(_ one: String, _ other: String) -> String {
    one.utf8.lexicographicallyPrecedes(other.utf8) ? "dm:\(one):\(other)" : "dm:\(other):\(one)"
  }
}
