/// Compares what the devices were told with each other, with the log and with the history, and says every
/// difference (DESIGN section 4: I1 to I4, I7, I10).
///
/// - Acknowledged is in the log, and was delivered to each device of each member.
/// - No device was handed anything twice, or in another order than the log's.
/// - One request became one message, with one seq.
/// - Nobody was handed what was said while he was no member.
public struct Judge {
  /// Differences that are told; a run that breaks more is broken enough.
  static let differencesMax = 60

  public private(set) var differences: [String] = []
  /// All that were found, the untold too.
  public private(set) var count = 0
  /// Acks that carried the seq of a later copy.
  public private(set) var acksOfCopies = 0
  private let evidence: Evidence
  /// The seqs of what the log has more than once.
  private let copies: [Key: Set<Int>]
  private let chats: [String: [ChatEvent]]

  public init(_ evidence: Evidence) {
    self.evidence = evidence
    chats = Dictionary(uniqueKeysWithValues: evidence.events.keys.map { ($0, evidence.list($0)) })
    var places: [Key: Set<Int>] = [:]
    for record in evidence.log ?? [] where record.type == "message" {
      places[Key(record.chat, record.from, record.device, record.id), default: []].insert(record.seq)
    }
    copies = places.filter { $0.value.count > 1 }
    for difference in evidence.seen { note(difference) }
    for (chat, events) in chats.sorted(by: { $0.key < $1.key }) { checkChain(chat, events) }
    for account in evidence.accounts { compare(account) }
    for (chat, rows) in evidence.histories.sorted(by: { $0.key < $1.key }) { compareHistory(chat, rows) }
    if let log = evidence.log { compareLog(log) }
  }

  /// What makes a message one (DESIGN I4).
  private struct Key: Hashable {
    let chat: String
    let from: String
    let device: String
    let id: String
    init(_ chat: String, _ from: String, _ device: String, _ id: String) {
      (self.chat, self.from, self.device, self.id) = (chat, from, device, id)
    }
  }

  private mutating func note(_ difference: String) {
    count += 1
    if differences.count < Self.differencesMax { differences.append(difference) }
  }

  /// Each event names the one before it, and no request became two of them.
  private mutating func checkChain(_ chat: String, _ events: [ChatEvent]) {
    for (event, next) in zip(events, events.dropFirst()) where next.prev != event.seq {
      note("\(chat): the event before \(next.seq) is \(next.prev), and \(event.seq) was the last one seen")
    }
    var seqs: [String: Int] = [:]
    for event in events {
      guard case .message(let from, let id) = event.kind else { continue }
      if let first = seqs.updateValue(event.seq, forKey: "\(from)\n\(id)") {
        note("\(chat): \(id) of \(from) is doubled: \(first) and \(event.seq)")
      }
    }
  }

  // MARK: A device

  private mutating func compare(_ account: Account) {
    for fault in account.faults { note("\(account.name): \(fault)") }
    for id in account.unsettled { note("\(account.name): \(id) had no answer to the end") }
    for (chat, seqs) in account.handed.sorted(by: { $0.key < $1.key }) {
      checkOrder(account, chat, seqs)
      checkMembership(account, chat, seqs)
    }
    checkSent(account)
    for (chat, events) in chats { checkComplete(account, chat, events) }
  }

  private mutating func checkOrder(_ account: Account, _ chat: String, _ seqs: [Int]) {
    var last = 0
    var seen: Set<Int> = []
    for seq in seqs {
      if !seen.insert(seq).inserted {
        note("\(account.name): handed \(seq) of \(chat) twice")
      } else if seq < last {
        note("\(account.name): handed \(seq) of \(chat) behind \(last)")
      }
      last = max(last, seq)
    }
  }

  /// What was acknowledged is an event, where the ack said, and one only.
  ///
  /// A first send that the log has twice, since a producer was not told of the first time, may have been
  /// acknowledged with the later seq: its event has the first one's (docs/LOG.md, "What a consumer has to do").
  private mutating func checkSent(_ account: Account) {
    for message in account.sent {
      var told = account.acknowledged[message.id] ?? []
      if let twice = copies[Key(message.chat, account.user, account.device, message.id)] {
        let first = twice.min()!
        if told.contains(where: { twice.contains($0) && $0 != first }) {
          acksOfCopies += 1
          told = told.subtracting(twice).union([first])
        }
      }
      if told.count > 1 { note("\(account.name): \(message.id) was told the seqs \(told.sorted())") }
      for seq in told {
        guard let event = evidence.events[message.chat]?[seq] else {
          note("\(account.name): LOST: \(message.id) was acknowledged as \(seq) of \(message.chat)")
          continue
        }
        if event.kind != .message(from: account.user, id: message.id) {
          note("\(account.name): \(message.id) was acknowledged as \(seq), which is \(event.text)")
        }
      }
      if account.refused.contains(message.id), !message.mayBeRefused {
        note("\(account.name): \(message.id) to \(message.chat) was refused")
      }
    }
  }

  /// All since the user's joining was handed to it, or is its own and was acknowledged.
  private mutating func checkComplete(_ account: Account, _ chat: String, _ events: [ChatEvent]) {
    guard let joined = joinSeq(of: account.user, in: chat, events) else { return }
    let handed = Set(account.handed[chat] ?? [])
    var own: Set<Int> = []
    for message in account.sent where message.chat == chat {
      let told = account.acknowledged[message.id] ?? []
      own.formUnion(told)
      if let twice = copies[Key(chat, account.user, account.device, message.id)],
        !twice.isDisjoint(with: told)
      {
        own.insert(twice.min()!)
      }
    }
    for event in events where event.seq >= joined && !handed.contains(event.seq) && !own.contains(event.seq) {
      note("\(account.name): LOST: never handed \(event.seq) of \(chat): \(event.text)")
    }
  }

  /// Since when the user is in the chat at the end; nil where he is not.
  private func joinSeq(of user: String, in chat: String, _ events: [ChatEvent]) -> Int? {
    if chat.hasPrefix("dm:") {
      return chat.split(separator: ":").dropFirst().contains { $0 == user } ? 0 : nil
    }
    let last = events.last { if case .member(user, _) = $0.kind { true } else { false } }
    guard let last else { return evidence.creators[chat] == user ? 0 : nil }
    if case .member(_, .some) = last.kind { return last.seq }
    return nil
  }

  /// Nothing came from before a joining or from behind a leaving. The own removal is the last that one gets.
  private mutating func checkMembership(_ account: Account, _ chat: String, _ seqs: [Int]) {
    if chat.hasPrefix("dm:") {
      if !account.takesPart(inDirect: chat) { note("\(account.name): FOREIGN: handed events of \(chat)") }
      return
    }
    var turns: [(seq: Int, isIn: Bool)] = evidence.creators[chat] == account.user ? [(0, true)] : []
    for event in chats[chat] ?? [] {
      if case .member(account.user, let role) = event.kind { turns.append((event.seq, role != nil)) }
    }
    for seq in seqs {
      let turn = turns.last { $0.seq <= seq }
      if turn.map({ $0.isIn || $0.seq == seq }) != true {
        note("\(account.name): FOREIGN: handed \(seq) of \(chat) as no member")
      }
    }
  }

  // MARK: History and log

  private mutating func compareHistory(_ chat: String, _ rows: [ChatEvent]) {
    let messages = (chats[chat] ?? []).filter { if case .message = $0.kind { true } else { false } }
    let paged = rows.map { Row(seq: $0.seq, kind: $0.kind) }
    let handed = messages.map { Row(seq: $0.seq, kind: $0.kind) }
    for difference in paged.difference(from: handed) {
      switch difference {
      case .insert(_, let row, _): note("\(chat): only in history: \(row.seq) \(row.kind)")
      case .remove(_, let row, _): note("\(chat): not in history: \(row.seq) \(row.kind)")
      }
    }
  }

  private struct Row: Equatable {
    let seq: Int
    let kind: ChatEvent.Kind
  }

  /// The first record of a (chat, from, device, id) is the message, with the seq of its place.
  private mutating func compareLog(_ log: [LogRecord]) {
    var firsts: [String: [Int: LogRecord]] = [:]
    var seen: Set<String> = []
    for record in log where record.type == "message" {
      let key = "\(record.chat)\n\(record.from)\n\(record.device)\n\(record.id)"
      if seen.insert(key).inserted { firsts[record.chat, default: [:]][record.seq] = record }
    }
    for (chat, events) in chats {
      for event in events {
        guard case .message(let from, let id) = event.kind else { continue }
        let record = firsts[chat]?[event.seq]
        if record?.from != from || record?.id != id {
          note(
            "\(chat): \(event.seq) is \(id) of \(from), and in the log \(record.map { $0.id } ?? "nothing")")
        }
      }
    }
    let refusable = Set(
      evidence.accounts.flatMap { account in
        account.sent.filter(\.mayBeRefused).map { "\(account.device)\n\($0.id)" }
      })
    for (chat, records) in firsts {
      // What stands in the log as a first send is never refused by the owner (DESIGN section 3).
      for record in records.values.sorted(by: { $0.seq < $1.seq })
      where evidence.events[chat]?[record.seq] == nil && !record.isRetry {
        if refusable.contains("\(record.device)\n\(record.id)") { continue }
        note("\(chat): LOST: in the log and handed to nobody: \(record.seq) \(record.id) of \(record.from)")
      }
    }
  }
}
