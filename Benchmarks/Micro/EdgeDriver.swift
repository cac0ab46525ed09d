import Chat
import Embedded
import JSON

/// An edge machine with pairs of sessions, the first of which sends to the second, and its loop without
/// sockets: what it wants sent is counted, not written.
final class EdgeDriver {
  private static let wallTime: WallTime = 1_760_000_000_000
  private static let directory: UInt64 = Store.directoryID
  private static let digits = 10
  private static let idOffset = "{\"type\":\"send\",\"id\":\"".utf8.count

  private let edge: Edge
  private let pairs: Int
  private let view: UInt64
  private var position: Seq
  private var frames: [UnsafeMutableRawBufferPointer] = []
  private var number = 0
  private var tick: Tick = 1
  private var hints = ByteBuffer(capacity: 1 << 20)
  private var json = ByteBuffer(capacity: 4 << 10)
  private var heads: [Seq]
  private(set) var sentBytes = 0
  private(set) var deliveries = 0

  init(pairs: Int, bodyBytes: Int, view: UInt64 = 1, applied: Seq = SeqSpace.nothingYet(generation: 1)) {
    var limits = Limits()
    limits.ratePerSecond = 1_000_000
    limits.pendingRequests = 4_096
    edge = Edge(
      Edge.Configuration(
        shard: 0, epoch: 1, log: "log", server: "bench", partitions: 1, limits: limits, hashSeed: 7),
      view: view, directory: Self.directory, applied: [applied])
    self.pairs = pairs
    self.view = view
    position = applied
    heads = Array(repeating: 0, count: pairs)
    beginTurn()
    for slot in 0..<2 * pairs { attach(slot) }
    endTurn()
    let body = String(repeating: "b", count: bodyBytes - 2)
    for pair in 0..<pairs {
      frames.append(
        permanent(
          Array(
            "{\"type\":\"send\",\"id\":\"1000000000\",\"to\":\"user:bob\(pair)\",\"body\":\"\(body)\"}".utf8))
      )
    }
  }

  private func session(_ slot: Int) -> SessionID { SessionID(shard: 0, generation: 1, slot: slot) }

  // MARK: The turn

  private func beginTurn() {
    tick += 1
    edge.beginTurn(tick: tick, wall: Self.wallTime, appendRoom: 64 << 20)
  }

  private func endTurn() {
    edge.endTurn()
    perform()
  }

  /// What the loop does after each input.
  private func perform() {
    for action in edge.actions {
      switch action {
      case .send(_, _, let count): sentBytes += Int(count)
      case .deliver(_, let index):
        sentBytes += edge.delivery(index).json.count
        deliveries += 1
      case .close(_, let code, _, let reason):
        preconditionFailure("the edge closed a session: \(code) \(reason)")
      case .attach, .detach, .pause, .resume, .listen, .unlisten, .viewChanged: break
      case .askRegistration, .askLogEnd, .stop:
        preconditionFailure("of a cluster, which this is not")
      }
    }
    edge.actionsPerformed()
  }

  private func attach(_ slot: Int) {
    let id = session(slot)
    let user = slot % 2 == 0 ? "alice\(slot / 2)" : "bob\(slot / 2)"
    edge.opened(id)
    let hello = Array("{\"type\":\"hello\",\"user\":\"\(user)\",\"device\":\"bench\"}".utf8)
    hello.withUnsafeBytes { edge.received(id, text: $0) }
    perform()
    edge.registered(id)
    perform()
    // A user without chats: every question is answered by an empty list.
    while !edge.queries.isEmpty {
      let queries = edge.queries
      edge.queries.removeAll()
      for query in queries {
        edge.received(
          ViewAnswer(
            tag: query.tag, partition: query.partition, view: view, directory: Self.directory,
            applied: position))
        perform()
      }
    }
  }

  // MARK: Messages

  /// Sends so many messages, in turns of at most a store's batch; `answer` ends each of them.
  func run(messages: Int, _ answer: () -> Void) {
    var left = messages
    while left > 0 {
      let count = min(left, Store.batchRecords)
      left -= count
      let before = deliveries
      beginTurn()
      for _ in 0..<count {
        let pair = number % pairs
        stamp(frames[pair], number)
        edge.received(session(2 * pair), text: UnsafeRawBufferPointer(frames[pair]))
        perform()
        number += 1
      }
      endTurn()
      answer()
      edge.appends.removeAll()
      edge.appendCount = 0
      precondition(deliveries - before == count, "each message is delivered once")
    }
  }

  private func stamp(_ frame: UnsafeMutableRawBufferPointer, _ number: Int) {
    var rest = number
    for i in (Self.idOffset..<Self.idOffset + Self.digits).reversed() {
      frame[i] = UInt8(ascii: "0") + UInt8(rest % 10)
      rest /= 10
    }
  }

  /// Takes what was appended as an owner without a store does: it was stored, and here is its batch.
  func answer() {
    let since = position
    hints.removeAll()
    beginTurn()
    var offset = 0
    while let record = AppendCodec.decode(edge.appends.bytes, at: &offset) {
      position += 1
      edge.appended(Appended(origin: record.origin, seq: position, time: record.time))
      perform()
      let pair = Int(record.origin.session.slot) / 2
      hint(record, prev: heads[pair])
      heads[pair] = position
    }
    hand(
      Batch(
        partition: 0, view: view, directories: [Self.directory], since: since, upto: position,
        hints: hints.bytes)
    )
  }

  private func hint(_ record: borrowing Append, prev: Seq) {
    json.removeAll()
    json.append("{\"type\":\"message\",\"chat\":\"")
    json.append(record.chat)
    json.append("\",\"seq\":")
    json.append(decimal: position)
    json.append(",\"prev\":")
    json.append(decimal: prev)
    json.append(",\"body\":")
    json.append(record.body)
    json.append("}")
    HintCodec.encode(
      Hint(
        kind: .message, seq: position, prev: prev, time: record.time, origin: record.origin, role: .none,
        chat: record.chat, user: record.from, json: json.bytes), into: &hints)
  }

  /// Takes what was appended as the store's thread does.
  func answer(from store: Store) {
    let result = store.commit(appends: edge.appends.bytes, reads: [], now: Self.wallTime)
    beginTurn()
    for report in result.appended {
      edge.appended(report)
      perform()
    }
    guard let batch = result.batch else { preconditionFailure("the store refuses records") }
    position = batch.upto
    hand(batch)
  }

  private func hand(_ batch: Batch) {
    edge.received(batch)
    perform()
    while edge.hasMore {
      edge.continueBatch()
      perform()
    }
    endTurn()
  }
}
