import Chat
import JSON

/// One shard over a backbone, where a test says what arrives when: for schedules that `World` finds by
/// chance and that are to be held for ever.
final class Stage {
  let backbone = Backbone(partitions: 1)
  let edge: Edge
  /// Copies to these sessions are dropped.
  var full: Set<SessionID> = []
  private(set) var frames: [SessionID: [String]] = [:]
  private var queries: [ViewQuery] = []
  private var appends: [[UInt8]] = []
  private var now: Tick = 1_000
  private var slots = 0

  init() {
    let configuration = Edge.Configuration(
      shard: 0, epoch: 9, log: "log", server: "test", partitions: 1, limits: Limits(), hashSeed: 1)
    edge = Edge(configuration, view: 7, directory: 1, applied: backbone.applied)
  }

  /// A session of the user, told `live`.
  func attach(_ user: String) -> SessionID {
    slots += 1
    let session = SessionID(shard: 0, generation: 1, slot: slots)
    turn { $0.opened(session) }
    say(session, "{\"type\":\"hello\",\"user\":\"\(user)\",\"device\":\"d\(slots)\"}")
    for answer in answers() { turn { $0.received(answer) } }
    return session
  }

  func say(_ session: SessionID, _ text: String) {
    Array(text.utf8).withUnsafeBytes { bytes in turn { $0.received(session, text: bytes) } }
  }

  /// Says it, has it stored, and hands over the batch. The sender gets no report, or one that it `failed`.
  func store(_ session: SessionID, _ text: String, failed: Bool = false) {
    say(session, text)
    for batch in apply(failed: failed) { turn { $0.received(batch) } }
  }

  /// Has everything stored that was said. The batches are still to be handed in.
  func apply(failed: Bool = false) -> [Batch] {
    var batches: [Batch] = []
    for bytes in appends {
      let (applied, origins) = bytes.withUnsafeBytes { (backbone.apply($0), Stage.origins($0)) }
      if failed {
        for origin in origins { turn { $0.failed(Failed(origin: origin, mayHavePersisted: true)) } }
      }
      batches += applied.batches
    }
    appends = []
    return batches
  }

  /// What the view answers now to all that it was asked. Still to be handed in.
  func answers() -> [ViewAnswer] {
    defer { queries = [] }
    return queries.map(backbone.answer)
  }

  /// Everything that is read until nothing more is asked for.
  func settle() {
    while !queries.isEmpty { for answer in answers() { turn { $0.received(answer) } } }
  }

  /// How many frames with this text the session got.
  func count(_ session: SessionID, _ text: String) -> Int {
    (frames[session] ?? []).filter { $0.contains(text) }.count
  }

  func turn(_ body: (Edge) -> Void) {
    now += 1
    edge.beginTurn(tick: now, wall: 1_760_000_000_000 + now, appendRoom: 1 << 20)
    perform()
    body(edge)
    perform()
    edge.endTurn()
    perform()
    if edge.appendCount > 0 { appends.append(Array(edge.appends.bytes)) }
    edge.appends.removeAll()
    edge.appendCount = 0
    queries += edge.queries
    edge.queries.removeAll()
  }

  private func perform() {
    while edge.actionCount > 0 || edge.hasMore {
      var lost: [(SessionID, Int32)] = []
      var attached: [SessionID] = []
      for action in edge.actions {
        switch action {
        case .send(let id, let start, let count):
          frames[id, default: []].append(
            String(decoding: edge.output(start: start, count: count), as: UTF8.self))
        case .deliver(let id, let index) where full.contains(id): lost.append((id, index))
        case .deliver(let id, let index):
          frames[id, default: []].append(String(decoding: edge.delivery(index).json, as: UTF8.self))
        case .attach(let id): attached.append(id)
        case .pause, .resume, .close, .detach: continue
        case .listen, .unlisten, .viewChanged, .askRegistration, .askLogEnd, .stop:
          fatalError("not in a cluster")
        }
      }
      edge.actionsPerformed()
      for (id, index) in lost { edge.lost(id, delivery: index) }
      for id in attached { edge.registered(id) }
      if edge.hasMore { edge.continueBatch() }
    }
  }

  private static func origins(_ bytes: UnsafeRawBufferPointer) -> [Origin] {
    var origins: [Origin] = []
    var offset = 0
    while let record = AppendCodec.decode(bytes, at: &offset) { origins.append(record.origin) }
    return origins
  }
}
