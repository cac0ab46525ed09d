import Chat
import Redis

/// The short ways of the real router, taken in half of the runs: who listens is asked in the pipeline of the
/// batch, where one Redis has everything, and what is for the own server does not go through its inbox.
extension OwnerHost {
  /// Look-ups that were asked behind a batch, and the leases behind them.
  final class Ahead {
    let lookUp: LookUp
    fileprivate var replies: [RedisReply?]
    fileprivate var left: Int
    /// The owner asks for it, under this tag.
    fileprivate var tag: UInt64?

    init?(_ request: borrowing ApplyRequest) {
      guard !request.isReplay, !request.records.isEmpty else { return nil }
      lookUp = request.expectedLookUp
      left = lookUp.users.count + lookUp.rooms.count + 1
      replies = Array(repeating: nil, count: left)
    }
  }

  /// To be called right behind the batch.
  func askAhead(_ request: borrowing ApplyRequest) {
    ahead = nil
    guard cluster.plan.takesShortWays, router.connections.count == 1, let ahead = Ahead(request) else {
      return
    }
    self.ahead = ahead
    let commands = RedisCommand.lookUp(ahead.lookUp, partitions: cluster.plan.partitions) + [.readLeases]
    for (i, command) in commands.enumerated() {
      router.connections[0].send(command) { [weak self] reply in
        ahead.replies[i] = reply
        ahead.left -= 1
        if ahead.left == 0, let tag = ahead.tag { self?.answer(tag, ahead) }
      }
    }
  }

  /// False where the question was not asked behind the batch, or is another one.
  func answersAhead(_ tag: UInt64, _ lookUp: LookUp) -> Bool {
    guard let ahead, ahead.lookUp == lookUp else { return false }
    ahead.tag = tag
    if ahead.left == 0 { answer(tag, ahead) }
    return true
  }

  private func answer(_ tag: UInt64, _ ahead: Ahead) {
    guard self.ahead === ahead else { return }
    self.ahead = nil
    let replies = ahead.replies.compactMap { $0 }
    guard replies.count == ahead.replies.count else { return lookUp(tag, ahead.lookUp) }
    let leases = LeasesRead(tag: 0, reply: replies[replies.count - 1])
    var answer = LookedUp(tag: tag, ahead.lookUp, replies: Array(replies.dropLast()), primaries: [])
    answer.hasFailed = answer.hasFailed || leases.hasFailed
    answer.directories = leases.directories
    leasesBehind = leases
    input { $0.lookedUp(answer) }
    leasesBehind = nil
  }

  /// Whether words for it need no inbox.
  func isNear(_ target: ServerEpoch) -> Bool {
    cluster.plan.takesShortWays && target.server == process.name && target.epoch == router.registrar.epoch
  }
}
