import Synchronization

/// What the client's thread shows to others.
final class StatusBoard: Sendable {
  private struct State {
    var isLive = false
    /// Requests whose outcome is not known yet.
    var pending: Int
    var isEnded = false
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  private let state: Mutex<State>

  init(pending: Int) { state = Mutex(State(pending: pending)) }

  var isLive: Bool { state.withLock { $0.isLive } }
  var pending: Int { state.withLock { $0.pending } }

  func setLive(_ isLive: Bool) { state.withLock { $0.isLive = isLive } }

  func count(_ change: Int) { state.withLock { $0.pending += change } }

  func end() {
    let waiters = state.withLock { state in
      state.isEnded = true
      state.isLive = false
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume() }
  }

  /// Waits until the thread has ended.
  func waitForEnd() async {
    await withCheckedContinuation { continuation in
      let isEnded = state.withLock { state in
        if !state.isEnded { state.waiters.append(continuation) }
        return state.isEnded
      }
      if isEnded { continuation.resume() }
    }
  }
}
