import EventLoop

/// A thread of the server that can be kept in a list, and is waited for once.
final class WorkerThread {
  private var thread: LoopThread?

  /// Starts `body` on a thread of its own. The name is what `top -H` shows, of 15 bytes.
  init(_ name: String, _ body: @escaping @Sendable () -> Void) throws(StartFailure) {
    thread = try starting { () throws(LoopError) in try LoopThread(name: name, body) }
  }

  /// Waits until the thread has ended.
  func join() { thread.take()?.join() }
}

/// Makes an error of the event loop the reason why the server does not start.
func starting<Result: ~Copyable>(
  _ body: () throws(LoopError) -> Result
) throws(StartFailure) -> Result {
  do throws(LoopError) {
    return try body()
  } catch {
    throw StartFailure(error.description)
  }
}
