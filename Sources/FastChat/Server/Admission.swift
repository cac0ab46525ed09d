import Synchronization

/// Who is let in, over all shards: how many connections there are, and how many bytes those hold that have
/// not said who they are.
final class Admission: Sendable {
  private let connectionsMax: Int
  private let newcomerBytesMax: Int
  private let connections = Atomic<Int>(0)
  private let newcomerBytes = Atomic<Int>(0)

  init(connectionsMax: Int, newcomerBytesMax: Int) {
    self.connectionsMax = connectionsMax
    self.newcomerBytesMax = newcomerBytesMax
  }

  /// Counts a connection in, and tells whether it is one that may stay. Either way it has to `leave`.
  func enter() -> Bool { connections.wrappingAdd(1, ordering: .relaxed).newValue <= connectionsMax }

  func leave() { connections.wrappingSubtract(1, ordering: .relaxed) }

  /// Connections without `welcome` hold so much that no further one may become a WebSocket.
  var isCrowded: Bool { newcomerBytes.load(ordering: .relaxed) >= newcomerBytesMax }

  func newcomerBytes(changedBy bytes: Int) { newcomerBytes.wrappingAdd(bytes, ordering: .relaxed) }
}
