import Glibc
import Support

/// One device of one user, on a thread of its own: it keeps cursors as PROTOCOL says, sends, repeats what was
/// not answered, comes and goes, moves between instances, and writes down all that it was told.
final class Device: @unchecked Sendable {
  /// How it behaves; milliseconds.
  enum Habit {
    static let sendEvery = 150...1_200
    static let stayFor = 3_000...40_000
    static let awayFor = 0...6_000
    static let visitEvery = 800...6_000
    /// Requests without an answer; one more is not sent.
    static let pendingMax = 8
    /// It says `ping` after as long a silence, and gives the connection up after this one.
    static let quietMax = 2_000
    static let silentMax = 5_000
    static let connectMax = 5_000
    /// `hello` may be held for 10 s (PROTOCOL).
    static let helloMax = 13_000
    /// A request that had neither answer nor error as long is repeated on a new connection.
    static let answerMax = 45_000
  }

  private struct Request {
    let id: String
    /// The frame without its closing brace.
    let text: String
    let chat: String
    let isVisit: Bool
    /// When its user made it, connected or not.
    let madeAt: Int
    /// When it was said last; nil before the first time.
    var saidAt: Int?
    /// When to repeat it; nil while an answer is awaited.
    var repeatAt: Int?
  }

  /// The place among all devices.
  let index: Int
  private(set) var account: Account
  private let member: Roster.Member
  private let isVisiting: Bool
  private let doors: Doors
  private let board: Board
  private var generator: SeededGenerator

  // What it knows, as an honest client keeps it.
  private var log: String?
  private var cursors: [String: Int] = [:]
  private var pending: [Request] = []
  /// Rooms that it believes to be in.
  private var inside: Set<String> = []

  // The connection.
  private var socket: WebSocketTestClient?
  private var instance = 0
  /// The last fault that was noticed to be on the instance.
  private var knownHit = 0
  private var hasComeBack = false
  private var lastHeard = 0
  private var lastSaid = 0
  private var endOfStay = 0
  private var nextSend = 0
  private var nextVisit = 0
  private var requests = 0
  /// Since when it has wanted to be connected.
  private var onlineSince = 0
  private var comeBackAfter = 0
  private var isLive = false
  /// When the last connection ended, whoever ended it.
  private var brokenSince: Int?

  init(
    index: Int, member: Roster.Member, name: String, isVisiting: Bool, doors: Doors, board: Board,
    seed: UInt64
  ) {
    self.index = index
    self.member = member
    self.doors = doors
    self.board = board
    self.isVisiting = isVisiting
    account = Account(user: member.user, device: name)
    generator = SeededGenerator(seed: seed)
    instance = Int.random(in: 0..<doors.count, using: &generator)
  }

  /// Writes down what was never answered, once the thread has ended.
  func close() {
    account.unsettled = pending.map { "\($0.id) in \($0.chat)" }
  }

  /// The thread's life.
  func run() {
    while true {
      switch board.phase {
      case .abandon: return
      case .load, .settle, .finish: break
      }
      do {
        try attach()
        try converse()
        if board.phase == .finish {
          // Once more with the cursors, and then everything must have been handed over.
          if hasComeBack {
            board.finished(index)
            return leave()
          }
          hasComeBack = true
        }
        goAway()
      } catch {
        // The connection broke, or there is no server to connect to: another one may have more luck.
        leave()
        pause(comeBackAfter > 0 ? comeBackAfter : Int.random(in: 30...300, using: &generator))
        comeBackAfter = 0
        moveOn()
      }
    }
  }

  private func leave() {
    socket?.socket.close()
    socket = nil
    if isLive { brokenSince = RunClock.milliseconds }
    isLive = false
    reportWaiting()
  }

  private func moveOn() {
    if doors.count > 1 {
      instance = (instance + Int.random(in: 1..<doors.count, using: &generator)) % doors.count
    }
    noticeHit()
  }

  /// Ends a stay of its own will.
  private func goAway() {
    if generator.chance(50) { socket?.socket.reset() } else { socket?.socket.close() }
    socket = nil
    isLive = false
    brokenSince = nil
    board.waits(index, since: nil)
    // Who waits for an answer does not stay away.
    if pending.isEmpty, generator.chance(60) { pause(Int.random(in: Habit.awayFor, using: &generator)) }
    onlineSince = RunClock.milliseconds
    brokenSince = onlineSince
    nextSend = max(nextSend, onlineSince + Int.random(in: Habit.sendEvery, using: &generator))
    reportWaiting()
    if generator.chance(60) { moveOn() }
  }

  private func pause(_ milliseconds: Int) {
    let end = RunClock.milliseconds + milliseconds
    while RunClock.milliseconds < end, board.phase != .abandon {
      noticeHit()
      usleep(UInt32(min(50, max(1, end - RunClock.milliseconds))) * 1_000)
    }
  }

  private func noticeHit() {
    guard let hit = doors.fault(on: instance), hit != knownHit else { return }
    knownHit = hit
    board.isHit(index)
  }

  // MARK: A session

  private func attach() throws {
    noticeHit()
    let socket = try WebSocketTestClient(
      port: doors.ports[instance], patience: .after(.milliseconds(Habit.connectMax)))
    self.socket = socket
    let rows = cursors.sorted { $0.key < $1.key }.map { ",\"\($0.key)\":\($0.value)" }.joined()
    try say(
      "{\"type\":\"hello\",\"user\":\"\(account.user)\",\"device\":\"\(account.device)\""
        + (log.map { ",\"log\":\"\($0)\"" } ?? "") + ",\"cursors\":{\"*\":0\(rows)}}")
    let welcome = try hear(.after(.milliseconds(Habit.helloMax)))
    guard welcome.type == "welcome" else {
      if welcome.code != "unavailable" { account.faults.append("\(welcome) in place of welcome") }
      throw TestFailure("not now")
    }
    if let log, welcome["log"]?.string != log { account.faults.append("another log: \(welcome)") }
    log = welcome["log"]?.string
    account.sessions += 1
    // A chat absent from the complete list is one that the user is no longer in (PROTOCOL).
    if welcome["more"]?.bool == false, let list = welcome["chats"]?.array {
      inside = Set(list.compactMap { $0["chat"]?.string }.filter { $0.hasPrefix("room:") })
    }
    while true {
      let frame = try hear(.after(.milliseconds(Habit.helloMax)))
      if frame.type == "live" { break }
      take(frame)
    }
    isLive = true
    let now = RunClock.milliseconds
    endOfStay = now + Int.random(in: Habit.stayFor, using: &generator)
    nextVisit = now + Int.random(in: Habit.visitEvery, using: &generator)
    // At once after `live`: what had no answer, and what its user wrote while there was no connection.
    if account.sessions == 1 { nextSend = now + Int.random(in: Habit.sendEvery, using: &generator) }
    if board.phase == .load { write(until: now) }
    for place in pending.indices { try sayRequest(place) }
  }

  private func converse() throws {
    while true {
      noticeHit()
      let now = RunClock.milliseconds
      switch board.phase {
      case .load:
        if now >= endOfStay { return }
        for place in write(until: now) { try sayRequest(place) }
        if isVisiting, now >= nextVisit { try visitSomething(now) }
      case .settle: board.settled(index, pending.isEmpty)
      case .finish: if pending.isEmpty, !hasComeBack || hasEverything() { return }
      case .abandon: return
      }
      for place in pending.indices {
        if let at = pending[place].repeatAt, now >= at { try sayRequest(place) }
        if now - (pending[place].saidAt ?? now) > Habit.answerMax {
          throw TestFailure("no answer for too long")
        }
      }
      reportWaiting()
      if now - lastHeard > Habit.silentMax { throw TestFailure("silence") }
      if now - max(lastHeard, lastSaid) > Habit.quietMax { try say("{\"type\":\"ping\",\"id\":\"p\"}") }
      if socket!.hasInput(.after(.milliseconds(20))) {
        take(try hear(.after(.milliseconds(Habit.silentMax))))
      }
    }
  }

  /// What waits: its oldest request, or itself to be connected.
  private func reportWaiting() {
    let unconnected = isLive || board.phase != .load ? nil : brokenSince
    let since = (pending.map(\.madeAt) + [unconnected].compactMap { $0 }).min()
    board.waits(
      index, since: since,
      for: "\(account.name) at instance \(instance), \(isLive ? "live" : "not live"), with "
        + pending.map { "\($0.id) in \($0.chat) said at \($0.saidAt ?? 0)" }.joined(separator: ", "))
  }

  /// Whether it was handed all that anybody was told of in the chats that it is in.
  private func hasEverything() -> Bool {
    board.heads().allSatisfy { chat, head in
      guard isIn(chat) else { return true }
      return (cursors[chat] ?? 0) >= head
    }
  }

  private func isIn(_ chat: String) -> Bool {
    chat.hasPrefix("room:") ? inside.contains(chat) : account.takesPart(inDirect: chat)
  }

  // MARK: What it says

  private func say(_ text: String) throws {
    lastSaid = RunClock.milliseconds
    try socket!.send(text: text)
  }

  /// Makes the messages that its user has written by now; their places among the pending.
  @discardableResult
  private func write(until now: Int) -> Range<Int> {
    let before = pending.count
    while nextSend <= now {
      if pending.count < Habit.pendingMax, let target = target() {
        requests += 1
        let id = "\(account.device)-\(requests)"
        let filler = String(repeating: "x", count: Int.random(in: 0...200, using: &generator))
        let text =
          "{\"type\":\"send\",\"id\":\"\(id)\",\"to\":\"\(target.to)\",\"body\":[\"\(id)\",\"\(filler)\"]"
        account.sent.append(
          Account.Sent(id: id, chat: target.chat, mayBeRefused: member.visited.contains(target.chat)))
        board.sending(id, by: index, at: nextSend)
        pending.append(Request(id: id, text: text, chat: target.chat, isVisit: false, madeAt: nextSend))
      }
      nextSend += Int.random(in: Habit.sendEvery, using: &generator)
    }
    return before..<pending.count
  }

  private func target() -> (to: String, chat: String)? {
    let rooms = isVisiting ? inside.sorted().map { (to: $0, chat: $0) } : []
    return (member.targets + rooms).randomElement(using: &generator)
  }

  private func visitSomething(_ now: Int) throws {
    nextVisit = now + Int.random(in: Habit.visitEvery, using: &generator)
    guard !pending.contains(where: \.isVisit), let room = member.visited.randomElement(using: &generator)
    else { return }
    requests += 1
    let id = "\(account.device)-v\(requests)"
    let type = inside.contains(room) ? "leave" : "join"
    let text = "{\"type\":\"\(type)\",\"id\":\"\(id)\",\"chat\":\"\(room)\""
    pending.append(Request(id: id, text: text, chat: room, isVisit: true, madeAt: now))
    try sayRequest(pending.count - 1)
  }

  private func sayRequest(_ place: Int) throws {
    let isRepeat = pending[place].saidAt != nil
    pending[place].saidAt = RunClock.milliseconds
    pending[place].repeatAt = nil
    try say(pending[place].text + (isRepeat ? ",\"retry\":true}" : "}"))
  }

  // MARK: What it is told

  private func hear(_ deadline: Deadline) throws -> ChatFrame {
    do {
      let message = try socket!.nextMessage(deadline)
      lastHeard = RunClock.milliseconds
      return try ChatFrame(text: String(decoding: message, as: UTF8.self))
    } catch let closed as WebSocketClosed {
      // What the server asks for: come back when it says so (PROTOCOL, Closing).
      if let wait = closed.reason.wholeMatch(of: /retry=(\d+).*/).flatMap({ Int($0.1) }) {
        comeBackAfter = min(wait, 10_000)
      }
      if let code = closed.code, (4_500...4_999).contains(code) || [1002, 1003, 1007, 1009].contains(code) {
        account.faults.append("\(closed)")
      }
      throw closed
    }
  }

  private func take(_ frame: ChatFrame) {
    switch frame.type {
    case "message", "member":
      guard let chat = frame.chat, let event = ChatEvent(frame) else {
        account.faults.append("not an event as PROTOCOL has it: \(frame)")
        return
      }
      account.handed[chat, default: []].append(event.seq)
      cursors[chat] = max(cursors[chat] ?? 0, event.seq)
      board.handed(event, of: chat, to: index, account.device, onlineSince: onlineSince)
      switch event.kind {
      case .message(account.user, let id): settle(id, seq: event.seq, in: chat)
      case .member(account.user, let role):
        if role == nil { inside.remove(chat) } else { inside.insert(chat) }
      default: break
      }
    case "ack":
      guard let id = frame.id, let seq = frame.seq, let chat = frame.chat else {
        account.faults.append("not an ack as PROTOCOL has it: \(frame)")
        return
      }
      settle(id, seq: seq, in: chat)
    case "ok":
      pending.removeAll { $0.id == frame.id }
    case "error": refuse(frame)
    case "reset": account.faults.append("\(frame)")
    default: break
    }
  }

  /// An own message settles a request of this device; one that the user's other device made is no news.
  private func settle(_ id: String, seq: Int, in chat: String) {
    guard id.hasPrefix("\(account.device)-") else { return }
    account.acknowledged[id, default: []].insert(seq)
    guard let place = pending.firstIndex(where: { $0.id == id }) else { return }
    pending.remove(at: place)
    board.acknowledged(id, seq: seq, in: chat, by: index)
  }

  private func refuse(_ frame: ChatFrame) {
    // One that came as a message meanwhile is settled, whatever its repeat is answered.
    guard let id = frame.id, let place = pending.firstIndex(where: { $0.id == id }) else { return }
    switch frame.code {
    case "unavailable", "internal", "busy", "rate-limited":
      let wait = frame["retry"]?.int ?? 0
      pending[place].repeatAt =
        RunClock.milliseconds + min(max(wait, 50), 5_000) + Int.random(in: 0...200, using: &generator)
    case "forbidden", "not-found":
      if pending[place].isVisit { account.faults.append("\(frame)") } else { account.refused.insert(id) }
      pending.remove(at: place)
    default:
      account.faults.append("\(frame)")
      pending.remove(at: place)
    }
  }
}
