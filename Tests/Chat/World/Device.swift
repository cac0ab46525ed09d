import Chat
import Foundation

/// A client that keeps honest cursors, repeats what was not answered, and holds the server to its promise.
final class Device {
  let user: String
  let name: String
  var session: SessionID?
  var isOpen = false
  var isLive = false
  private var cursors: [String: Seq] = [:]
  private var wasEverOpen = false
  /// Before this its chats were not its business: the heads of the first welcome.
  private var baselines: [String: Seq] = [:]
  /// Everything that was handed over, and own messages that were acknowledged.
  private(set) var handed: [String: Set<Seq>] = [:]
  private(set) var acked: [String: (chat: String, seq: Seq)] = [:]
  /// Requests without a definite answer, by id.
  var pending: [String: String] = [:]
  private var answeredInThisSession: Set<String> = []
  private var repeatedInThisSession: Set<String> = []
  /// Cursors in rows of `chats`: what this session is said to have been handed.
  private var claims: [String: Seq] = [:]
  private(set) var failures: [String] = []
  private(set) var resets = 0

  init(user: String, name: String) {
    self.user = user
    self.name = name
  }

  /// Where each partition stood when the session was welcomed: all that came later is the session's to be handed,
  /// also in chats that the user has left since.
  private var connectedAt: [Seq] = []

  func hello() -> String {
    isOpen = false
    isLive = false
    answeredInThisSession = []
    repeatedInThisSession = []
    claims = [:]
    var rows = cursors.map { "\"\($0.key)\":\($0.value)" }
    trace.append("> hello \(cursors)")
    if wasEverOpen { rows.append("\"*\":0") }
    return """
      {"type":"hello","user":"\(user)","device":"\(name)","cursors":{\(rows.joined(separator: ","))}}
      """
  }

  func repeats() -> [String] {
    pending.keys.sorted().map { id in
      repeatedInThisSession.insert(id)
      return String(pending[id]!.dropLast()) + ",\"retry\":true}"
    }
  }

  /// What went back and forth, for a failure's message.
  private(set) var trace: [String] = []

  func received(_ json: UnsafeRawBufferPointer, _ backbone: Backbone) {
    trace.append("< " + String(decoding: json, as: UTF8.self))
    guard let frame = (try? JSONSerialization.jsonObject(with: Data(json))) as? [String: Any] else {
      return fail("a frame that is not JSON: \(String(decoding: json, as: UTF8.self))")
    }
    let chat = frame["chat"] as? String ?? ""
    let seq = (frame["seq"] as? NSNumber)?.int64Value ?? 0
    switch frame["type"] as? String {
    case "welcome":
      isOpen = true
      connectedAt = backbone.applied
      guard !wasEverOpen else { return }
      wasEverOpen = true
      for row in frame["chats"] as? [[String: Any]] ?? [] {
        let head = (row["head"] as? NSNumber)?.int64Value ?? 0
        baselines[row["chat"] as! String] = head
        cursors[row["chat"] as! String] = head
      }
    case "live":
      if isLive { fail("live twice") }
      isLive = true
    case "message", "member":
      event(chat, seq, id: frame["id"] as? String, from: frame["from"] as? String)
    case "ack", "ok":
      answered(frame["id"] as! String)
      if seq > 0 { acked[frame["id"] as! String] = (chat, seq) }
    case "history":
      answered(frame["id"] as! String)
      checkHistory(chat, frame["messages"] as? [[String: Any]] ?? [], backbone)
    case "chats":
      answered(frame["id"] as! String)
      for row in frame["chats"] as? [[String: Any]] ?? [] {
        checkClaim(row["chat"] as! String, (row["cursor"] as? NSNumber)?.int64Value ?? 0, backbone)
      }
    case "members": answered(frame["id"] as! String)
    case "typing": if frame["user"] as? String == nil { fail("typing of nobody") }
    case "reset":
      resets += 1
      let head = (frame["head"] as? NSNumber)?.int64Value ?? 0
      cursors[chat] = head
      baselines[chat] = max(baselines[chat] ?? 0, head)
    case "error":
      let code = frame["code"] as? String
      if let id = frame["id"] as? String, code != "unavailable", code != "busy", code != "rate-limited" {
        pending[id] = nil
      }
    default: fail("an unknown frame: \(frame)")
    }
  }

  private func answered(_ id: String) {
    if !answeredInThisSession.insert(id).inserted, !repeatedInThisSession.contains(id) {
      fail("\(id) was answered twice")
    }
    pending[id] = nil
  }

  /// A page is a stretch of the chat's messages, oldest first, without a hole.
  private func checkHistory(_ chat: String, _ messages: [[String: Any]], _ backbone: Backbone) {
    let seqs = messages.map { ($0["seq"] as? NSNumber)?.int64Value ?? 0 }
    guard let first = seqs.first, let last = seqs.last else { return }
    let stored = backbone.events.filter {
      $0.chat == chat && $0.kind == .message && $0.seq >= first && $0.seq <= last
    }
    if stored.map(\.seq) != seqs { fail("history of \(chat) is \(seqs), not \(stored.map(\.seq))") }
    if !chat.hasPrefix("dm:"),
      !backbone.events.contains(where: { $0.chat == chat && $0.role != .none && $0.from == user })
    {
      fail("history of \(chat), where they never were")
    }
  }

  /// The server says that this session has been handed all of the chat up to `cursor`.
  private func checkClaim(_ chat: String, _ cursor: Seq, _ backbone: Backbone) {
    claims[chat] = max(claims[chat] ?? 0, cursor)
    let own = Set(acked.values.map { "\($0.chat) \($0.seq)" })
    for event in backbone.events(of: chat) where event.seq <= cursor && event.seq > baselines[chat] ?? 0 {
      guard event.seq >= joined(chat, backbone) ?? .max, mayRead(chat, event.seq, backbone),
        !own.contains("\(chat) \(event.seq)"), !(handed[chat]?.contains(event.seq) ?? false)
      else { continue }
      fail("\(chat): cursor \(cursor), and \(event.seq) was not handed over")
    }
  }

  private func event(_ chat: String, _ seq: Seq, id: String?, from: String?) {
    if !isOpen { fail("an event before welcome") }
    if seq <= claims[chat] ?? 0 { fail("\(chat) \(seq) below the cursor \(claims[chat]!) of its row") }
    if seq <= cursors[chat] ?? 0 { fail("\(chat) \(seq) after \(cursors[chat] ?? 0)") }
    cursors[chat] = seq
    if !handed[chat, default: []].insert(seq).inserted { fail("\(chat) \(seq) twice") }
    guard let id, from == user, id.hasPrefix("\(user)-\(name)-") else { return }
    if answeredInThisSession.contains(id), !repeatedInThisSession.contains(id) {
      fail("own message \(id) both answered and handed to the session that sent it")
    }
    pending[id] = nil
  }

  /// Everything that it should have been handed by now, it was; and nothing else.
  func check(_ backbone: Backbone) {
    for (chat, seqs) in handed {
      for seq in seqs where !mayRead(chat, seq, backbone) { fail("\(chat) \(seq) is not theirs to read") }
    }
    for (id, ack) in acked where !backbone.events.contains(where: { $0.seq == ack.seq && $0.id == id }) {
      fail("\(id) was acknowledged and is not in the log")
    }
    let own = Set(acked.values.map { "\($0.chat) \($0.seq)" })
    for event in backbone.events where event.seq > baselines[event.chat] ?? 0 {
      // What is gone from before his last joining is not missed, and what lay beside it cannot be told from
      // what was said while he was away.
      let cameWhileHere =
        event.seq > connectedAt[Int(backbone.partition(event.chat))] && !backbone.hasForgotten(event.chat)
      guard cameWhileHere || event.seq >= joined(event.chat, backbone) ?? .max else { continue }
      guard mayRead(event.chat, event.seq, backbone), !own.contains("\(event.chat) \(event.seq)") else {
        continue
      }
      if !(handed[event.chat]?.contains(event.seq) ?? false) {
        fail(
          "\(event.chat) \(event.seq) (\(event.kind) of \(event.from), id \(event.id)) was never handed over")
      }
    }
  }

  /// Since when the user has been in the chat; nil where he is not in it.
  private func joined(_ chat: String, _ backbone: Backbone) -> Seq? {
    chat.hasPrefix("dm:") ? 0 : backbone.members[chat]?[user]?.joined
  }

  /// Whether the event lies in one of the user's times in the chat, his own coming and going included.
  private func mayRead(_ chat: String, _ seq: Seq, _ backbone: Backbone) -> Bool {
    if chat.hasPrefix("dm:") { return chat.dropFirst(3).split(separator: ":").contains(Substring(user)) }
    var isMember = false
    for event in backbone.events where event.chat == chat {
      let wasMember = isMember
      if event.kind != .message, event.from == user { isMember = event.role != .none }
      if event.seq == seq { return isMember || wasMember }
    }
    return false
  }

  private func fail(_ what: String) { failures.append("\(user)/\(name): \(what)") }
}
