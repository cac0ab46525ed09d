import Support
import WebSocket

@testable import Client

/// One machine by itself: the test says what the server says.
final class MachineDriver {
  let machine: ClientMachine
  private(set) var kept: KeptState
  private(set) var events: [ClientEvent] = []
  private(set) var answers: [String: Result<ServerFrame, ClientError>] = [:]
  private var receiver = TestReceiver()
  private var frames: [JSONValue] = []
  private var head: [UInt8] = []
  private var isUpgraded = false
  var ticks: Int64 = 0
  var wall: Int64 = 1_000_000

  init(_ kept: KeptState) throws {
    self.kept = kept
    machine = ClientMachine(
      ClientConfiguration(address: "ws://h:1/ws", user: kept.user), endpoint: try Endpoint("ws://h:1/ws"),
      kept: kept,
      random: SeededGenerator(seed: 1))
    machine.start(moment)
    connect()
  }

  var moment: ClientMachine.Moment { ClientMachine.Moment(ticks: ticks, wall: wall) }

  /// Opens a connection that the machine asked for.
  func connect() {
    perform()
    while machine.phase == .waiting { pass(16_000) }
    isUpgraded = false
    head = []
    receiver = TestReceiver()
    machine.connected(moment)
    perform()
  }

  func cut() {
    machine.disconnected("cut", moment)
    perform()
    pass(60_000)
  }

  func pass(_ milliseconds: Int64) {
    ticks += milliseconds
    wall += milliseconds
    machine.tick(moment)
    perform()
  }

  /// The server says so.
  func say(_ text: String) {
    let payload = Array(text.utf8)
    var frame = [UInt8](repeating: 0, count: FrameHeader.encodedSize(payload: payload.count))
    _ = frame.withUnsafeMutableBytes {
      FrameHeader(opcode: .text, payloadCount: payload.count).encode(into: $0)
    }
    receive(frame + payload)
  }

  func welcome(_ chats: [(String, Int)] = [], log: String = "l1", more: Bool = false) {
    let rows = chats.map { "{\"chat\":\"\($0.0)\",\"head\":\($0.1),\"read\":0}" }.joined(separator: ",")
    say(
      "{\"type\":\"welcome\",\"user\":\"alice\",\"device\":\"d\",\"session\":\"s\",\"server\":\"s1\",\"log\":\"\(log)\","
        + "\"time\":\(wall),\"heartbeat\":25,\"limits\":{\"frame\":65536,\"rate\":50,\"dedupe\":300000},"
        + "\"chats\":[\(rows)],\"more\":\(more)}")
  }

  func send(_ id: String, to chat: String, body: String = "1") {
    machine.submit(
      Pending(
        id: id, chat: chat, text: "{\"type\":\"send\",\"id\":\"\(id)\",\"to\":\"\(chat)\",\"body\":\(body)",
        isMessage: true,
        firstSent: wall), moment)
    perform()
  }

  func message(_ chat: String, _ seq: Int, prev: Int, from: String = "bob", id: String = "x") -> String {
    "{\"type\":\"message\",\"chat\":\"\(chat)\",\"seq\":\(seq),\"prev\":\(prev),\"from\":\"\(from)\",\"id\":\"\(id)\","
      + "\"time\":\(wall),\"body\":1}"
  }

  /// What the client has said since this was asked last.
  func said() -> [JSONValue] {
    defer { frames = [] }
    return frames
  }

  /// The seqs that were handed over, in order.
  var handed: [Int64] {
    events.compactMap { if case .message(let message) = $0 { message.seq } else { nil } }
  }

  var receipts: [String] { events.compactMap { if case .sent(let receipt) = $0 { receipt.id } else { nil } } }

  private func receive(_ bytes: [UInt8]) {
    var bytes = bytes
    bytes.withUnsafeMutableBytes { machine.received($0, moment) }
    perform()
  }

  private func perform() {
    while !machine.actions.isEmpty {
      let actions = machine.actions
      machine.actionsPerformed()
      for action in actions {
        switch action {
        case .write(let bytes): wrote(bytes)
        case .hand(let event, let marks):
          for mark in marks { kept.apply(mark) }
          if let event { events.append(event) }
        case .keep(let request): kept.pending.append(request)
        case .answered(let id, let result): answers[id] = result
        case .connect, .disconnect, .askToken, .settled, .abandoned, .ended: break
        }
      }
    }
  }

  private func wrote(_ bytes: [UInt8]) {
    guard !isUpgraded else {
      frames += receiver.texts(in: bytes).compactMap { try? JSONValue(parsing: $0) }
      return
    }
    isUpgraded = true
    let key = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n")
      .first { $0.hasPrefix("Sec-WebSocket-Key: ") }!.dropFirst(19)
    let accept = base64(sha1(Array("\(key)258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8)))
    receive(
      Array(
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          + "Sec-WebSocket-Protocol: fastchat.v1\r\nSec-WebSocket-Accept: \(accept)\r\n\r\n").utf8))
  }
}
