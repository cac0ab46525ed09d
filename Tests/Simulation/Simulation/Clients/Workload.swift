/// What devices do next, drawn from a profile.
public struct Workload: Sendable {
  /// One thing that a device does.
  public enum Intent: Sendable, Equatable {
    case send(chat: Int, isLarge: Bool)
    case create(room: Int, isPublic: Bool)
    case join(room: Int)
    case leave(room: Int)
    case history(chat: Int)
    case chats
    case members(room: Int)
    case read(chat: Int)
    case typing(chat: Int)
    /// That many times join or leave, in turn.
    case storm(room: Int, count: Int)
    case move
    case cut
    case overlap
    case away(milliseconds: Int64)
    case forget
  }

  public let profile: Profile
  /// By number in the roster: the users, the public rooms, the private ones.
  public let users: [Int]
  public let rooms: [Int]
  public let privateRooms: [Int]
  private let kinds: [Kind]
  private let sums: [Int]

  private enum Kind: Sendable {
    case sendToRoom, sendToUser, join, leave, create, history, chats, members, read, typing, storm
    case move, cut, overlap, nap, sleep, absence, forget
  }

  public init(_ profile: Profile, roster: Roster) {
    self.profile = profile
    users = (0..<profile.users).map { roster.user("u\($0)") }
    rooms = (0..<profile.rooms).map { roster.chat("room:r\($0)") }
    privateRooms = (0..<profile.privateRooms).map { roster.chat("room:p\($0)") }
    let weights = profile.weights
    let table: [(Kind, Int)] = [
      (.sendToRoom, weights.sendToRoom), (.sendToUser, weights.sendToUser), (.join, weights.join),
      (.leave, weights.leave), (.create, weights.create), (.history, weights.history),
      (.chats, weights.chats), (.members, weights.members), (.read, weights.read),
      (.typing, weights.typing), (.storm, weights.storm), (.move, weights.move), (.cut, weights.cut),
      (.overlap, weights.overlap), (.nap, weights.nap), (.sleep, weights.sleep),
      (.absence, weights.absence), (.forget, weights.forget),
    ]
    kinds = table.map(\.0)
    var sum = 0
    sums = table.map {
      sum += $0.1
      return sum
    }
  }

  /// Milliseconds until a device does the next thing: mostly soon after the last one, at times much later.
  public func pause(_ random: inout Generator) -> Int64 {
    let mean = profile.pauseMilliseconds
    return random.chance(0.1)
      ? Int64.random(in: 0...20 * mean, using: &random) : Int64.random(in: 0...mean, using: &random)
  }

  public func next(user: Int, roster: Roster, _ random: inout Generator) -> Intent {
    let draw = Int.random(in: 0..<sums[sums.count - 1], using: &random)
    let kind = kinds[sums.firstIndex { draw < $0 }!]
    let room = anyRoom(&random)
    switch kind {
    case .sendToRoom: return .send(chat: room, isLarge: random.chance(0.05))
    case .sendToUser: return .send(chat: anyDirect(user, roster, &random), isLarge: random.chance(0.05))
    case .join: return .join(room: room)
    case .leave: return .leave(room: room)
    case .create: return .create(room: room, isPublic: rooms.contains(room))
    case .history: return .history(chat: anyChat(user, roster, &random))
    case .chats: return .chats
    case .members: return .members(room: room)
    case .read: return .read(chat: anyChat(user, roster, &random))
    case .typing: return .typing(chat: anyChat(user, roster, &random))
    case .storm: return .storm(room: room, count: Int.random(in: 3...8, using: &random))
    case .move: return .move
    case .cut: return .cut
    case .overlap: return .overlap
    case .nap: return .away(milliseconds: Int64.random(in: 500...20_000, using: &random))
    case .sleep: return .away(milliseconds: Int64.random(in: 270_000...299_000, using: &random))
    case .absence:
      let longest = profile.longAbsenceMilliseconds
      return .away(milliseconds: Int64.random(in: longest / 2...longest, using: &random))
    case .forget: return .forget
    }
  }

  private func anyRoom(_ random: inout Generator) -> Int {
    if !privateRooms.isEmpty, rooms.isEmpty || random.chance(0.2) {
      return privateRooms.randomElement(using: &random)!
    }
    return rooms.randomElement(using: &random)!
  }

  private func anyDirect(_ user: Int, _ roster: Roster, _ random: inout Generator) -> Int {
    roster.direct(user, users.randomElement(using: &random)!)
  }

  private func anyChat(_ user: Int, _ roster: Roster, _ random: inout Generator) -> Int {
    random.chance(0.5) ? anyRoom(&random) : anyDirect(user, roster, &random)
  }
}
