import Chat
import Kafka
import Redis

/// What is told to whoever listens now, across servers: typing, and read positions that moved. Best effort: what
/// cannot be told at once is told to nobody.
final class Relay {
  /// Look-ups and read marks under way; what is beyond is dropped.
  private static let underWayMax = 4_096

  private unowned let router: Router
  private var underWay = 0

  init(_ router: Router) { self.router = router }

  /// From the shards of this server, which have told each other what is told.
  func take(_ marks: [ReadMark], _ events: [Ephemeral]) {
    for mark in marks { raise(mark) }
    for event in events { tell(event) }
  }

  /// From another server, to the shards of this one. A session's id means something only on its own server.
  func take(_ event: Ephemeral, from epoch: Epoch) {
    var event = event
    if epoch != router.epoch { event.origin = SessionID(raw: 0) }
    for port in router.shared.ports { port.post([event]) }
  }

  private func raise(_ mark: ReadMark) {
    guard underWay < Self.underWayMax else { return }
    underWay += 1
    let partition = mark.chat.withUnsafeBytes { Partition.of($0, count: router.facts.partitions) }
    router.redis.send(.raiseRead(mark, partition: partition)) { [unowned self] reply in
      underWay -= 1
      guard let reply, let seq = ReadMark.raised(reply: reply) else { return }
      var raised = mark
      raised.seq = seq
      router.reads.put(raised, partition: partition)
      let event = Ephemeral(chat: mark.chat, origin: mark.origin, json: EventWriter.read(mark, seq: seq))
      for port in router.shared.ports { port.post([event]) }
      tell(event)
    }
  }

  /// To the other servers with somebody who listens.
  private func tell(_ event: Ephemeral) {
    guard router.watch.living.count > 1, underWay < Self.underWayMax else { return }
    let commands = RedisCommand.lookUp(listeners(of: event.chat), partitions: router.facts.partitions)
    guard !commands.isEmpty else { return }
    underWay += 1
    let lookUp = listeners(of: event.chat)
    let gathered = Gathered(commands.count)
    for (i, command) in commands.enumerated() {
      router.redis.send(command) { [unowned self] reply in
        gathered.put(reply, at: i)
        guard gathered.isComplete else { return }
        underWay -= 1
        guard let replies = gathered.all else { return }
        send(event, LookedUp(tag: 0, lookUp, replies: replies, primaries: []))
      }
    }
  }

  private func listeners(of chat: [UInt8]) -> LookUp {
    var lookUp = LookUp()
    chat.withUnsafeBytes { name in
      switch ChatName(name) {
      case .direct(let first, let second)?:
        lookUp.users = first.elementsEqual(second) ? [Array(first)] : [Array(first), Array(second)]
      case .room?: lookUp.rooms = [chat]
      case nil: break
      }
    }
    return lookUp
  }

  private func send(_ event: Ephemeral, _ found: LookedUp) {
    guard !found.hasFailed else { return }
    let servers = Set((found.users + found.rooms).joined())
    for server in servers where server.server != router.serverID && router.watch.living.contains(server) {
      router.attempt("telling an event to another server") { () throws(KafkaError) in
        try router.links.inboxes.send(event, from: router.epoch, to: server)
      }
    }
  }
}
