import Chat
import Redis

/// Asking who listens to a batch, and who is alive.
extension OwnerHost {
  /// Look-ups that were asked behind a batch, in the same pipeline of the one primary that there is: the script runs
  /// before them, as it has to (DESIGN section 5, "Two orders"), and a message waits for one round trip less.
  final class Ahead {
    let lookUp: LookUp
    let began = Clock.nanoseconds()
    /// The script was answered before the look-ups: one that had to be loaded first runs behind them.
    var isBehind = false
    /// An answer came that does not count.
    var isSpoilt = false
    fileprivate let gathered: Gathered
    /// The owner asks for it, under this tag.
    fileprivate var tag: UInt64?

    /// Nil where there is nothing to ask, or not there.
    init?(_ request: borrowing ApplyRequest, isPossible: Bool) {
      guard isPossible, !request.isReplay, !request.records.isEmpty else { return nil }
      lookUp = request.expectedLookUp
      gathered = Gathered(lookUp.users.count + lookUp.rooms.count + 1)
    }
  }

  func askAhead(_ ahead: Ahead) {
    let commands = RedisCommand.lookUp(ahead.lookUp, partitions: router.facts.partitions) + [.readLeases]
    for (i, command) in commands.enumerated() {
      router.redis.send(command, primary: 0) { [weak self] reply in
        ahead.isSpoilt = ahead.isSpoilt || !ahead.isBehind || reply == nil
        ahead.gathered.put(reply, at: i)
        if ahead.gathered.isComplete, let tag = ahead.tag { self?.answer(tag, ahead) }
      }
    }
  }

  /// Look-ups, and behind the last one on each primary the question how it is called. Where there is one primary
  /// alone, the leases are read behind them, which tells that too: the owner reads them next, and so they are
  /// there.
  func lookUp(_ tag: UInt64, _ lookUp: LookUp) {
    if let ahead, !ahead.isSpoilt, ahead.lookUp == lookUp {
      ahead.tag = tag
      if ahead.gathered.isComplete { answer(tag, ahead) }
    } else {
      askNow(tag, lookUp)
    }
  }

  private func answer(_ tag: UInt64, _ ahead: Ahead) {
    guard !isOver, self.ahead === ahead else { return }
    self.ahead = nil
    guard !ahead.isSpoilt else { return askNow(tag, ahead.lookUp) }
    router.metrics.record(.lookUp, nanoseconds: Clock.nanoseconds() - ahead.began)
    lookedUp(tag, ahead.lookUp, ahead.gathered.all, isAlone: true)
  }

  private func askNow(_ tag: UInt64, _ lookUp: LookUp) {
    ahead = nil
    let began = Clock.nanoseconds()
    let redis = router.redis
    let commands = RedisCommand.lookUp(lookUp, partitions: router.facts.partitions)
    var primaries: [Int] = []
    for command in commands {
      let primary = redis.primary(of: command)
      if !primaries.contains(primary) { primaries.append(primary) }
    }
    let isAlone = redis.primaries == 1
    let gathered = Gathered(commands.count + primaries.count)
    let take = { [weak self] (place: Int) in
      { [weak self] (reply: RedisReply?) in
        gathered.put(reply, at: place)
        guard gathered.isComplete, let self, !isOver else { return }
        router.metrics.record(.lookUp, nanoseconds: Clock.nanoseconds() - began)
        lookedUp(tag, lookUp, gathered.all, isAlone: isAlone)
      }
    }
    for (i, command) in commands.enumerated() {
      redis.send(command, primary: redis.primary(of: command), take(i))
    }
    for (i, primary) in primaries.enumerated() {
      redis.send(isAlone ? .readLeases : .readDirectory, primary: primary, take(commands.count + i))
    }
  }

  private func lookedUp(_ tag: UInt64, _ lookUp: LookUp, _ replies: [RedisReply]?, isAlone: Bool) {
    let count = lookUp.users.count + lookUp.rooms.count
    var answer = LookedUp(tag: tag)
    var leases: LeasesRead?
    if let replies, let last = replies.last {
      let names = isAlone ? [] : Array(replies[count...])
      answer = LookedUp(tag: tag, lookUp, replies: Array(replies[..<count]), primaries: names)
      if isAlone {
        let read = LeasesRead(tag: 0, reply: last)
        answer.hasFailed = answer.hasFailed || read.hasFailed
        answer.directories = read.directories
        leases = read
      }
    } else {
      answer.hasFailed = true
    }
    let (found, behind) = (answer, leases)
    input { [unowned self] owner in
      leasesBehind = behind
      owner.lookedUp(found)
    }
  }

  func readLeases(_ tag: UInt64) {
    if var read = leasesBehind {
      leasesBehind = nil
      read.tag = tag
      return input { $0.leasesRead(read) }
    }
    ask(.readLeases) { host, reply in
      var read = LeasesRead(tag: tag)
      if let reply { read = LeasesRead(tag: tag, reply: reply) } else { read.hasFailed = true }
      host.input { $0.leasesRead(read) }
    }
  }
}
