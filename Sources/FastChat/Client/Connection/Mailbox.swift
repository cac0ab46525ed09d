import Glibc
import Synchronization

/// Words for the client's thread from any other, which wake it where it polls.
final class Mailbox: Sendable {
  /// One word. What waits for an outcome is called on the client's thread, once.
  enum Word: Sendable {
    case submit(Pending, (@Sendable (Result<Receipt, ClientError>) -> Void)?)
    case ask(id: String, text: String, @Sendable (Result<ServerFrame, ClientError>) -> Void)
    /// Whoever waited for it does so no longer.
    case forget(id: String)
    case read(chat: String, seq: Int64)
    case typing(chat: String, isOn: Bool)
    case token(Result<String, ClientError>)
    case confirmed([Mark])
    /// The consumer took events: there is room for more.
    case taken
    case stop
  }

  private struct State {
    var words: [Word] = []
    var isClosed = false
  }

  private let state = Mutex(State())
  /// Readable while words wait.
  let descriptor: Int32
  private let writeEnd: Int32

  init() throws(ClientError) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else {
      throw ClientError(.network, "no descriptor left: \(Socket.reason(errno))", advice: "raise ulimit -n")
    }
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    descriptor = ends[0]
    writeEnd = ends[1]
  }

  deinit {
    close(descriptor)
    close(writeEnd)
  }

  /// False where nobody reads it any more.
  @discardableResult
  func post(_ word: Word) -> Bool {
    let (isTaken, isFirst) = state.withLock { state in
      if state.isClosed { return (false, false) }
      state.words.append(word)
      return (true, state.words.count == 1)
    }
    if isFirst {
      var byte: UInt8 = 0
      _ = write(writeEnd, &byte, 1)
    }
    return isTaken
  }

  func take() -> [Word] {
    var bytes = [UInt8](repeating: 0, count: 64)
    while read(descriptor, &bytes, bytes.count) == bytes.count {}
    return state.withLock { state in
      defer { state.words = [] }
      return state.words
    }
  }

  /// Takes what is left; nothing more comes.
  func closeAndTake() -> [Word] {
    state.withLock { state in
      state.isClosed = true
      defer { state.words = [] }
      return state.words
    }
  }
}
