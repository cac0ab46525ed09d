import Chat
import EventLoop
import WebSocket

/// Copies of events on their way to listeners. A large event of a batch that may be held back leaves right out
/// of the batch, which has it framed. Another one for several is framed once, and a compressed one compressed
/// once: the frame is one counted buffer that the loop writes to each of them. For one or two a copy of a small
/// one is cheaper.
struct FanOut: ~Copyable {
  /// From so many bytes of frame on an event leaves right out of its batch. A smaller one is copied, since a
  /// slow socket would hold back a whole batch, and all that was fetched with it, for little.
  static let lentBytesMin = 4_096

  /// Up to so many copies of so small an event are written into each connection's own output, where they
  /// leave together with what else goes there.
  private static let copiedBytesMax = 1_024
  private static let copiedTimesMax: Int32 = 2

  private var delivery: Int32 = -1
  private var plain: SharedBuffer?
  private var compressed: SharedBuffer?
  /// The window of `compressed`: a client that asked for another one gets a frame of its own.
  private var window = 0

  /// Sends a copy of `event`, delivery `index` of `edge`. False where it did not fit.
  @inline(__always)
  mutating func send(
    _ event: Delivery, _ index: Int32, of edge: Edge, to id: ConnectionID, _ loop: EventLoop
  ) -> Bool {
    if event.copies <= FanOut.copiedTimesMax, event.json.count <= FanOut.copiedBytesMax {
      return loop.sendFrame(.text, event.json, to: id)
    }
    if delivery != index { begin(index, loop) }
    if plain == nil {
      plain =
        FanOut.lend(event.frame, of: edge.carrier, loop)
        ?? FanOut.frame(event.json, isCompressed: false, loop)
    }
    guard let plain else { return false }
    return loop.send(id, shared: plain)
  }

  /// As `send`, to a connection that agreed on compression.
  mutating func sendCompressed(
    _ event: Delivery, _ index: Int32, to id: ConnectionID, _ compressor: Compressor,
    _ parameters: DeflateParameters, _ loop: EventLoop
  ) -> Bool {
    if delivery != index { begin(index, loop) }
    if compressed != nil, window != parameters.serverWindowBits { begin(index, loop) }
    if compressed == nil {
      compressed = compressor.withCompressed(event.json, parameters) {
        FanOut.frame($0, isCompressed: true, loop)
      }
      window = parameters.serverWindowBits
    }
    guard let compressed else { return false }
    return loop.send(id, shared: compressed)
  }

  /// The actions of an input are done: what was framed belongs to the sends alone.
  @inline(__always)
  mutating func end(_ loop: EventLoop) {
    if delivery >= 0 { begin(-1, loop) }
  }

  private mutating func begin(_ index: Int32, _ loop: EventLoop) {
    if let plain { loop.release(plain) }
    if let compressed { loop.release(compressed) }
    plain = nil
    compressed = nil
    delivery = index
  }

  /// A frame of `batch` where it lies; nil where it is to be copied.
  static func lend(
    _ frame: UnsafeRawBufferPointer, of batch: @autoclosure () -> Batch?, _ loop: EventLoop
  ) -> SharedBuffer? {
    guard frame.count >= lentBytesMin, let batch = batch(), batch.isLendable else { return nil }
    precondition(batch.hints.contains(frame), "a frame of another batch")
    return loop.lend(frame, keptBy: batch)
  }

  private static func frame(
    _ payload: UnsafeRawBufferPointer, isCompressed: Bool, _ loop: EventLoop
  ) -> SharedBuffer? {
    let header = FrameHeader.encodedSize(payload: payload.count)
    guard let shared = loop.makeShared(header + payload.count) else { return nil }
    _ = FrameHeader.encode(opcode: .text, rsv1: isCompressed, count: payload.count, into: shared.bytes)
    UnsafeMutableRawBufferPointer(rebasing: shared.bytes[header...]).copyMemory(from: payload)
    return shared
  }
}

extension EventLoop {
  /// Queues one frame with a copy of the payload. False, and nothing is queued, at a bound of the loop.
  @inline(__always)
  func sendFrame(
    _ opcode: FrameHeader.Opcode, _ payload: UnsafeRawBufferPointer, isCompressed: Bool = false,
    to id: ConnectionID
  ) -> Bool {
    let header = FrameHeader.encodedSize(payload: payload.count)
    guard let room = reserve(id, header + payload.count) else { return false }
    _ = FrameHeader.encode(opcode: opcode, rsv1: isCompressed, count: payload.count, into: room)
    if let source = payload.baseAddress {
      (room.baseAddress! + header).copyMemory(from: source, byteCount: payload.count)
    }
    commit(id, header + payload.count)
    return true
  }
}
