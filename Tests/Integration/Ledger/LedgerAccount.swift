import Support

/// What one device of a ledger run was told, written down as it came.
struct LedgerAccount: Sendable {
  struct Sent: Sendable {
    let id: String
    let to: String
    let chat: String
    let body: String
  }

  let user: String
  let device: String
  /// All that it sent, whatever became of it.
  var sent: [Sent] = []
  /// By id: the seqs that were told for it, by an ack or as an own message. More than one is a failure.
  var acknowledged: [String: Set<Int>] = [:]
  /// By chat: every event that was handed over, in order.
  var handed: [String: [ChatFrame]] = [:]
  /// Resets, which there must be none of.
  var resets: [ChatFrame] = []
  var sessions = 0

  init(user: String, device: String) {
    self.user = user
    self.device = device
  }

  var name: String { "\(user)/\(device)" }

  func isIn(_ chat: String) -> Bool {
    chat.hasPrefix("room:") || chat.split(separator: ":").dropFirst().contains { $0 == user }
  }
}
