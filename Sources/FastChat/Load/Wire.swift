import EventLoop
import Glibc
import JSON
import WebSocket

/// The WebSocket connections of one worker, on a loop of its own: the client's side of the protocol,
/// and no more of it than a server's measurement needs.
final class Wire {
  /// Connections that are being opened at one time: the server is to be measured, not its backlog.
  private static let openingMax = 64
  /// The longest message that the server may send.
  private static let messageBytesMax = 16 << 20
  /// The key of all our frames. It need not be secret here, and the server's work is the same with any.
  private static let maskKey: UInt32 = 0x3D21_FA37

  /// One connection.
  private struct Client: ~Copyable {
    var id = ConnectionID(raw: 0)
    var isOpen = false
    var handshake: ClientHandshake
    var receiver = Receiver(role: .client, maxMessageBytes: Wire.messageBytesMax)
  }

  private let loop: EventLoop
  private let pool = GatherPool(keeping: 16 << 20, lending: 1 << 30)
  /// A server, and what it is called in a handshake.
  private struct Server {
    let address: SocketAddress
    let host: String

    init(_ url: LoadURL) throws(LoopError) {
      address = try SocketAddress(url.host, port: url.port)
      host = "\(url.host):\(url.port)"
    }
  }
  private let server: Server
  private let peer: Server
  private var clients: UnsafeMutablePointer<Client>
  private var count = 0
  private var begun = 0
  private var opened = 0
  /// Which client sits in a slot of the loop.
  private var clientOfSlot: [Int32]
  /// Answers to handshakes that came in pieces.
  private var heads: [Int: [UInt8]] = [:]

  /// Nanoseconds at which the bytes that are being told came in.
  private(set) var now = monotonicNanoseconds()

  init(_ options: LoadOptions) throws(LoadError) {
    var configuration = LoopConfiguration()
    configuration.backend = options.backend
    configuration.connections = max(configuration.connections, options.connections + 2 * options.pairs)
    configuration.outputBytes = max(configuration.outputBytes, 2 * options.depth * (options.size + 512))
    configuration.totalOutputBytes = max(
      configuration.totalOutputBytes, configuration.outputBytes * 64)
    do throws(LoopError) {
      loop = try EventLoop(configuration)
      server = try Server(options.url)
      peer = try options.peerURL.map { url throws(LoopError) in try Server(url) } ?? server
    } catch {
      throw .failure("\(error)")
    }
    clients = .allocate(capacity: max(1, options.connections + 2 * options.pairs + 1))
    clientOfSlot = Array(repeating: -1, count: configuration.connections + configuration.reserve)
  }

  // MARK: Opening

  /// Begins to open the scenario's connections, in their order.
  func open(_ scenario: some Scenario) throws(LoadError) {
    count = scenario.connectionCount
    try openMore(scenario)
  }

  /// Whether all of them stand.
  var isComplete: Bool { count > 0 && opened == count }

  private func openMore(_ scenario: some Scenario) throws(LoadError) {
    while begun < count, begun - opened < Wire.openingMax {
      let client = begun
      let handshake = ClientHandshake(
        nonce: (UInt64(truncatingIfNeeded: client), monotonicNanoseconds()), subprotocol: nil)
      (clients + client).initialize(to: Client(handshake: handshake))
      let server = scenario.isAtPeer(client) ? peer : server
      do throws(LoopError) {
        clients[client].id = try loop.connect(to: server.address)
      } catch {
        throw .failure("\(error)")
      }
      let id = clients[client].id
      clientOfSlot[Int(id.slot)] = Int32(client)
      guard let room = loop.reserve(id, 1_024),
        let n = handshake.write(host: server.host, target: scenario.path(of: client), into: room)
      else { throw .failure("no room for a handshake") }
      loop.commit(id, n)
      begun += 1
    }
  }

  // MARK: Sending

  /// Queues a text message, whose payload `fill` writes into exactly `size` bytes.
  @inline(__always)
  func send(
    _ client: Int, opcode: FrameHeader.Opcode = .text, size: Int,
    _ fill: (UnsafeMutableRawBufferPointer) -> Void
  ) throws(LoadError) {
    let total = FrameHeader.encodedSize(payload: size, masked: true) + size
    guard let room = loop.reserve(clients[client].id, total) else {
      throw .failure("the server does not read, or a connection is gone")
    }
    let frame = UnsafeMutableRawBufferPointer(rebasing: room[..<total])
    Wire.encode(opcode, size: size, into: frame, fill)
    loop.commit(clients[client].id, total)
  }

  /// Queues a text message.
  func send(_ client: Int, _ text: borrowing ByteBuffer) throws(LoadError) {
    let bytes = text.bytes
    try send(client, size: bytes.count) { $0.copyMemory(from: bytes) }
  }

  /// Queues frames that were encoded before.
  @inline(__always)
  func send(_ client: Int, encoded frames: UnsafeRawBufferPointer) throws(LoadError) {
    guard loop.send(clients[client].id, copying: frames) else {
      throw .failure("the server does not read, or a connection is gone")
    }
  }

  /// Writes a masked frame that fills `room` exactly.
  @inline(__always)
  static func encode(
    _ opcode: FrameHeader.Opcode, size: Int, into room: UnsafeMutableRawBufferPointer,
    _ fill: (UnsafeMutableRawBufferPointer) -> Void
  ) {
    let header = FrameHeader(opcode: opcode, maskKey: maskKey, payloadCount: size)
    let start = header.encode(into: room)
    let payload = UnsafeMutableRawBufferPointer(rebasing: room[start...])
    fill(payload)
    Mask.apply(key: maskKey, to: payload)
  }

  // MARK: The turn

  /// Has a turn end whenever this descriptor becomes readable.
  func watch(_ descriptor: Int32) throws(LoadError) {
    do throws(LoopError) {
      try loop.watch(descriptor: descriptor, tag: 0)
    } catch {
      throw .failure("\(error)")
    }
  }

  func turn<S: Scenario>(_ scenario: S, waitAtMostMilliseconds: Int) throws(LoadError) {
    loop.turn(waitAtMostMilliseconds: waitAtMostMilliseconds)
    now = monotonicNanoseconds()
    while let event = loop.next() {
      switch event {
      case .received(let id, let bytes):
        now = monotonicNanoseconds()
        try received(Int(clientOfSlot[Int(id.slot)]), bytes, scenario)
      case .ended(let id, let reason):
        throw .failure("connection \(clientOfSlot[Int(id.slot)]) ended: \(reason)")
      case .connected, .accepted, .drained, .timer, .mail, .readable, .acceptPaused, .acceptResumed: break
      }
    }
    try scenario.turned()
  }

  private func received<S: Scenario>(
    _ client: Int, _ bytes: UnsafeMutableRawBufferPointer, _ scenario: S
  ) throws(LoadError) {
    var offset = 0
    if !clients[client].isOpen {
      guard let start = try judge(client, bytes) else { return }
      offset = start
      clients[client].isOpen = true
      opened += 1
      try scenario.opened(client)
      try openMore(scenario)
    }
    while true {
      switch clients[client].receiver.next(bytes, &offset, pool: pool) {
      case .text(let message), .binary(let message): try scenario.received(client, message)
      case .ping(let payload):
        try send(client, opcode: .pong, size: payload.count) { $0.copyMemory(from: payload) }
      case .pong: break
      case .close(let code, let reason):
        let words = String(decoding: reason, as: UTF8.self)
        throw .failure("the server closed connection \(client): \(code?.rawValue ?? 0) \(words)")
      case .violation(_, let reason): throw .failure("the server broke a rule: \(reason)")
      case .needMore:
        try scenario.receivedAll(client)
        return
      }
    }
  }

  /// Judges the answer to a handshake. Gives where in `bytes` frames begin; nil: it is not complete.
  private func judge(_ client: Int, _ bytes: UnsafeMutableRawBufferPointer) throws(LoadError) -> Int? {
    let before = heads[client]?.count ?? 0
    let head = (heads[client] ?? []) + bytes
    switch head.withUnsafeBytes({ clients[client].handshake.judge($0) }) {
    case .needMore:
      heads[client] = head
      return nil
    case .accepted(_, let length):
      heads[client] = nil
      return length - before
    case .refused(let status, let reason):
      throw .failure("\(reason)\(status.map { " (HTTP \($0))" } ?? "")")
    }
  }

  /// Ends all connections.
  func shutdown() {
    for client in 0..<begun { clients[client].receiver.release(to: pool) }
    clients.deinitialize(count: begun)
    clients.deallocate()
    loop.shutdown()
  }
}
