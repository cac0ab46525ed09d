import Chat
import EventLoop
import Redis

/// Redis as the commands of an operator ask it: one question or a run of them, answers waited for.
final class RedisDesk {
  /// Milliseconds in which an answer must come; what was not answered is asked again until then.
  private static let milliseconds: Tick = 10_000

  private let loop: EventLoop
  private let pool: RedisPool

  /// Connects to all primaries, which must have what belongs to that log, or nothing.
  init(_ cluster: ClusterConfiguration, log: String) throws(StartFailure) {
    var configuration = LoopConfiguration()
    configuration.connections = 64
    configuration.outputBytes = 8 << 20
    configuration.totalOutputBytes = 64 << 20
    loop = try starting { () throws(LoopError) in try EventLoop(configuration) }
    pool = try RedisStart.connect(try RedisStart.address(cluster), name: "fastchat-operator", loop: loop)
    if case .bytes(let id) = try ask(.readLogID), !id.elementsEqual(log.utf8) {
      throw StartFailure(
        "Redis \(pool.host(ofPrimary: 0)) has what belongs to another log than these brokers'")
    }
  }

  deinit {
    pool.close()
    loop.shutdown()
  }

  func ask(_ command: RedisCommand) throws(StartFailure) -> RedisReply { try ask([command])[0] }

  /// Asks all of it in one write to each primary. All commands here may be asked twice.
  /// - Parameter of: the partition whose primary is asked what names no key.
  func ask(_ commands: [RedisCommand], of partition: Int32? = nil) throws(StartFailure) -> [RedisReply] {
    var replies = [RedisReply?](repeating: nil, count: commands.count)
    var asked = [Bool](repeating: false, count: commands.count)
    var missing = commands.count
    // Time has passed since the last question, unseen by the loop: a connection may have to be made again.
    turn()
    let end = loop.tick + Self.milliseconds
    while missing > 0 {
      for i in commands.indices where !asked[i] {
        asked[i] = true
        let place = commands[i].key == nil ? partition.map(primary) : nil
        pool.send(commands[i], primary: place ?? pool.primary(of: commands[i])) { reply in
          if let reply {
            replies[i] = reply
            missing -= 1
          } else {
            asked[i] = false
          }
        }
      }
      turn()
      guard missing == 0 || loop.tick < end else {
        throw StartFailure("Redis \(pool.host(ofPrimary: 0)): \(pool.lastFailure?.failure ?? .noAnswer)")
      }
    }
    var answers: [RedisReply] = []
    for reply in replies {
      guard let reply else { continue }
      if case .error(let text) = reply {
        throw StartFailure("Redis \(pool.host(ofPrimary: 0)) says: \(Printable.short(text))")
      }
      answers.append(reply)
    }
    return answers
  }

  /// Lets time pass, and the connections live.
  func wait(milliseconds: Tick) {
    let end = loop.tick + milliseconds
    repeat { turn() } while loop.tick < end
  }

  private func primary(of partition: Int32) -> Int {
    pool.primary(of: .readView(partition: partition, outcomesAfter: .max))
  }

  private func turn() {
    pool.tick(loop.tick)
    loop.turn(waitAtMostMilliseconds: 10)
    while let event = loop.next() { _ = pool.handle(event) }
    pool.flush()
  }

  // MARK: Walking

  /// All keys of a partition of these kinds, a page at a time; a key may come twice.
  func scan(
    _ partition: Int32, _ kinds: String, each: ([[UInt8]]) throws(StartFailure) -> Bool
  ) throws(StartFailure) {
    var cursor: [UInt8]? = [UInt8(ascii: "0")]
    while let here = cursor {
      let reply = try ask([.scan(partition: partition, kinds: kinds, cursor: here)], of: partition)
      guard let page = ScanPage(reply: reply[0]) else { throw Self.unreadable }
      if !page.texts.isEmpty {
        guard try each(page.texts) else { return }
      }
      cursor = page.next
    }
  }

  /// All fields of a hash with their values; one may come twice.
  func fields(of key: [UInt8], each: ([UInt8], [UInt8]) -> Void) throws(StartFailure) {
    var cursor: [UInt8]? = [UInt8(ascii: "0")]
    while let here = cursor {
      guard let page = ScanPage(reply: try ask(.scanFields(of: key, cursor: here))) else {
        throw Self.unreadable
      }
      for i in stride(from: 0, to: page.texts.count - 1, by: 2) { each(page.texts[i], page.texts[i + 1]) }
      cursor = page.next
    }
  }

  /// Where a view stands.
  func view(_ partition: Int32) throws(StartFailure) -> ViewState {
    let answer = ViewStateAnswer(
      tag: 0, reply: try ask(.readView(partition: partition, outcomesAfter: .max)))
    guard !answer.hasFailed else { throw Self.unreadable }
    return answer.state
  }

  /// Servers whose leases live.
  func servers() throws(StartFailure) -> [String] {
    let answer = LeasesRead(tag: 0, reply: try ask(.readLeases))
    guard !answer.hasFailed else { throw Self.unreadable }
    return answer.living.map(\.server)
  }

  static let unreadable = StartFailure("Redis answers something that is none of FastChat's")
}
