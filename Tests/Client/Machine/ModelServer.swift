import JSON
import Support
import WebSocket

@testable import Client

/// A chat server in memory that keeps PROTOCOL, with the freedom that PROTOCOL gives: acks before or in the
/// order of the events, answers lost, indefinite answers with and without effect, events behind a gap.
final class ModelServer {
  struct Entry {
    let chat: String
    let seq: Int64
    let prev: Int64
    let from: String
    let device: String
    let id: String
    let body: String
    /// The connection that it came over.
    let session: Int
  }

  /// One connection, from its upgrade on.
  struct Session {
    let number: Int
    var request: [UInt8] = []
    var isUpgraded = false
    var user = ""
    var device = ""
    var isLive = false
    /// Where in the log it stands.
    var position = 0
    /// Where the log ended when it attached.
    var attachedAt = 0
    var cursors: [String: Int64] = [:]
    var acked: Set<Int64> = []
    var output: [UInt8] = []
  }

  struct Faults {
    var unavailable = 0.0
    var rateLimited = 0.0
    var earlyAck = 0.5
    /// An event is left out of the stream: the history has it.
    var gap = 0.0
    /// A cursor is answered by a reset.
    var reset = 0.0
  }

  let logID = "log-1"
  var faults = Faults()
  private(set) var log: [Entry] = []
  private(set) var resets: [String: [(chat: String, head: Int64)]] = [:]
  private(set) var violations: [String] = []
  private var sessions: [Int: Session] = [:]
  private var receivers: [Int: TestReceiver] = [:]
  private var random: SeededGenerator
  private var nextSeq: Int64 = 1 << 40
  private let chats: [String]
  private var heads: [String: Int64] = [:]
  private var places: [String: Int] = [:]

  init(chats: [String], seed: UInt64) {
    self.chats = chats
    random = SeededGenerator(seed: seed)
  }

  func head(_ chat: String) -> Int64 { heads[chat] ?? 0 }

  func members(of chat: String, _ user: String) -> Bool {
    chat.hasPrefix("room:") || chat.split(separator: ":").dropFirst().contains { $0 == user }
  }

  // MARK: Connections

  func open(_ number: Int) { sessions[number] = Session(number: number) }

  func close(_ number: Int) {
    sessions[number] = nil
    receivers[number] = nil
  }

  /// What the client sent, cut anywhere.
  func receive(_ bytes: [UInt8], on number: Int) {
    guard var session = sessions[number] else { return }
    var bytes = bytes
    if !session.isUpgraded {
      session.request += bytes
      guard session.request.suffix(4) == [13, 10, 13, 10] else {
        sessions[number] = session
        return
      }
      bytes = []
      session.isUpgraded = true
      session.output = upgrade(session.request)
      receivers[number] = TestReceiver()
    }
    sessions[number] = session
    for text in receivers[number]!.texts(in: bytes) { handle(text, number) }
  }

  /// Up to so many bytes for the client.
  func output(of number: Int, atMost count: Int) -> [UInt8] {
    guard var session = sessions[number] else { return [] }
    let taken = Array(session.output.prefix(count))
    session.output.removeFirst(taken.count)
    sessions[number] = session
    return taken
  }

  private func upgrade(_ request: [UInt8]) -> [UInt8] {
    let text = String(decoding: request, as: UTF8.self)
    let key = text.split(separator: "\r\n").first { $0.hasPrefix("Sec-WebSocket-Key: ") }!.dropFirst(19)
    let accept = base64(sha1(Array("\(key)258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8)))
    return Array(
      ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Protocol: fastchat.v1\r\nSec-WebSocket-Accept: \(accept)\r\n\r\n").utf8)
  }

  private func say(_ text: String, to number: Int) {
    let bytes = Array(text.utf8)
    let header = FrameHeader(opcode: .text, payloadCount: bytes.count)
    var frame = [UInt8](repeating: 0, count: FrameHeader.encodedSize(payload: bytes.count))
    _ = frame.withUnsafeMutableBytes { header.encode(into: $0) }
    sessions[number]?.output += frame + bytes
  }

  // MARK: Frames

  private func handle(_ text: String, _ number: Int) {
    guard let frame = try? JSONValue(parsing: text), let type = frame["type"]?.string else {
      return violations.append("no frame: \(text)")
    }
    switch type {
    case "hello": hello(frame, number)
    case "send": send(frame, number, body: text)
    case "history": history(frame, number)
    default: violations.append("unexpected: \(text)")
    }
  }

  private func hello(_ frame: JSONValue, _ number: Int) {
    guard var session = sessions[number] else { return }
    session.user = frame["user"]?.string ?? ""
    session.device = frame["device"]?.string ?? ""
    session.attachedAt = log.count
    let mine = chats.filter { members(of: $0, session.user) && head($0) > 0 }.sorted()
    var named: [String: Int64] = [:]
    if case .object(let fields)? = frame["cursors"] {
      named = fields.compactMapValues { $0.int.map(Int64.init) }
    }
    if frame["log"]?.string ?? logID != logID { violations.append("another log: \(frame)") }
    let rows = mine.map { "{\"chat\":\"\($0)\",\"head\":\(head($0)),\"read\":0}" }.joined(separator: ",")
    var told: [String] = []
    for chat in mine {
      session.cursors[chat] = named[chat] ?? (named["*"] == 0 ? 0 : head(chat))
      if session.cursors[chat]! < head(chat), Double.random(in: 0..<1, using: &random) < faults.reset {
        session.cursors[chat] = head(chat)
        resets["\(session.user)/\(session.device)", default: []].append((chat, head(chat)))
        told.append("{\"type\":\"reset\",\"chat\":\"\(chat)\",\"head\":\(head(chat))}")
      }
    }
    sessions[number] = session
    say(
      "{\"type\":\"welcome\",\"user\":\"\(session.user)\",\"device\":\"\(session.device)\",\"session\":\"s\(number)\","
        + "\"server\":\"s1\",\"log\":\"\(logID)\",\"time\":1000,\"heartbeat\":25,"
        + "\"limits\":{\"frame\":65536,\"rate\":50,\"dedupe\":300000},\"chats\":[\(rows)],\"more\":false}",
      to: number)
    for text in told { say(text, to: number) }
  }

  private func send(_ frame: JSONValue, _ number: Int, body text: String) {
    guard let session = sessions[number], let id = frame["id"]?.string, let to = frame["to"]?.string else {
      return
    }
    let chat = Names.direct(session.user, String(to.dropFirst(5)))
    let name = to.hasPrefix("user:") ? chat : to
    func error(_ code: String) {
      say(
        "{\"type\":\"error\",\"id\":\"\(id)\",\"code\":\"\(code)\",\"message\":\"later\",\"retry\":50}",
        to: number)
    }
    if Double.random(in: 0..<1, using: &random) < faults.rateLimited { return error("rate-limited") }
    let isIndefinite = Double.random(in: 0..<1, using: &random) < faults.unavailable
    if isIndefinite, Bool.random(using: &random) { return error("unavailable") }
    let key = "\(name) \(session.user) \(session.device) \(id)"
    if let place = places[key] {
      let first = log[place]
      if frame["retry"]?.bool != true { violations.append("repeated without retry: \(text)") }
      return isIndefinite ? error("unavailable") : ack(first, number)
    }
    nextSeq += Int64.random(in: 1...3, using: &random)
    let entry = Entry(
      chat: name, seq: nextSeq, prev: head(name), from: session.user, device: session.device, id: id,
      body: "\(frame["body"]?.string ?? "")", session: number)
    places[key] = log.count
    heads[name] = nextSeq
    log.append(entry)
    if isIndefinite { return error("unavailable") }
    if Double.random(in: 0..<1, using: &random) < faults.earlyAck { ack(entry, number) }
  }

  private func ack(_ entry: Entry, _ number: Int) {
    sessions[number]?.acked.insert(entry.seq)
    say(
      "{\"type\":\"ack\",\"id\":\"\(entry.id)\",\"chat\":\"\(entry.chat)\",\"seq\":\(entry.seq),\"time\":1000}",
      to: number)
  }

  private func row(_ entry: Entry) -> String {
    "\"seq\":\(entry.seq),\"prev\":\(entry.prev),\"from\":\"\(entry.from)\",\"id\":\"\(entry.id)\",\"time\":1000,"
      + "\"body\":\"\(entry.body)\""
  }

  private func history(_ frame: JSONValue, _ number: Int) {
    let chat = frame["chat"]?.string ?? ""
    let limit = frame["limit"]?.int ?? 50
    var rows = log.filter { $0.chat == chat }
    var more = false
    if let after = frame["after"]?.int {
      rows = rows.filter { $0.seq > after }
      more = rows.count > limit
      rows = Array(rows.prefix(limit))
    } else {
      if let before = frame["before"]?.int { rows = rows.filter { $0.seq < before } }
      more = rows.count > limit
      rows = Array(rows.suffix(limit))
    }
    let texts = rows.map { "{\(row($0))}" }.joined(separator: ",")
    say(
      "{\"type\":\"history\",\"id\":\"\(frame["id"]?.string ?? "")\",\"chat\":\"\(chat)\",\"messages\":[\(texts)],\"more\":\(more)}",
      to: number)
  }

  // MARK: Delivery

  /// Moves one session on by one entry of the log.
  func step(_ number: Int) {
    guard var session = sessions[number], !session.user.isEmpty else { return }
    if session.position >= session.attachedAt, !session.isLive {
      session.isLive = true
      sessions[number] = session
      return say("{\"type\":\"live\"}", to: number)
    }
    guard session.position < log.count else { return }
    let entry = log[session.position]
    session.position += 1
    sessions[number] = session
    guard members(of: entry.chat, session.user), entry.seq > session.cursors[entry.chat] ?? 0 else { return }
    if entry.session == number {
      if !session.acked.contains(entry.seq) { ack(entry, number) }
      return
    }
    if session.isLive, Double.random(in: 0..<1, using: &random) < faults.gap { return }
    say("{\"type\":\"message\",\"chat\":\"\(entry.chat)\",\(row(entry))}", to: number)
  }

  /// Whether all that was stored was said on that connection.
  func isDone(_ number: Int) -> Bool {
    guard let session = sessions[number] else { return false }
    return session.isLive && session.position == log.count && session.output.isEmpty
  }
}

/// The server's end of the frames.
final class TestReceiver {
  private let pool = GatherPool(keeping: 1 << 16, lending: 1 << 24)
  private var receiver = Receiver(role: .server, maxMessageBytes: 1 << 20)

  deinit { receiver.release(to: pool) }

  func texts(in bytes: [UInt8]) -> [String] {
    var bytes = bytes
    var texts: [String] = []
    bytes.withUnsafeMutableBytes { chunk in
      var offset = 0
      while true {
        switch receiver.next(chunk, &offset, pool: pool) {
        case .text(let text): texts.append(String(decoding: text, as: UTF8.self))
        case .needMore: return
        default: break
        }
      }
    }
    return texts
  }
}

func base64(_ bytes: [UInt8]) -> String {
  let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  var text = ""
  for start in stride(from: 0, to: bytes.count, by: 3) {
    let part = bytes[start..<min(start + 3, bytes.count)]
    let value = part.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - part.count))
    for index in 0..<4 {
      text.append(index <= part.count ? digits[value >> (18 - 6 * index) & 63] : "=")
    }
  }
  return text
}
