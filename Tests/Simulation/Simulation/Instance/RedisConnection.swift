import Chat
import Redis
import SimulatedRedis

/// One server's pipeline to one primary: commands run and are answered in their order, or the connection
/// breaks and nobody knows which of the last ones ran.
final class RedisConnection {
  /// An answer that takes longer ends the connection.
  static let patienceMilliseconds: Tick = 2_000

  private struct Waiting {
    var number: Int
    var since: Tick
    var answer: (RedisReply?) -> Void
  }

  private let engine: Engine
  private let primary: RedisPrimary
  private let thread: SimulatedThread
  /// Told after each new connection but the first.
  private let reconnected: () -> Void
  private var node: RedisNode
  private var waiting: [Waiting] = []
  private var number = 0
  /// The connection's number: what belongs to an older one is dropped.
  private var life = 1
  private var isConnected = true
  /// Milliseconds at most that a question takes on its way, and an answer, beside the usual ones.
  var delay: Tick = 0
  /// Nothing comes through before.
  private var cutUntil: Tick = 0
  private var lastArrival: Tick = 0
  private var lastAnswer: Tick = 0

  init(_ primary: RedisPrimary, engine: Engine, thread: SimulatedThread, reconnected: @escaping () -> Void) {
    self.primary = primary
    self.engine = engine
    self.thread = thread
    self.reconnected = reconnected
    node = primary.node
  }

  /// `answer` is told nil where the connection broke, or was not there.
  func send(_ command: RedisCommand, _ answer: @escaping (RedisReply?) -> Void) {
    guard isConnected else {
      engine.after(1) { [self] in thread.run { answer(nil) } }
      return
    }
    number += 1
    waiting.append(Waiting(number: number, since: engine.now, answer: answer))
    lastArrival = max(lastArrival, engine.now + engine.random.latency(0, 8) + slowness())
    arrive(command, number, life, node, at: lastArrival)
  }

  private func arrive(_ command: RedisCommand, _ number: Int, _ life: Int, _ node: RedisNode, at time: Tick) {
    engine.after(time - engine.now) { [self] in
      // What had not arrived when the connection broke never does.
      guard life == self.life else { return }
      run(command, number, life, node)
    }
  }

  private func run(_ command: RedisCommand, _ number: Int, _ life: Int, _ node: RedisNode) {
    if node.isGone { return breakOff() }
    if engine.now < node.frozenUntil {
      // It stands in the node's buffers, and runs whatever becomes of the connection.
      engine.after(node.frozenUntil - engine.now) { [self] in run(command, number, life, node) }
      return
    }
    let reply = node.redis.run(command, now: engine.wall)
    if command.script == .apply, node === primary.node { primary.onApply() }
    lastAnswer = max(lastAnswer, engine.now + engine.random.latency(0, 8) + slowness())
    engine.after(lastAnswer - engine.now) { [self] in
      guard life == self.life else { return }
      if node.isGone { return breakOff() }
      thread.run { [self] in answered(number, reply) }
    }
  }

  /// Nothing is wrong any more.
  func heal() {
    delay = 0
    cutUntil = 0
  }

  private func slowness() -> Tick { delay == 0 ? 0 : engine.random.between(0, delay) }

  /// The server does not reach this primary for so long.
  func cut(for pause: Tick) {
    cutUntil = engine.now + pause
    breakOff()
  }

  private func answered(_ number: Int, _ reply: RedisReply) {
    guard let first = waiting.first, first.number == number else { return }
    waiting.removeFirst()
    first.answer(reply)
  }

  /// Gives up what takes too long: to be called about every second.
  func expire() {
    if let first = waiting.first, engine.now - first.since >= RedisConnection.patienceMilliseconds {
      breakOff()
    } else if node.isGone {
      breakOff()
    }
  }

  /// The connection is gone, and comes back a little later, to whichever node is the primary then.
  func breakOff() {
    guard isConnected else { return }
    isConnected = false
    life += 1
    let lost = waiting
    waiting = []
    thread.run { for one in lost { one.answer(nil) } }
    engine.after(engine.random.between(20, 400)) { [self] in connect() }
  }

  private func connect() {
    guard engine.now >= cutUntil else { return engine.after(100) { [self] in connect() } }
    isConnected = true
    node = primary.node
    lastArrival = engine.now
    lastAnswer = engine.now
    if !thread.isDead { thread.run(reconnected) }
  }
}
