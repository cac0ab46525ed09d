import Synchronization

/// Where a client keeps what it must know when it comes back: cursors, the log's id, unsent messages. It is
/// called on the client's own thread, one call at a time, and may block.
public protocol ClientStorage: Sendable {
  /// What was saved last; nil where nothing was.
  func load() throws(ClientError) -> [UInt8]?
  /// Replaces all of it. Where it throws, what was saved before must still be there.
  func save(_ state: [UInt8]) throws(ClientError)
}

/// Keeps the state as long as the object lives: a client that is made with it again goes on where the one
/// before it stood.
public final class MemoryStorage: ClientStorage {
  private let state = Mutex<[UInt8]?>(nil)

  public init() {}

  public func load() -> [UInt8]? { state.withLock { $0 } }
  public func save(_ state: [UInt8]) { self.state.withLock { $0 = state } }
}
