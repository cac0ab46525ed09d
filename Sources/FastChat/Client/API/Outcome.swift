import Synchronization

/// A result that one waits for and several may set: the first counts.
final class Outcome<Value: Sendable>: Sendable {
  private enum State {
    case empty
    case waiting(CheckedContinuation<Result<Value, ClientError>, Never>)
    case set(Result<Value, ClientError>)
    case taken
  }

  private let state = Mutex(State.empty)

  func wait(_ continuation: CheckedContinuation<Result<Value, ClientError>, Never>) {
    let result = state.withLock { state -> Result<Value, ClientError>? in
      guard case .set(let result) = state else {
        state = .waiting(continuation)
        return nil
      }
      state = .taken
      return result
    }
    if let result { continuation.resume(returning: result) }
  }

  func set(_ result: Result<Value, ClientError>) {
    let waiter = state.withLock { state -> CheckedContinuation<Result<Value, ClientError>, Never>? in
      switch state {
      case .empty:
        state = .set(result)
        return nil
      case .waiting(let waiter):
        state = .taken
        return waiter
      case .set, .taken: return nil
      }
    }
    waiter?.resume(returning: result)
  }
}
