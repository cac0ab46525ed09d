import Chat
import Redis

/// What the shards ask of the view, on its way to Redis.
///
/// So many at once for each primary; the rest waits here, and counts towards its shard's share until it is
/// answered (DESIGN I8). Leases, batches and look-ups go past what waits: however many clients come back at
/// once, the server keeps its lease, and messages keep their pace.
final class Questions {
  /// Questions under way to one primary at most: some tens of milliseconds of its work.
  static let underWayMax = 1_024

  private struct Lane {
    var underWay = 0
    /// In order, those before `first` are gone.
    var waiting: [ViewQueue.Question] = []
    var first = 0
  }

  private unowned let router: Router
  private var lanes: [Lane] = []
  /// Of each shard, what was answered in this turn.
  private var answered: [Int]

  init(_ router: Router) {
    self.router = router
    answered = [Int](repeating: 0, count: router.shared.ports.count)
  }

  func ask(_ question: ViewQueue.Question) {
    let command = RedisCommand.query(question.query)
    let primary = router.redis.primary(of: command)
    while lanes.count <= primary { lanes.append(Lane()) }
    if lanes[primary].underWay < Self.underWayMax {
      send(question, command, primary)
    } else {
      lanes[primary].waiting.append(question)
    }
  }

  private func send(_ question: ViewQueue.Question, _ command: RedisCommand, _ primary: Int) {
    lanes[primary].underWay += 1
    router.redis.send(command) { [unowned self] reply in
      lanes[primary].underWay -= 1
      answered[question.shard] += 1
      let answer = reply.map { ViewAnswer(query: question.query, reply: $0) }
      router.shared.ports[question.shard].post(AnswerNews(answer ?? ViewAnswer(failing: question.query)))
    }
  }

  /// Sends what waited for those that were answered. To be called once a turn, before Redis is written to.
  func flush() {
    for primary in lanes.indices {
      while lanes[primary].underWay < Self.underWayMax, lanes[primary].first < lanes[primary].waiting.count {
        let question = lanes[primary].waiting[lanes[primary].first]
        lanes[primary].first += 1
        send(question, RedisCommand.query(question.query), primary)
      }
      if lanes[primary].first == lanes[primary].waiting.count {
        lanes[primary].waiting.removeAll(keepingCapacity: true)
        lanes[primary].first = 0
      } else if lanes[primary].first > lanes[primary].waiting.count / 2 {
        lanes[primary].waiting.removeFirst(lanes[primary].first)
        lanes[primary].first = 0
      }
    }
    router.queue.answered(answered)
    for shard in answered.indices { answered[shard] = 0 }
  }
}
