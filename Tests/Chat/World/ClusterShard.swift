import Chat
import Foundation
import JSON

/// One shard of a server among others, driven by hand: what it asks is looked at and answered one by one.
final class ClusterShard {
  let edge: Edge
  private(set) var now: Tick = 1_000
  private(set) var session = SessionID(raw: 0)
  private var generation: UInt32 = 0
  private(set) var asksForRegistration = 0
  private(set) var listened: [String] = []
  private(set) var unlistened: [String] = []
  private(set) var stops: [StopReason] = []
  private(set) var origins: [Origin] = []
  private(set) var frames: [String] = []
  private var logEndQuestions = 0

  init() {
    edge = Edge(
      .init(
        shard: 0, epoch: 9, log: "log", server: "s1", partitions: 1, limits: Limits(), isClustered: true,
        hashSeed: 1))
  }

  static func standing(at position: Seq) -> ClusterShard {
    let shard = ClusterShard()
    shard.turn { $0.registeredAgain(epoch: 9, directories: [5]) }
    shard.answer(shard.takeQueries()[0], applied: position)
    shard.turn { $0.leaseHolds(until: .max) }
    return shard
  }

  func turn(_ body: (Edge) -> Void) {
    now += 1
    edge.beginTurn(tick: now, wall: now, appendRoom: 1 << 20)
    perform()
    body(edge)
    perform()
    edge.endTurn()
    perform()
    let appends = Array(edge.appends.bytes)
    appends.withUnsafeBytes { bytes in
      var offset = 0
      while let record = AppendCodec.decode(bytes, at: &offset) { origins.append(record.origin) }
    }
    edge.appends.removeAll()
    edge.appendCount = 0
  }

  /// Time goes by in steps as the loop's timer takes them.
  func later(_ milliseconds: Int64) {
    let end = now + milliseconds
    while now < end {
      now = min(end, now + 100)
      turn { $0.checkDeadlines() }
    }
  }

  private func perform() {
    while edge.actionCount > 0 || edge.hasMore {
      for action in edge.actions {
        switch action {
        case .send(_, let start, let count): frames.append(text(start, count))
        case .deliver(_, let index): frames.append(String(decoding: edge.delivery(index).json, as: UTF8.self))
        case .viewChanged: break
        case .listen(let start, let count): listened.append(text(start, count))
        case .unlisten(let start, let count): unlistened.append(text(start, count))
        case .askRegistration: asksForRegistration += 1
        case .askLogEnd: logEndQuestions += 1
        case .stop(_, let reason): stops.append(reason)
        case .attach, .detach, .pause, .resume, .close: continue
        }
      }
      edge.actionsPerformed()
      if edge.hasMore { edge.continueBatch() }
    }
  }

  private func text(_ start: Int32, _ count: Int32) -> String {
    String(decoding: edge.output(start: start, count: count), as: UTF8.self)
  }

  // MARK: Sessions

  func open(_ user: String, cursors: String = "{}") {
    generation += 1
    session = SessionID(shard: 0, generation: generation, slot: Int(generation))
    turn { $0.opened(session) }
    frame(#"{"type":"hello","user":"\#(user)","device":"phone","cursors":\#(cursors)}"#)
    turn { $0.registered(session) }
  }

  func attach(_ user: String, listed: [(chat: String, head: Seq, joined: Seq)]) {
    open(user)
    answer(takeQueries()[0], applied: 40) { answer in
      for row in listed { answer.list(row.chat, head: row.head, joined: row.joined) }
    }
  }

  func frame(_ text: String) { turn { edge in text.withBytes { edge.received(session, text: $0) } } }

  /// `<id> <code>` of each error so far.
  var errors: [String] { parsed("error").map { "\($0["id"] ?? "-") \($0["code"]!)" } }
  var resets: [String] { parsed("reset").map { "\($0["chat"]!) \($0["head"]!)" } }

  private func parsed(_ type: String) -> [[String: Any]] {
    frames.compactMap { (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any] }
      .filter { $0["type"] as? String == type }
  }

  // MARK: View and owner

  func takeQueries() -> [ViewQuery] {
    defer { edge.queries.removeAll() }
    return edge.queries
  }

  func takeLogEndQuestions() -> Int {
    defer { logEndQuestions = 0 }
    return logEndQuestions
  }

  func answer(
    _ query: ViewQuery, applied: Seq, directory: DirectoryID = 5,
    _ fill: (inout ViewAnswer) -> Void = { _ in }
  ) {
    var answer = ViewAnswer(
      tag: query.tag, partition: query.partition, view: 7, directory: directory, applied: applied)
    fill(&answer)
    turn { $0.received(answer) }
  }

  func batch(since: Seq, upto: Seq, directories: [DirectoryID] = [5]) -> Batch {
    Batch(
      partition: 0, view: 7, directories: directories, since: since, upto: upto,
      hints: UnsafeRawBufferPointer(start: nil, count: 0))
  }
}

extension ViewAnswer {
  mutating func list(_ chat: String, head: Seq, joined: Seq = 0) {
    var row = ViewAnswer.Row()
    row.seq = head
    row.joined = joined
    row.chat = bytes.count..<bytes.count + chat.utf8.count
    bytes += Array(chat.utf8)
    rows.append(row)
  }
}

extension String {
  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    Array(utf8).withUnsafeBytes { body($0) }
  }
}
