import Chat

/// One connection of a client to a shard: bytes take time, in both directions in their order.
final class ClientLink {
  let client: Int
  let session: SessionID
  unowned let shard: ShardHost
  private let engine: Engine
  /// Told at the client's end, in order.
  private let arrived: ([UInt8]) -> Void
  private let ended: (UInt16) -> Void

  /// Frames that came and were not read: its requests are paused.
  var unread: [[UInt8]] = []
  var isPaused = false
  /// The server's end: open until either side closed it.
  private(set) var isOpen = true
  /// What the client does not read: copies are dropped, answers wait.
  private(set) var isCongested = false
  private var held: [[UInt8]] = []
  private var lastToClient: Tick = 0
  private var lastToServer: Tick = 0
  private var isCut = false

  init(
    client: Int, session: SessionID, shard: ShardHost, engine: Engine, arrived: @escaping ([UInt8]) -> Void,
    ended: @escaping (UInt16) -> Void
  ) {
    self.client = client
    self.session = session
    self.shard = shard
    self.engine = engine
    self.arrived = arrived
    self.ended = ended
  }

  // MARK: From the server

  func toClient(_ bytes: [UInt8]) {
    guard isOpen else { return }
    if isCongested { return held.append(bytes) }
    travelToClient { [self] in if !isCut { arrived(bytes) } }
  }

  func closeByServer(_ code: UInt16) {
    guard isOpen else { return }
    isOpen = false
    for bytes in held { travelToClient { [self] in if !isCut { arrived(bytes) } } }
    held = []
    travelToClient { [self] in if !isCut { ended(code) } }
  }

  private func travelToClient(_ event: @escaping () -> Void) {
    lastToClient = max(lastToClient, engine.now + engine.random.latency(1, 60))
    engine.after(lastToClient - engine.now, event)
  }

  // MARK: From the client

  func toServer(_ bytes: [UInt8]) {
    travelToServer { [self] in shard.arrived(bytes, on: self) }
  }

  /// The client closes, or its connection breaks: it hears nothing any more, the server later.
  func closeByClient() {
    isCut = true
    travelToServer { [self] in shard.broken(self) }
  }

  /// The client is gone without a word: the server finds out when a pong is late.
  func abandon(noticedAfter milliseconds: Tick) {
    isCut = true
    engine.after(milliseconds) { [self] in shard.thread.run { [self] in shard.broken(self) } }
  }

  private func travelToServer(_ event: @escaping () -> Void) {
    lastToServer = max(lastToServer, engine.now + engine.random.latency(1, 60))
    engine.after(lastToServer - engine.now) { [self] in shard.thread.run(event) }
  }

  /// The connection is no more, seen from the server.
  func forget() { isOpen = false }

  // MARK: A slow reader

  func congest(for milliseconds: Tick) {
    guard isOpen, !isCongested else { return }
    isCongested = true
    engine.after(milliseconds) { [self] in
      isCongested = false
      for bytes in held { toClient(bytes) }
      held = []
      shard.thread.run { [self] in shard.drained(self) }
    }
  }
}
