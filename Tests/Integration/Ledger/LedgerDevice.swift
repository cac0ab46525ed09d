import Glibc
import Support

/// One device of one user in a ledger run, on a thread of its own: it keeps cursors as PROTOCOL says, sends,
/// repeats what was not answered, and writes down all that it was told.
final class LedgerDevice: @unchecked Sendable {
  /// What it writes down for the reckoning.
  private(set) var account: LedgerAccount
  private let targets: [(to: String, chat: String)]
  /// A room that it joins and leaves all the time, if it is a visitor.
  private let visited: String?
  private let board: LedgerBoard
  private var generator: SeededGenerator

  // What it knows, as an honest client keeps it.
  private var log: String?
  private var cursors: [String: Int] = [:]
  private var pending: [LedgerAccount.Sent] = []

  private var client: ChatTestClient?
  private var inFlight: Set<String> = []
  private var sentInRound = 0
  /// The `join` or `leave` that waits for its answer, and what was answered last.
  private var visit: (id: String, type: String)?
  private var isInside = false
  private var visits = 0
  private var round = 0

  private var name: String { account.name }
  private var user: String { account.user }
  private var device: String { account.device }

  init(
    user: String, device: String, targets: [(to: String, chat: String)], visited: String? = nil,
    board: LedgerBoard, seed: UInt64
  ) {
    account = LedgerAccount(user: user, device: device)
    self.targets = targets
    self.visited = visited
    self.board = board
    generator = SeededGenerator(seed: seed)
  }

  /// The thread's life.
  func run() {
    let guardTime = Deadline.after(.seconds(600))
    while !guardTime.hasPassed {
      do {
        let phase = board.phase
        if phase == .abandon { return }
        let client = try attach()
        if phase == .finish {
          client.drop()
          return
        }
        try converse(client)
      } catch is WebSocketClosed {
      } catch is UpgradeRefused {
      } catch let failure as TestFailure where failure.description.hasPrefix(Self.untold) {
        board.fail("\(name): \(failure)")
        return
      } catch {
        // The connection broke, or there is no server to connect to at the moment.
      }
      client?.drop()
      client = nil
      usleep(2000)
    }
    board.fail("\(name): did not come to its end")
  }

  /// How failures begin that are the server's: all others are the network's, as a client meets it.
  private static let untold = "against the protocol:"

  // MARK: A session

  private func attach() throws -> ChatTestClient {
    let client = try ChatTestClient(port: board.port)
    self.client = client
    inFlight = []
    let rows = cursors.sorted { $0.key < $1.key }.map { ",\"\($0.key)\":\($0.value)" }.joined()
    try client.write(
      "{\"type\":\"hello\",\"user\":\"\(user)\",\"device\":\"\(device)\""
        + (log.map { ",\"log\":\"\($0)\"" } ?? "") + ",\"cursors\":{\"*\":0\(rows)}}")
    let welcome = try client.next()
    guard welcome.type == "welcome" else {
      // `unavailable` is a server that ends; anything else a client must not meet.
      if welcome.code == "unavailable" { throw TestFailure("not now") }
      throw TestFailure("\(Self.untold) \(welcome) in place of welcome")
    }
    if let log, welcome["log"]?.string != log { throw TestFailure("\(Self.untold) another log: \(welcome)") }
    log = welcome["log"]?.string
    account.sessions += 1
    while true {
      let frame = try client.next()
      if frame.type == "live" { break }
      try take(frame)
    }
    // At once after `live`: what had no answer.
    for message in pending { try send(message, on: client, retry: true) }
    if let visit { try request(visit, on: client, retry: true) }
    return client
  }

  private func converse(_ client: ChatTestClient) throws {
    while true {
      if board.round != round {
        round = board.round
        sentInRound = 0
      }
      switch board.phase {
      case .load:
        while inFlight.count < 8, sentInRound < board.share {
          let message = compose()
          pending.append(message)
          account.sent.append(message)
          sentInRound += 1
          try send(message, on: client, retry: false)
        }
        try visitAgain(client)
      case .settle:
        // A visitor ends inside, so that what it was handed at last can be reckoned.
        if !isInside { try visitAgain(client) }
        if pending.isEmpty, visit == nil { board.settled(name) }
      case .finish, .abandon: return
      }
      if client.socket.hasInput(.after(.milliseconds(5))) { try take(client.next()) }
    }
  }

  private func compose() -> LedgerAccount.Sent {
    let target = targets.randomElement(using: &generator)!
    let filler = String(repeating: "x", count: Int.random(in: 0...300, using: &generator))
    let id = "\(device)-\(account.sent.count)"
    return LedgerAccount.Sent(
      id: id, to: target.to, chat: target.chat, body: "[\"\(user)\", \"\(id)\",\"\(filler)\"]")
  }

  private func send(_ message: LedgerAccount.Sent, on client: ChatTestClient, retry: Bool) throws {
    inFlight.insert(message.id)
    try client.post(to: message.to, id: message.id, body: message.body, retry: retry)
  }

  private func visitAgain(_ client: ChatTestClient) throws {
    guard visited != nil, visit == nil else { return }
    visits += 1
    let next = (id: "visit-\(visits)", type: isInside ? "leave" : "join")
    visit = next
    try request(next, on: client, retry: false)
  }

  private func request(_ visit: (id: String, type: String), on client: ChatTestClient, retry: Bool) throws {
    let mark = retry ? ",\"retry\":true" : ""
    try client.write(
      "{\"type\":\"\(visit.type)\",\"id\":\"\(visit.id)\",\"chat\":\"\(visited!)\"\(mark)}")
  }

  // MARK: What it is told

  private func take(_ frame: ChatFrame) throws {
    switch frame.type {
    case "message", "member":
      guard let chat = frame.chat, let seq = frame.seq else {
        throw TestFailure("\(Self.untold) \(frame)")
      }
      if let cursor = cursors[chat], seq <= cursor {
        throw TestFailure("\(Self.untold) handed \(seq) after \(cursor) in \(chat): \(frame)")
      }
      cursors[chat] = seq
      account.handed[chat, default: []].append(frame)
      if frame.type == "message", frame["from"]?.string == user, let id = frame.id {
        settle(id, seq: seq)
      }
    case "ack":
      guard let id = frame.id, let seq = frame.seq else { throw TestFailure("\(Self.untold) \(frame)") }
      settle(id, seq: seq)
    case "error":
      // One that came as a message meanwhile is settled, whatever its repeat is answered.
      guard let id = frame.id else { throw TestFailure("\(Self.untold) \(frame)") }
      let message = pending.first { $0.id == id }
      guard message != nil || visit?.id == id else { return }
      guard ["unavailable", "internal", "busy", "rate-limited"].contains(frame.code) else {
        throw TestFailure("\(Self.untold) \(frame)")
      }
      usleep(20_000)
      guard let client else { return }
      if let message { try send(message, on: client, retry: true) }
      if let visit, visit.id == id { try request(visit, on: client, retry: true) }
    case "ok":
      guard let visit, visit.id == frame.id else { return }
      isInside = visit.type == "join"
      self.visit = nil
      board.acknowledge()
    case "reset": account.resets.append(frame)
    default: break
    }
  }

  /// An own message settles a request of this device; one that the user's other device made is no news.
  private func settle(_ id: String, seq: Int) {
    inFlight.remove(id)
    guard id.hasPrefix("\(device)-") else { return }
    account.acknowledged[id, default: []].insert(seq)
    if let place = pending.firstIndex(where: { $0.id == id }) {
      pending.remove(at: place)
      board.acknowledge()
    }
  }
}
