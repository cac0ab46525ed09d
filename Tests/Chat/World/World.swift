import Chat
import JSON

/// Several shards over one backbone, with devices that come and go: everything that is under way waits in
/// queues, and chance decides what moves next.
final class World {
  enum Mail {
    case appended(Appended)
    case failed(Failed)
    case judged(Verdict)
    case batch(Batch)
    case ephemeral(Ephemeral)
    case replaced(SessionID)
  }

  /// What may go wrong in this run.
  struct Faults {
    var losesCopies = false
    var overflows = false
    var failsCommits = false
    var forgets = false
    /// The view cannot be read now and then.
    var failsAnswers = false
    /// Shards stand still for longer than the owner remembers repeats, and answers for longer than
    /// requests wait.
    var stalls = false
  }

  let backbone: Backbone
  let devices: [Device]
  private var faults: Faults
  private var random: Generator
  private var edges: [Edge] = []
  private var mailboxes: [[Mail]]
  /// Answers of the view to each shard: a thread of its own posts them, so that batches overtake them.
  private var answers: [[ViewAnswer]]
  private var questions: [(shard: Int, query: ViewQuery)] = []
  private var waitingForOwner: [[UInt8]] = []
  private var directory: [String: SessionID] = [:]
  private var deviceOf: [SessionID: Device] = [:]
  private var paused: Set<SessionID> = []
  private var inputs: [SessionID: [String]] = [:]
  private var congested: Set<SessionID> = []
  private var generation: UInt32 = 0
  private var freeSlots: [[Int]]
  private var now: Tick = 1_000
  private var requests = 0
  private let users = ["alice", "bob", "carol"]
  private let rooms = ["room:a", "room:b", "room:private"]

  init(seed: UInt64, shards: Int, partitions: Int32, faults: Faults) {
    random = Generator(seed: seed)
    self.faults = faults
    backbone = Backbone(partitions: partitions)
    mailboxes = Array(repeating: [], count: shards)
    answers = Array(repeating: [], count: shards)
    freeSlots = Array(repeating: Array(0..<8), count: shards)
    devices = users.flatMap { [Device(user: $0, name: "phone"), Device(user: $0, name: "desk")] }
    var limits = Limits()
    limits.ratePerSecond = 1_000_000
    limits.pendingRequests = 6
    for shard in 0..<shards {
      edges.append(
        Edge(
          .init(
            shard: shard, epoch: 9, log: "log", server: "test", partitions: partitions, limits: limits,
            hashSeed: seed), view: 7, directory: 1, applied: backbone.applied))
    }
  }

  // MARK: Running

  func run(steps: Int) {
    for _ in 0..<steps { step() }
    settle()
  }

  private func step() {
    now += Int64.random(in: 0...20, using: &random)
    if faults.stalls, random.chance(1) { now += Int64.random(in: 2_000...40_000, using: &random) }
    switch Int.random(in: 0..<100, using: &random) {
    case ..<8: connectOrDisconnect()
    case ..<35: request()
    case ..<50: own()
    case ..<60: answerQuestion()
    case ..<70: deliverAnswer(shard: answers.indices.randomElement(using: &random)!)
    case ..<92: deliverMail(shard: mailboxes.indices.randomElement(using: &random)!)
    case ..<95: drainSomebody()
    case ..<96 where faults.overflows: overflow()
    case ..<97 where faults.forgets:
      backbone.forget(2, of: (rooms + ["dm:alice:bob"]).randomElement(using: &random)!)
    default: for shard in edges.indices { turn(shard) { $0.checkDeadlines() } }
    }
  }

  /// Everybody comes back and everything under way arrives.
  private func settle() {
    faults.failsAnswers = false
    for round in 0..<400 {
      now += 200
      for device in devices where device.session == nil { connect(device) }
      for id in Array(congested) { drain(id) }
      while !waitingForOwner.isEmpty { own() }
      while !questions.isEmpty { answerQuestion() }
      for shard in edges.indices {
        turn(shard) { $0.checkDeadlines() }
        while !mailboxes[shard].isEmpty { deliverMail(shard: shard) }
        while !answers[shard].isEmpty { deliverAnswer(shard: shard) }
      }
      let isQuiet =
        congested.isEmpty && questions.isEmpty && waitingForOwner.isEmpty && mailboxes.allSatisfy(\.isEmpty)
        && answers.allSatisfy(\.isEmpty) && devices.allSatisfy { $0.isLive && $0.pending.isEmpty }
      if isQuiet && round > 10 { return }
      if round % 20 == 19 {
        for device in devices where device.isLive {
          for text in device.repeats() { input(device.session!, text) }
        }
      }
    }
    stuck =
      "not quiet: "
      + devices.filter { !$0.isLive || !$0.pending.isEmpty }.map { "\($0.user)/\($0.name)" }.joined(
        separator: " ")
  }

  private(set) var stuck: String?

  func failures() -> [String] {
    var all = stuck.map { [$0] } ?? []
    var keys: Set<String> = []
    for event in backbone.events
    where !keys.insert("\(event.chat) \(event.from) \(event.device) \(event.id)").inserted {
      all.append("\(event.id) is in the log twice")
    }
    for device in devices {
      device.check(backbone)
      all += device.failures
    }
    return all
  }

  // MARK: Devices

  private func connectOrDisconnect() {
    let device = devices.randomElement(using: &random)!
    if let session = device.session {
      device.session = nil
      drop(session)
      turn(session.shard) { $0.closed(session) }
    } else {
      connect(device)
    }
  }

  private func connect(_ device: Device) {
    let shard = edges.indices.randomElement(using: &random)!
    guard let slot = freeSlots[shard].popLast() else { return }
    generation += 1
    let session = SessionID(shard: shard, generation: generation, slot: slot)
    device.session = session
    deviceOf[session] = device
    turn(shard) { $0.opened(session) }
    input(session, device.hello())
    for text in device.repeats() { input(session, text) }
  }

  private func drop(_ session: SessionID) {
    // Its end may come from both sides in one turn.
    guard deviceOf.removeValue(forKey: session) != nil else { return }
    freeSlots[session.shard].append(session.slot)
    paused.remove(session)
    inputs[session] = nil
    congested.remove(session)
  }

  private func request() {
    let device = devices.randomElement(using: &random)!
    guard let session = device.session else { return }
    requests += 1
    let id = "\(device.user)-\(device.name)-\(requests)"
    let room = rooms.randomElement(using: &random)!
    let other = users.randomElement(using: &random)!
    let chat = random.chance(60) ? room : "dm:" + [device.user, other].sorted().joined(separator: ":")
    let seq = backbone.events.randomElement(using: &random)?.seq ?? 0
    let fields: String
    switch Int.random(in: 0..<32, using: &random) {
    case 0:
      fields = """
        "type":"create","id":"\(id)","chat":"\(room)","name":"R","public":\(room != "room:private")
        """
    case 1...3: fields = "\"type\":\"join\",\"id\":\"\(id)\",\"chat\":\"\(room)\""
    case 4...5: fields = "\"type\":\"leave\",\"id\":\"\(id)\",\"chat\":\"\(room)\""
    case 6...7:
      let bound = ["", ",\"after\":\(seq)", ",\"before\":\(seq)"].randomElement(using: &random)!
      fields = "\"type\":\"history\",\"id\":\"\(id)\",\"chat\":\"\(chat)\"\(bound),\"limit\":2"
    case 8...9: fields = "\"type\":\"chats\",\"id\":\"\(id)\""
    case 10: fields = "\"type\":\"members\",\"id\":\"\(id)\",\"chat\":\"\(chat)\""
    case 11: fields = "\"type\":\"read\",\"id\":\"\(id)\",\"chat\":\"\(chat)\",\"seq\":\(seq)"
    case 12:
      return input(session, "{\"type\":\"typing\",\"chat\":\"\(chat)\",\"on\":true}")
    case 13...22: fields = "\"type\":\"send\",\"id\":\"\(id)\",\"to\":\"\(room)\",\"body\":\(requests)"
    default: fields = "\"type\":\"send\",\"id\":\"\(id)\",\"to\":\"user:\(other)\",\"body\":\(requests)"
    }
    let text = "{\(fields)}"
    device.pending[id] = text
    input(session, text)
  }

  private func input(_ session: SessionID, _ text: String) {
    guard !paused.contains(session) else { return inputs[session, default: []].append(text) }
    Array(text.utf8).withUnsafeBytes { bytes in
      turn(session.shard) { $0.received(session, text: bytes) }
    }
  }

  // MARK: Backbone

  private func own() {
    guard !waitingForOwner.isEmpty else { return }
    let bytes = waitingForOwner.removeFirst()
    let fails = faults.failsCommits && random.chance(20)
    let persists = !fails || random.chance(50)
    if fails {
      var offset = 0
      bytes.withUnsafeBytes { bytes in
        while let record = AppendCodec.decode(bytes, at: &offset) {
          post(record.origin.session.shard, .failed(Failed(origin: record.origin, mayHavePersisted: true)))
        }
      }
    }
    guard persists else { return }
    let applied = bytes.withUnsafeBytes { backbone.apply($0) }
    if !fails {
      for report in applied.appended { post(report.origin.session.shard, .appended(report)) }
      for verdict in applied.verdicts { post(verdict.origin.session.shard, .judged(verdict)) }
    }
    for shard in edges.indices { for batch in applied.batches { post(shard, .batch(batch)) } }
  }

  private func answerQuestion() {
    guard !questions.isEmpty else { return }
    let question = questions.removeFirst()
    var answer = backbone.answer(question.query)
    answer.hasFailed = faults.failsAnswers && random.chance(10)
    answers[question.shard].append(answer)
  }

  private func deliverAnswer(shard: Int) {
    guard !answers[shard].isEmpty else { return }
    let answer = answers[shard].removeFirst()
    turn(shard) { $0.received(answer) }
  }

  private func post(_ shard: Int, _ mail: Mail) { mailboxes[shard].append(mail) }

  private func overflow() {
    let shard = edges.indices.randomElement(using: &random)!
    let kept = mailboxes[shard].filter { if case .replaced = $0 { true } else { false } }
    mailboxes[shard] = kept
    answers[shard] = []
    turn(shard) { $0.mailboxOverflowed() }
  }

  private func deliverMail(shard: Int) {
    guard !mailboxes[shard].isEmpty else { return }
    let mail = mailboxes[shard].removeFirst()
    turn(shard) { edge in
      switch mail {
      case .appended(let report): edge.appended(report)
      case .failed(let report): edge.failed(report)
      case .judged(let verdict): edge.judged(verdict)
      case .batch(let batch): edge.received(batch)
      case .ephemeral(let event): edge.received(event)
      case .replaced(let session): edge.replaced(session)
      }
    }
  }

  private func drainSomebody() {
    if let id = congested.randomElement(using: &random) { drain(id) }
  }

  private func drain(_ id: SessionID) {
    congested.remove(id)
    turn(id.shard) { $0.drained(id) }
  }

  // MARK: The loop's part

  private func turn(_ shard: Int, _ body: (Edge) -> Void) {
    let edge = edges[shard]
    edge.beginTurn(tick: now, wall: 1_760_000_000_000 + now, appendRoom: 1 << 20)
    perform(edge)
    body(edge)
    perform(edge)
    edge.endTurn()
    perform(edge)
    if edge.appendCount > 0 {
      waitingForOwner.append(Array(edge.appends.bytes))
      edge.appends.removeAll()
      edge.appendCount = 0
    }
    for query in edge.queries { questions.append((shard, query)) }
    edge.queries.removeAll()
    for event in edge.ephemerals { for other in edges.indices { post(other, .ephemeral(event)) } }
    edge.ephemerals.removeAll()
    edge.reads.removeAll()
  }

  private func perform(_ edge: Edge) {
    repeat {
      if edge.hasMore { edge.continueBatch() }
      performOnce(edge)
    } while edge.hasMore
  }

  private func performOnce(_ edge: Edge) {
    var lost: [(SessionID, Int32)] = []
    var resumed: [SessionID] = []
    var registered: [SessionID] = []
    for action in edge.actions {
      switch action {
      case .send(let id, let start, let count):
        deviceOf[id]?.received(edge.output(start: start, count: count), backbone)
      case .deliver(let id, let index):
        if faults.losesCopies, congested.contains(id) || random.chance(5) {
          congested.insert(id)
          lost.append((id, index))
        } else {
          deviceOf[id]?.received(edge.delivery(index).json, backbone)
        }
      case .pause(let id): paused.insert(id)
      case .resume(let id):
        paused.remove(id)
        resumed.append(id)
      case .close(let id, _, _, _):
        deviceOf[id]?.session = nil
        drop(id)
      case .attach(let id):
        let key = "\(deviceOf[id]!.user) \(deviceOf[id]!.name)"
        if let old = directory[key] { post(old.shard, .replaced(old)) }
        directory[key] = id
        registered.append(id)
      case .detach(let id): directory = directory.filter { $0.value != id }
      case .listen, .unlisten, .viewChanged, .askRegistration, .askLogEnd, .stop:
        fatalError("not in a cluster")
      }
    }
    edge.actionsPerformed()
    for (id, index) in lost { edge.lost(id, delivery: index) }
    if !lost.isEmpty { performOnce(edge) }
    for id in registered {
      edge.registered(id)
      performOnce(edge)
    }
    for id in resumed where !paused.contains(id) {
      let waiting = inputs.removeValue(forKey: id) ?? []
      for text in waiting { input(id, text) }
    }
  }
}
