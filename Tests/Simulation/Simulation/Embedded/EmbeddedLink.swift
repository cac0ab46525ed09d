import Chat

/// One connection of a client to a shard: what is sent takes time, and arrives in its order.
final class EmbeddedLink {
  let session: SessionID
  unowned let shard: EmbeddedShard
  private let engine: Engine
  private let arrived: ([UInt8]) -> Void
  private let ended: (_ code: UInt16, _ retry: Int32) -> Void
  /// Whether the server knows the session.
  private(set) var isOpen = true
  /// The client listens no more.
  private var isCut = false
  /// Copies are dropped, answers wait.
  private(set) var isCongested = false
  private var held: [[UInt8]] = []
  var isPaused = false
  /// Frames that came while its requests were paused.
  var unread: [[UInt8]] = []
  private var lastToClient: Tick = 0
  private var lastToServer: Tick = 0

  static let slowestMilliseconds: Int64 = 60

  init(
    _ session: SessionID, shard: EmbeddedShard, arrived: @escaping ([UInt8]) -> Void,
    ended: @escaping (_ code: UInt16, _ retry: Int32) -> Void
  ) {
    self.session = session
    self.shard = shard
    engine = shard.engine
    self.arrived = arrived
    self.ended = ended
  }

  func forget() { isOpen = false }

  // MARK: To the client

  func toClient(_ frame: [UInt8]) {
    if isCongested { return held.append(frame) }
    travelToClient { [self] in arrived(frame) }
  }

  func close(_ code: UInt16, retry: Int32) {
    for frame in held { travelToClient { [self] in arrived(frame) } }
    held = []
    travelToClient { [self] in ended(code, retry) }
  }

  private func travelToClient(_ event: @escaping () -> Void) {
    lastToClient = max(lastToClient, engine.now + engine.random.latency(1, Self.slowestMilliseconds))
    engine.after(lastToClient - engine.now) { [self] in if !isCut { event() } }
  }

  // MARK: To the server

  func toServer(_ frame: [UInt8]) {
    travelToServer { [self] in shard.arrived(.text(frame), on: self) }
  }

  /// The client hears nothing any more; the server hears of it after what is under way, or long after.
  func cut(unnoticedFor milliseconds: Tick) {
    isCut = true
    if milliseconds > 0 {
      engine.after(milliseconds) { [self] in shard.thread.run { [self] in shard.arrived(.broken, on: self) } }
    } else {
      travelToServer { [self] in shard.arrived(.broken, on: self) }
    }
  }

  private func travelToServer(_ event: @escaping () -> Void) {
    lastToServer = max(lastToServer, engine.now + engine.random.latency(1, Self.slowestMilliseconds))
    engine.after(lastToServer - engine.now) { [self] in shard.thread.run(event) }
  }

  // MARK: A slow reader

  /// The server found that too much waits for the client.
  func congest(for milliseconds: Tick) {
    isCongested = true
    engine.after(milliseconds) { [self] in
      isCongested = false
      let frames = held
      held = []
      for frame in frames { toClient(frame) }
      shard.thread.run { [self] in shard.arrived(.drained, on: self) }
    }
  }
}
