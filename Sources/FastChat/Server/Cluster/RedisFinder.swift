import Chat
import EventLoop
import Redis

/// Asks where primaries are, one host after the other, until one knows: sentinels for the address of their
/// primary, nodes of a cluster for the map of slots.
final class RedisFinder {
  enum Outcome {
    case searching
    case found(RedisReply, by: RedisHost)
    /// Nobody knew; why the last one did not.
    case failed(RedisFailure)
  }

  private(set) var outcome = Outcome.searching
  private(set) var socket: RedisSocket?

  private let question: RedisCommand
  private let isAnswer: (RedisReply, RedisHost) -> Bool
  private let open: (RedisHost) -> RedisSocket
  private var hosts: [RedisHost]
  private var hasAsked = false

  /// - Parameters:
  ///   - hosts: whom to ask, in this order.
  ///   - isAnswer: whether a reply says where they are.
  ///   - open: begins a connection to a host.
  init(
    _ question: RedisCommand, of hosts: [RedisHost], isAnswer: @escaping (RedisReply, RedisHost) -> Bool,
    open: @escaping (RedisHost) -> RedisSocket
  ) {
    self.question = question
    self.hosts = hosts.reversed()
    self.isAnswer = isAnswer
    self.open = open
    goOn(after: .unknownPrimary("no host to ask"))
  }

  /// Something happened at its socket, or time went by.
  func review(now: Tick) {
    guard case .searching = outcome, let socket else { return }
    while let answer = socket.nextAnswer() {
      if let reply = answer.reply, isAnswer(reply, socket.host) {
        outcome = .found(reply, by: socket.host)
        socket.fail(.unknownPrimary("has answered"))
        return
      }
      socket.fail(.unknownPrimary("it does not know the primary"))
    }
    if socket.isReady, !hasAsked {
      hasAsked = socket.link?.send(question, token: 0, now: now) ?? false
      socket.flush()
    }
    if case .over(let failure) = socket.phase { goOn(after: failure) }
  }

  private func goOn(after failure: RedisFailure) {
    hasAsked = false
    guard let host = hosts.popLast() else {
      socket = nil
      outcome = .failed(failure)
      return
    }
    socket = open(host)
  }
}
